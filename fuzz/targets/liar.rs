//! Two clusters, of which a lies: it says anything of any name, in any section.
//! b is honest. What a client is given of b's names is what b said of them; of
//! the zone, of other zones and of the world it is given nothing that a said,
//! unless the answer's own CNAMEs lead there (R7).
//!
//! Input: the question (one octet), its type (one), how it is asked (one); then
//! for each question that a is asked: an rcode (one), how many records (one), and
//! each of them in four: section and TTL, owner, type, target. So every input is
//! well formed, and only its meaning is fuzzed.

use super::Input;
use super::common::text::{Question, Reply, question_of, shown};
use super::common::{Lab, client, plan};
use super::promises::{LONG_ENOUGH, check_answer, check_asked};
use domain::base::iana::{Rcode, Rtype};
use gathersrv::config::Plan;
use gathersrv::engine::Transport;
use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

const QUESTIONS: [&str; 8] = [
    "web.z.",
    "_t._tcp.web.z.",
    "a-web.z.",
    "b-web.z.",
    "b-pod.z.",
    "_t._tcp.b-web.z.",
    FORWARDED,
    "z.",
];

const TYPES: [Rtype; 8] = [
    Rtype::A,
    Rtype::AAAA,
    Rtype::SRV,
    Rtype::CNAME,
    Rtype::DNAME,
    Rtype::MX,
    Rtype::TXT,
    Rtype::NS,
];

/// Names that a speaks of; `ASKED` is the one it is asked for.
const NAMES: [&str; 24] = [
    ASKED,
    "web.ka.",
    "pod.ka.",
    "_t._tcp.web.ka.",
    "ka.",
    "web.kb.",
    "pod.kb.",
    "_t._tcp.web.kb.",
    "kb.",
    "z.",
    "web.z.",
    "a-web.z.",
    "b-web.z.",
    "b-pod.z.",
    "y.",
    "web.y.",
    "web.kc.",
    "example.",
    "www.example.",
    "com.",
    ".",
    "A-WEB.KA.",
    "WEB.KB.",
    "_t._tcp.ka.",
];

const ASKED: &str = "@";

/// The question that a gets as a forward.
const FORWARDED: &str = "www.example.";

/// The only address that a ever gives.
const LIE: &str = "6.6.6.6";

fn lab(forward: bool) -> Lab {
    static PLANS: OnceLock<[Arc<Plan>; 2]> = OnceLock::new();
    let plans = PLANS.get_or_init(|| {
        let zones = [
            "--zone",
            "z.",
            "--cluster",
            "ka. a- 10.8.0.1",
            "--cluster",
            "kb. b- 10.9.0.1",
            "--zone",
            "y.",
            "--cluster",
            "kc. c- 10.10.0.1",
        ];
        // The liar may be a forward as well.
        let forward = ["--forward", ". 10.8.0.1"];
        [plan(&zones), plan(&[&zones[..], &forward].concat())]
    });
    Lab::with_plan(plans[usize::from(forward)].clone(), [7; 32])
}

/// What b says, always the same.
fn truth(question: &str) -> Reply {
    match question.to_ascii_lowercase().as_str() {
        "web.kb. a" => Reply::ok(&["web.kb. 30 IN A 10.9.0.1"]),
        "pod.kb. a" => Reply::ok(&["pod.kb. 40 IN A 10.9.0.2"]),
        "_t._tcp.web.kb. srv" => {
            let mut reply = Reply::ok(&["_t._tcp.web.kb. 30 IN SRV 0 1 2 pod.kb."]);
            reply.sections[2] = vec!["pod.kb. 40 IN A 10.9.0.2".into()];
            reply
        }
        "web.kb. txt" => Reply::ok(&["web.kb. 30 IN TXT \"true\""]),
        name if name.starts_with("web.kb. ") || name.starts_with("pod.kb. ") => Reply::ok(&[]),
        _ => Reply::rcode(Rcode::NXDOMAIN),
    }
}

/// Records of b's names as clients see them, without owner and TTL.
const TRUE: [&str; 4] =
    ["IN A 10.9.0.1", "IN A 10.9.0.2", "IN SRV 0 1 2 b-pod.z.", "IN TXT \"true\""];

