//! Much at once: every ID of a link taken, and forty clusters.

use crate::actors::{DEADLINE, MS, ONE, address, addresses, ask, truncated};
use crate::common::text::{Question, Reply, shown};
use crate::common::{Asked, Lab, TWO, client};
use domain::base::iana::Rtype;
use gathersrv::engine::Transport;
use std::collections::HashSet;

const IDS: usize = 1 << 16;

/// Names of which each is asked for once.
fn name(n: usize) -> String {
    format!("n{n}.distributed.local.")
}

/// Which of them is asked for.
fn number(asked: &Asked) -> usize {
    let label = &asked.packet[14..13 + usize::from(asked.packet[12])];
    std::str::from_utf8(label).unwrap().parse().unwrap()
}

/// An address for question `n`, in three octets.
fn numbered(asked: &Asked, n: usize) -> Vec<u8> {
    let mut reply = address(asked, n as u8);
    let at = reply.len() - 3;
    reply[at] = (n >> 16) as u8;
    reply[at + 1] = (n >> 8) as u8;
    reply
}

#[test]
fn u2_no_slot_is_stolen_when_every_id_of_a_link_is_in_flight() {
    let more = 50;
    let mut lab = Lab::new(&ONE);
    let mut streamed: Vec<(usize, Asked)> = Vec::new();
    let mut refused = 0;
    for n in 0..IDS + more {
        ask(&mut lab, n as u64, &name(n));
        let udp = lab.take_asked().remove(0);
        lab.reply(udp.link, &truncated(&udp));
        match lab.take_asked().pop() {
            Some(tcp) => streamed.push((n, tcp)),
            None => {
                let answers = lab.take_answers();
                let first = &shown(&answers[0].packet)[0];
                assert!(first.starts_with("=> SERVFAIL"), "{first}: said at once, not awaited");
                refused += 1;
            }
        }
    }
    assert_eq!((streamed.len(), refused), (IDS, more));
    assert_eq!(lab.engine.counters().exhausted, more as u64);
    assert!(streamed.iter().all(|(_, asked)| asked.transport == Transport::Tcp));
    let ids: HashSet<_> = streamed.iter().map(|(_, asked)| (asked.link, asked.id())).collect();
    assert_eq!(ids.len(), IDS, "one link, every ID once");
    lab.pass(MS * 100);
    for (n, asked) in &streamed {
        lab.reply(asked.link, &numbered(asked, *n));
        let answer = lab.answers.pop().expect("an answer");
        assert_eq!(answer.client.socket, *n as u64, "the answer of another's question");
        let end = [(n >> 16) as u8, (n >> 8) as u8, *n as u8];
        assert!(answer.packet.ends_with(&end), "question {n}");
    }
    lab.assert_idle();
}

#[test]
fn u2_more_datagram_questions_in_flight_than_a_link_has_ids() {
    let all = IDS + 1000;
    let mut lab = Lab::new(&ONE);
    for n in 0..all {
        ask(&mut lab, n as u64, &name(n));
    }
    assert_eq!(lab.engine.queries_in_flight(), all);
    let asked = lab.take_asked();
    // With as many in flight as there are counters, a few look like a fifth of
    // one question, and wait (U4).
    assert!(asked.len() > all * 9 / 10 && asked.len() < all, "{}", asked.len());
    assert_eq!(lab.engine.questions_in_flight(), asked.len());
    let ids: HashSet<_> = asked.iter().map(|asked| (asked.link, asked.id())).collect();
    assert_eq!(ids.len(), asked.len(), "no ID twice on one link");
    let mut answered = 0;
    for asked in asked.iter().step_by(2) {
        let n = number(asked);
        lab.reply(asked.link, &numbered(asked, n));
        assert_eq!(lab.answers.pop().map(|answer| answer.client.socket), Some(n as u64));
        answered += 1;
    }
    lab.pass(DEADLINE);
    assert_eq!(lab.take_answers().len(), all - answered);
    lab.assert_idle();
}

