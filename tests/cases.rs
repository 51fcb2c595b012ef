//! The table of cases: every rule of the contract, as question, clusters'
//! replies and answer.
//!
//! The cases are in `tests/cases/*.txt`, made to be read. A case is
//!
//! ```text
//! # R1 What it shows, with the rule in front
//! flags --on-missing fail            (more flags; optional)
//! only --zone z. --cluster ...       (instead of the two clusters; optional)
//! before NAME TYPE ...               (an earlier question, as `ask` below, and
//! a NAME TYPE                         the sub-questions it makes; any number)
//!   NOERROR aa
//! pass 40s                           (time until the next question; optional)
//! ask NAME TYPE [CLASS] [rd] [cd] [edns SIZE] [do] [version N] [tcp]
//! a NAME TYPE [tcp | tls]            (cluster a is asked this; over UDP if not said)
//!   NOERROR aa                       (its reply: rcode and flags, or `silent`,
//!   record                            `refused`: the network says no; `closed`)
//!   authority | additional           (the records that follow are there)
//! => NOERROR aa                      (the answer; `at 800ms` if time matters)
//! record
//! authority | additional
//! ede CODE TEXT
//! size N                             (optional: its octets)
//! ```
//!
//! Clusters are `a` (10.8.0.1), `b` (10.9.0.1), `c` (10.10.0.1), `f` (the
//! forward, 192.0.2.53); `a2` is a's second server, 10.8.0.2. Replies come in the
//! order they are written, one millisecond apart. `raw HEX` asks with octets.
//!
//! Last good answers are held in cases with a `before`. What an earlier question
//! is answered with is not looked at, and two seconds pass until it is over.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::text::{Question, Reply, question_of, shown};
use common::transcript::Transcript;
use common::{Asked, Lab, TWO, client};
use domain::base::iana::{Class, Rcode, Rtype};
use gathersrv::engine::{LinkState, State, Transport};
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

#[derive(Debug)]
enum Script {
    Reply(Reply),
    Silent,
    Refused,
    Closed,
}

#[derive(Debug)]
struct Turn {
    server: &'static str,
    question: String,
    how: Transport,
    script: Script,
}

/// A client's question, and what it makes the clusters say.
#[derive(Debug, Default)]
struct Exchange {
    query: Vec<u8>,
    tcp: bool,
    turns: Vec<Turn>,
    /// Time until the next one, after it is over.
    pass: Duration,
}

#[derive(Debug, Default)]
struct Case {
    place: String,
    title: String,
    flags: Vec<String>,
    /// The last one is judged.
    exchanges: Vec<Exchange>,
    at: Option<Duration>,
    size: Option<usize>,
    expected: Vec<String>,
}

fn server(word: &str) -> Option<&'static str> {
    Some(match word {
        "a" => "10.8.0.1:53",
        "a2" => "10.8.0.2:53",
        "b" => "10.9.0.1:53",
        "c" => "10.10.0.1:53",
        "f" => "192.0.2.53:53",
        _ => return None,
    })
}

fn parse_ask(words: &[&str]) -> Exchange {
    let mut question = Question::new(words[0], Rtype::from_str(words[1]).unwrap());
    let mut tcp = false;
    let mut rest = words[2..].iter();
    while let Some(word) = rest.next() {
        match *word {
            "rd" => question.rd = true,
            "cd" => question.cd = true,
            "do" => question.dnssec_ok = true,
            "tcp" => tcp = true,
            "edns" => question.edns = Some(rest.next().unwrap().parse().unwrap()),
            "version" => question.version = rest.next().unwrap().parse().unwrap(),
            class => question.class = Class::from_str(class).unwrap(),
        }
    }
    Exchange { query: question.packet(), tcp, ..Exchange::default() }
}

fn parse_reply(line: &str) -> Script {
    let mut words = line.split_whitespace();
    let rcode = match words.next().unwrap() {
        "silent" => return Script::Silent,
        "refused" => return Script::Refused,
        "closed" => return Script::Closed,
        rcode => Rcode::from_str(rcode).unwrap_or_else(|_| panic!("no rcode: {line}")),
    };
    let mut reply = Reply { rcode: Some(rcode), ..Reply::default() };
    for word in words {
        match word {
            "aa" => reply.aa = true,
            "ra" => reply.ra = true,
            "tc" => reply.tc = true,
            other => panic!("no flag: {other}"),
        }
    }
    Script::Reply(reply)
}