fn lie(input: &mut Input<'_>, asked: &str) -> Reply {
    let rcode = [Rcode::NOERROR, Rcode::NXDOMAIN, Rcode::NOERROR, Rcode::REFUSED];
    let rcode = rcode[usize::from(input.octet() & 3)];
    let mut reply = Reply { rcode: Some(rcode), aa: true, ..Reply::default() };
    for _ in 0..input.octet() % 12 {
        let how = input.octet();
        let mut name = || {
            let name = NAMES[usize::from(input.octet()) % NAMES.len()];
            if name == ASKED { asked } else { name }
        };
        let owner = name();
        let target = name();
        let data = match TYPES[usize::from(input.octet()) % TYPES.len()] {
            Rtype::A => format!("A {LIE}"),
            Rtype::AAAA => "AAAA 2001:db8::666".into(),
            Rtype::SRV => format!("SRV 0 6 6 {target}"),
            Rtype::MX => format!("MX 6 {target}"),
            Rtype::TXT => "TXT \"lie\"".into(),
            other => format!("{other} {target}"),
        };
        let ttl = [1, 86_400][usize::from(how >> 2 & 1)];
        reply.sections[usize::from(how & 3) % 3].push(format!("{owner} {ttl} IN {data}"));
    }
    reply
}

/// Owner, TTL and the rest of a record's line.
fn parts(line: &str) -> Option<(String, u32, &str)> {
    let (owner, rest) = line.split_once(' ')?;
    let (ttl, data) = rest.split_once(' ')?;
    let data = data.strip_prefix("IN ").map(|_| data)?;
    Some((owner.to_ascii_lowercase(), ttl.parse().ok()?, data))
}

fn is_marked(owner: &str, prefix: &str) -> bool {
    let mut labels = owner.split('.').skip_while(|label| label.starts_with('_'));
    owner.ends_with(".z.") && labels.next().is_some_and(|label| label.starts_with(prefix))
}

/// See the top of this file.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let name = QUESTIONS[usize::from(input.octet()) % QUESTIONS.len()];
    let qtype = TYPES[usize::from(input.octet()) % TYPES.len()];
    let how = input.octet();
    let mut query = Question::new(name, qtype);
    query.edns = Some(1232);
    let query = query.packet();
    let transport = if how & 1 == 0 { Transport::Udp } else { Transport::Tcp };
    let mut lab = lab(how & 2 != 0 || name == FORWARDED);
    lab.query(client(transport), &query);
    for _ in 0..24 {
        let asked = lab.take_asked();
        if asked.is_empty() {
            break;
        }
        for asked in asked {
            check_asked(&asked);
            let question = question_of(&asked.packet);
            let reply = if asked.server.to_string().starts_with("10.8.") {
                let asked = question.split_once(' ').map_or("", |(name, _)| name);
                lie(&mut input, asked)
            } else {
                truth(&question)
            };
            lab.reply(asked.link, &reply.to(&asked.packet));
        }
    }
    lab.pass(LONG_ENOUGH);
    let answers = lab.take_answers();
    assert_eq!(answers.len(), 1, "T5: one answer");
    check_answer(&query, transport, &answers[0].packet);
    judge(name, &shown(&answers[0].packet));
    lab.assert_idle();
}

fn judge(question: &str, lines: &[String]) {
    let records = lines.iter().filter_map(|line| parts(line));
    // Where the answer's CNAMEs lead, one after the other.
    let mut reached = HashSet::from([question.to_string()]);
    for (owner, _, data) in records.clone() {
        if let Some(target) = data.strip_prefix("IN CNAME ")
            && reached.contains(&owner)
        {
            reached.insert(target.to_ascii_lowercase());
        }
    }
    for (owner, ttl, data) in records {
        let line = format!("{owner} {ttl} {data}");
        if data.starts_with("IN SOA ns.") && (owner == "z." || owner == "y.") {
            continue; // Ours (M7).
        }
        let ours = [".z.", ".y."].iter().any(|zone| owner.ends_with(zone));
        if question == FORWARDED && !ours && owner != "z." && owner != "y." {
            continue; // A forward speaks for the world.
        }
        let is_question = owner == question;
        // All clusters speak for a name without a prefix that is asked for.
        let led = question == FORWARDED && ["web.z.", "z."].contains(&owner.as_str());
        if is_marked(&owner, "b-") && (!is_question || is_asked_of_b_alone(question)) {
            assert!(TRUE.contains(&data), "b never said {line}: {lines:?}");
            assert!(ttl == 5 || ttl == 30 || ttl == 40, "b never said {line}: {lines:?}");
        } else if !is_question && !is_marked(&owner, "a-") {
            let clusters = [".ka.", ".kb.", ".kc."].iter().any(|suffix| owner.ends_with(suffix));
            assert!(reached.contains(&owner), "nobody speaks for {line}: {lines:?}");
            assert!(led || !(ours || clusters), "nobody said {line}: {lines:?}");
        }
        assert!(!data.contains("DNAME") || is_question || led, "{line}");
    }
}

/// Nobody but b is asked for these: b has them, so there is no second round (Q5).
fn is_asked_of_b_alone(question: &str) -> bool {
    matches!(question, "b-web.z." | "b-pod.z.")
}