#[test]
fn m1_forty_clusters_answer_in_the_order_of_the_configuration() {
    let clusters: Vec<String> =
        (0..40).map(|n| format!("cluster.local. c{n:02}- 10.8.{n}.1")).collect();
    let mut flags = vec!["--zone", "distributed.local."];
    for cluster in &clusters {
        flags.extend(["--cluster", cluster]);
    }
    let mut lab = Lab::new(&flags);
    let mut query =
        crate::common::text::Question::new("web.distributed.local.", domain::base::iana::Rtype::A);
    query.edns = Some(1232);
    lab.udp(&query.packet());
    let asked = lab.take_asked();
    assert_eq!(asked.len(), 40);
    // The last is the first to answer.
    for (n, asked) in asked.iter().enumerate().rev() {
        assert!(lab.answers.is_empty(), "{n} clusters are still to come");
        lab.reply(asked.link, &address(asked, n as u8));
    }
    assert_eq!(addresses(&mut lab), (0..40).collect::<Vec<_>>());
    // All but one are silent: the answer is partial, and names some of them.
    lab.udp(&query.packet());
    let asked = lab.take_asked();
    lab.reply(asked[17].link, &address(&asked[17], 17));
    lab.pass(DEADLINE);
    let answers = lab.take_answers();
    assert_eq!(answers.len(), 1);
    assert_eq!(crate::actors::addresses_in(&answers[0].packet), [17]);
    let ede = shown(&answers[0].packet).pop().unwrap();
    assert!(ede.starts_with("ede 23 ") && ede.ends_with("..."), "{ede}");
    lab.assert_idle();
}

/// The answer to an SRV question of which each of two clusters has 1,000 records.
fn two_thousand_members(transport: Transport, edns: Option<u16>) -> (Lab, Vec<String>) {
    let mut lab = Lab::new(&TWO);
    let mut question = Question::new("_t._tcp.s.distributed.local.", Rtype::SRV);
    question.edns = edns;
    lab.query(client(transport), &question.packet());
    for (asked, cluster) in lab.take_asked().iter().zip(["a", "b"]) {
        let suffix = format!("s.cluster-{cluster}.local.");
        let member = |n| format!("_t._tcp.{suffix} 30 IN SRV 0 1 {n} pod-{n:04}.{suffix}");
        let members: Vec<String> = (0..1000).map(member).collect();
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        lab.reply(asked.link, &Reply::ok(&members).to(&asked.packet));
    }
    let answer = lab.take_answers().remove(0);
    let most = if transport.is_stream() { 65_535 } else { usize::from(edns.unwrap_or(512)) };
    let spare = most.checked_sub(answer.packet.len()).expect("not one octet more");
    assert!(spare < 60, "{spare} octets are left, and a record has 54");
    let lines = shown(&answer.packet);
    (lab, lines)
}

/// Members of each cluster, by the prefix of their names, in the order given.
fn shares(lines: &[String]) -> Vec<(&str, usize)> {
    let members = lines.iter().filter(|line| line.contains(" SRV "));
    let targets = members.filter_map(|line| line.split(' ').nth(7));
    let mut shares: Vec<(&str, usize)> = Vec::new();
    for target in targets {
        match shares.last_mut() {
            Some((prefix, count)) if target.starts_with(*prefix) => *count += 1,
            _ => shares.push((&target[..2], 1)),
        }
    }
    shares
}

#[test]
fn k9_over_a_stream_each_cluster_keeps_its_share_and_the_answer_says_what_it_lacks() {
    for transport in [Transport::Tcp, Transport::Tls] {
        let (lab, lines) = two_thousand_members(transport, Some(1232));
        assert_eq!(lines[0], "=> NOERROR aa edns", "no TC: there is nothing larger to ask over");
        let [("a-", a), ("b-", b)] = shares(&lines)[..] else { panic!("{:?}", shares(&lines)) };
        assert!(a.abs_diff(b) <= 1 && a > 500, "{a} and {b} members");
        let told = "ede 0 answer is larger than 65535 octets, records left out";
        assert_eq!(lines.last().unwrap(), told);
        assert_eq!(
            (lab.engine.counters().cut_over_stream, lab.engine.counters().truncated),
            (1, 0)
        );
    }
    let (_, lines) = two_thousand_members(Transport::Tcp, None);
    assert_eq!(lines[0], "=> NOERROR aa");
}

#[test]
fn k9_a_truncated_datagram_has_records_of_each_cluster() {
    for edns in [None, Some(1232)] {
        let (lab, lines) = two_thousand_members(Transport::Udp, edns);
        assert!(lines[0].starts_with("=> NOERROR aa tc"), "{}", lines[0]);
        let [("a-", a), ("b-", b)] = shares(&lines)[..] else { panic!("{:?}", shares(&lines)) };
        assert!(a.abs_diff(b) <= 1 && a > 3, "{a} and {b} members");
        assert_eq!(
            (lab.engine.counters().cut_over_stream, lab.engine.counters().truncated),
            (0, 1)
        );
    }
}