fn parse(name: &str, text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut section = 0;
    let mut answering = false;
    for (n, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with("//") {
            continue;
        }
        if let Some(title) = line.strip_prefix("# ") {
            cases.push(Case {
                place: format!("{name}:{}", n + 1),
                title: title.into(),
                flags: TWO.iter().map(|flag| flag.to_string()).collect(),
                ..Case::default()
            });
            answering = false;
            continue;
        }
        let case = cases.last_mut().expect("a title first");
        if answering {
            match line.strip_prefix("size ") {
                Some(size) => case.size = Some(size.parse().unwrap()),
                None => case.expected.push(line.trim().into()),
            }
            continue;
        }
        if let Some(indented) = line.strip_prefix("  ") {
            let turns = &mut case.exchanges.last_mut().expect("a question first").turns;
            let turn = turns.last_mut().expect("a sub-question first");
            match (&mut turn.script, indented.trim()) {
                (Script::Reply(_), "authority") => section = 1,
                (Script::Reply(_), "additional") => section = 2,
                (Script::Reply(reply), record) if reply.rcode.is_some() => {
                    reply.sections[section].push(record.into());
                }
                (script, first) => *script = parse_reply(first),
            }
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[0] {
            "flags" => case.flags.extend(split_flags(&line[5..])),
            "only" => case.flags = split_flags(&line[4..]),
            "ask" | "before" => case.exchanges.push(parse_ask(&words[1..])),
            "pass" => {
                let earlier = case.exchanges.last_mut().expect("an earlier question first");
                earlier.pass = humantime::parse_duration(words[1]).unwrap();
            }
            "raw" => {
                let hex: String = words[1..].concat();
                let octet = |n| u8::from_str_radix(&hex[n..n + 2], 16).unwrap();
                let query = (0..hex.len()).step_by(2).map(octet).collect();
                case.exchanges.push(Exchange { query, ..Exchange::default() });
            }
            "=>" => {
                let (first, at) = match line.split_once(" at ") {
                    Some((first, at)) => (first, Some(humantime::parse_duration(at).unwrap())),
                    None => (line, None),
                };
                case.at = at;
                case.expected.push(first.into());
                answering = true;
            }
            word => {
                let server = server(word).unwrap_or_else(|| panic!("{name}:{}: {line}", n + 1));
                section = 0;
                case.exchanges.last_mut().expect("a question first").turns.push(Turn {
                    server,
                    question: words[1..3].join(" "),
                    how: match words.get(3) {
                        Some(&"tcp") => Transport::Tcp,
                        Some(&"tls") => Transport::Tls,
                        _ => Transport::Udp,
                    },
                    script: Script::Reply(Reply::default()),
                });
            }
        }
    }
    cases
}

/// Words as a shell would split them: single quotes keep one together.
fn split_flags(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (n, part) in line.split('\'').enumerate() {
        if n % 2 == 1 {
            words.push(part.to_string());
        } else {
            words.extend(part.split_whitespace().map(String::from));
        }
    }
    words
}

/// A health check (U5): no case asks for the SOA of a suffix.
fn is_check(asked: &Asked) -> bool {
    question_of(&asked.packet).ends_with(" SOA")
}

/// Asks, and answers for the clusters; leaves the answers in the laboratory.
fn play(lab: &mut Lab, exchange: &Exchange) -> Result<(), String> {
    let transport = if exchange.tcp { Transport::Tcp } else { Transport::Udp };
    lab.query(client(transport), &exchange.query);
    let mut pending: Vec<Asked> = Vec::new();
    let mut silent: Vec<Asked> = Vec::new();
    for turn in &exchange.turns {
        for _ in 0..10 {
            pending.extend(lab.take_asked());
            if pending.iter().any(|asked| fits(asked, turn)) || !lab.answers.is_empty() {
                break;
            }
            // What is written next comes only after some wait.
            let Some(next) = lab.engine.next_timeout() else { break };
            lab.pass(next.since(lab.now).max(Duration::from_millis(1)));
        }
        let Some(place) = pending.iter().position(|asked| fits(asked, turn)) else {
            return Err(format!("{} is not asked {}", turn.server, turn.question));
        };
        let asked = pending.remove(place);
        lab.pass(Duration::from_millis(1));
        match &turn.script {
            Script::Reply(reply) => lab.reply(asked.link, &reply.to(&asked.packet)),
            Script::Silent => silent.push(asked),
            Script::Refused => lab.link(asked.link, LinkState::Refused),
            Script::Closed => lab.link(asked.link, LinkState::Closed),
        }
    }
    pending.extend(lab.take_asked());
    pending.retain(|asked| !is_check(asked));
    if let Some(asked) = pending.first() {
        return Err(format!("{} is asked {} besides", asked.server, question_of(&asked.packet)));
    }
    lab.pass(Duration::from_secs(2));
    match lab.engine.vitals(lab.now).servers.iter().any(|server| server.state == State::Out) {
        // It is checked for as long as it takes.
        true => assert_eq!(lab.engine.queries_in_flight(), 0),
        false => lab.assert_idle(),
    }
    // Retransmissions to a silent server are no surprise; anything else is.
    for asked in lab.take_asked().into_iter().filter(|asked| !is_check(asked)) {
        if !silent.iter().any(|known| known.server == asked.server) {
            return Err(format!("{} is asked {} late", asked.server, question_of(&asked.packet)));
        }
    }
    Ok(())
}

/// With what is held, where an earlier question is asked.
fn laboratory(case: &Case) -> Lab {
    let mut flags: Vec<&str> = case.flags.iter().map(String::as_str).collect();
    if case.exchanges.len() > 1 {
        flags.extend(["--keep", "10000"]);
    }
    Lab::new(&flags)
}

/// Plays the earlier exchanges, of each of which one answer comes.
fn play_earlier(lab: &mut Lab, case: &Case) -> Result<(), String> {
    for exchange in &case.exchanges[..case.exchanges.len() - 1] {
        play(lab, exchange).map_err(|what| format!("before: {what}"))?;
        if lab.take_answers().len() != 1 {
            return Err("an earlier question is not answered once".into());
        }
        lab.pass(exchange.pass);
    }
    Ok(())
}

fn run(case: &Case) -> Result<(), String> {
    let mut lab = laboratory(case);
    let judged = case.exchanges.last().expect("a question");
    play_earlier(&mut lab, case)?;
    let start = lab.now;
    play(&mut lab, judged)?;
    let answers = lab.take_answers();
    if case.expected == ["=> none"] {
        return if answers.is_empty() { Ok(()) } else { Err("there is an answer".into()) };
    }
    let [answer] = &answers[..] else {
        return Err(format!("{} answers", answers.len()));
    };
    let got = shown(&answer.packet);
    if got != case.expected {
        return Err(format!("got\n{}\nexpected\n{}", got.join("\n"), case.expected.join("\n")));
    }
    if answer.packet[..2] != judged.query[..2] {
        return Err("the ID is not the client's".into());
    }
    if let Some(size) = case.size
        && answer.packet.len() != size
    {
        return Err(format!("{} octets, expected {size}", answer.packet.len()));
    }
    let took = answer.at.since(start);
    if case.at.is_some_and(|at| took != at) {
        return Err(format!("answered after {took:?}"));
    }
    Ok(())
}

fn fits(asked: &Asked, turn: &Turn) -> bool {
    asked.server == turn.server.parse().unwrap()
        && asked.transport == turn.how
        && question_of(&asked.packet) == turn.question
}

fn cases() -> Vec<Case> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        all.extend(parse(&name, &std::fs::read_to_string(&file).unwrap()));
    }
    all
}

#[test]
fn every_case_of_the_table() {
    let cases = cases();
    let mut failures = Vec::new();
    for case in &cases {
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(case)));
        match ran {
            Ok(Ok(())) => {}
            Ok(Err(what)) => failures.push(format!("{} {}\n{what}", case.place, case.title)),
            Err(_) => failures.push(format!("{} {}\npanicked", case.place, case.title)),
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases fail:\n\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n\n")
    );
}

/// Everything that the engine does in a case, and what it has counted in the end.
fn transcript(case: &Case) -> String {
    let mut lab = laboratory(case);
    lab.transcript = Some(Transcript::new(lab.now));
    play_earlier(&mut lab, case).unwrap();
    play(&mut lab, case.exchanges.last().expect("a question")).unwrap();
    let mut transcript = lab.transcript.take().expect("it was begun");
    transcript.ends(lab.now, &lab.engine);
    transcript.lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// A change of what is sent, when it is sent, or what is counted shows here.
/// `GATHERSRV_WRITE=1` records it anew; read the difference before you commit it.
#[test]
fn every_case_goes_as_it_was_recorded() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let write = std::env::var_os("GATHERSRV_WRITE").is_some();
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for case in cases() {
        let name = case.place.split(':').next().expect("a file").to_string();
        let text = files.entry(name).or_default();
        *text += &format!("# {}\n{}\n", case.title, transcript(&case));
    }
    for (name, text) in files {
        let path = folder.join(&name);
        if write {
            std::fs::write(&path, &text).unwrap();
            continue;
        }
        let recorded = std::fs::read_to_string(&path).unwrap();
        let (mut title, mut lines) = ("", text.lines());
        for line in recorded.lines() {
            title = if line.starts_with("# ") { line } else { title };
            assert_eq!(lines.next(), Some(line), "{name} {title}");
        }
        assert_eq!(lines.next(), None, "{name} has more cases than were recorded");
    }
}

#[test]
fn every_rule_has_a_case() {
    // U1, U2, U4 and U5 are about packets and time, and have scenarios of their own.
    let rules = "Q1 Q2 Q3 Q4 Q5 Q6 Q7 Q8 R1 R2 R3 R4 R5 R6 M1 M2 M3 M4 M5 M6 M7 M8 M9 M10 \
                 K1 K2 K3 K4 K5 K6 K7 K8 K9 T1 T2 T3 T4 T5 U3";
    let cases = cases();
    let missing: Vec<&str> = rules
        .split_whitespace()
        .filter(|rule| !cases.iter().any(|case| case.title.split(' ').any(|word| word == *rule)))
        .collect();
    assert!(missing.is_empty(), "no case names {missing:?}");
}
