//! Equal questions in flight share one fan-out (U4).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::text::{Question, Reply, shown};
use common::{Lab, TWO, client};
use domain::base::iana::{Rcode, Rtype};
use gathersrv::engine::{Client, Transport, WINDOWS};
use std::time::Duration;

fn query(id: u16, name: &str) -> Question {
    Question { id, ..Question::new(name, Rtype::TXT) }
}

fn from(socket: u64, transport: Transport) -> Client {
    Client { socket, ..client(transport) }
}

fn answer_all(lab: &mut Lab, record: &str) {
    for asked in lab.take_asked() {
        let suffix = if asked.server.to_string().starts_with("10.8") { "a" } else { "b" };
        let line = format!("s.cluster-{suffix}.local. 30 IN TXT {record}");
        lab.reply(asked.link, &Reply::ok(&[&line]).to(&asked.packet));
    }
}

#[test]
fn u4_a_thousand_equal_questions_cost_each_cluster_one() {
    let mut lab = Lab::new(&TWO);
    for id in 0..1000 {
        let client = from(u64::from(id), Transport::Udp);
        lab.query(client, &query(id, "s.distributed.local.").packet());
    }
    assert_eq!(lab.asked.len(), 2);
    answer_all(&mut lab, "x");
    let answers = lab.take_answers();
    assert_eq!(answers.len(), 1000);
    let mut seen = std::collections::HashSet::new();
    for answer in &answers {
        let id = u16::from_be_bytes([answer.packet[0], answer.packet[1]]);
        assert_eq!(answer.client.socket, u64::from(id), "each its own ID");
        assert!(seen.insert(id), "one answer each");
    }
    lab.assert_idle();
}

#[test]
fn u4_each_client_has_its_own_spelling_edns_and_size() {
    let mut lab = Lab::new(&TWO);
    let edns = Question { edns: Some(1232), ..query(2, "S.Distributed.LOCAL.") };
    lab.query(from(1, Transport::Udp), &query(1, "s.distributed.local.").packet());
    lab.query(from(2, Transport::Udp), &edns.packet());
    lab.query(from(3, Transport::Tcp), &query(3, "s.DISTRIBUTED.local.").packet());
    assert_eq!(lab.asked.len(), 2);
    let long = [&"x".repeat(200)[..], &"y".repeat(200)[..], &"z".repeat(200)[..]].join(" ");
    answer_all(&mut lab, &long);
    let mut answers = lab.take_answers();
    answers.sort_by_key(|answer| answer.client.socket);
    let first: Vec<String> = answers.iter().map(|a| shown(&a.packet)[0].clone()).collect();
    assert_eq!(first, ["=> NOERROR aa tc", "=> NOERROR aa edns", "=> NOERROR aa"]);
    assert!(answers[0].packet.len() <= 512);
    assert!(shown(&answers[1].packet)[1].starts_with("S.Distributed.LOCAL. 30"));
    assert!(shown(&answers[2].packet)[1].starts_with("s.DISTRIBUTED.local. 30"));
}

#[test]
fn u4_questions_that_clusters_would_hear_differently_are_asked_apart() {
    let mut lab = Lab::new(&TWO);
    let plain = query(1, "s.distributed.local.");
    for other in [
        plain.clone(),
        Question { cd: true, ..plain.clone() },
        Question { rtype: Rtype::A, ..plain.clone() },
        Question { name: "t.distributed.local.".into(), ..plain.clone() },
    ] {
        lab.udp(&other.packet());
        assert_eq!(lab.take_asked().len(), 2);
    }
    // Type 0x4141 differs from 0x6161 by case only.
    for rtype in [0x4141, 0x6161] {
        let odd = Question { rtype: Rtype::from_int(rtype), ..plain.clone() };
        lab.udp(&odd.packet());
        assert_eq!(lab.take_asked().len(), 2);
    }
}

fn rd(packet: &[u8]) -> bool {
    packet[2] & 1 == 1
}

#[test]
fn q6_u4_clusters_are_asked_with_rd_and_clients_that_differ_in_it_share_that() {
    let mut lab = Lab::new(&TWO);
    let plain = query(1, "s.distributed.local.");
    lab.udp(&plain.packet());
    lab.udp(&Question { rd: true, id: 2, ..plain }.packet());
    assert_eq!(lab.asked.iter().map(|asked| rd(&asked.packet)).collect::<Vec<_>>(), [true, true]);
    answer_all(&mut lab, "x");
    let answers = lab.take_answers();
    let flags: Vec<bool> = answers.iter().map(|answer| rd(&answer.packet)).collect();
    assert_eq!(flags, [false, true], "each client gets its own RD back (M9)");
}

#[test]
fn q6_u4_a_forward_is_asked_with_each_clients_rd() {
    let mut lab = Lab::new(&[&TWO[..], &["--forward", ". 192.0.2.53"]].concat());
    let plain = query(1, "www.example.");
    lab.udp(&plain.packet());
    lab.udp(&Question { rd: true, id: 2, ..plain }.packet());
    let asked = lab.take_asked();
    assert_eq!(asked.iter().map(|asked| rd(&asked.packet)).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn u4_t5_who_comes_late_begins_a_fan_out_of_its_own() {
    let mut lab = Lab::new(&TWO);
    lab.udp(&query(1, "s.distributed.local.").packet());
    lab.pass(Duration::from_millis(399));
    lab.take_asked();
    lab.udp(&query(2, "s.distributed.local.").packet());
    assert!(lab.asked.is_empty());
    lab.pass(Duration::from_millis(1));
    lab.take_asked();
    lab.udp(&query(3, "s.distributed.local.").packet());
    assert_eq!(lab.asked.len(), 2);
    lab.pass(Duration::from_millis(400));
    assert_eq!(lab.take_answers().len(), 1);
    lab.pass(Duration::from_millis(400));
    assert_eq!(lab.take_answers().len(), 2);
    lab.assert_idle();
}

#[test]
fn t5_answers_held_for_a_deadline_left_in_one_burst() {
    let mut lab = Lab::new(&TWO);
    for id in 0..1200 {
        let client = from(u64::from(id), Transport::Udp);
        lab.query(client, &query(id, "s.distributed.local.").packet());
        lab.pass(Duration::from_millis(1));
    }
    lab.pass(Duration::from_millis(800));
    let answers = lab.take_answers();
    assert_eq!(answers.len(), 1200);
    let begin = answers[0].at;
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.at, begin + Duration::from_millis(n as u64), "one a millisecond");
    }
    lab.assert_idle();
}

#[test]
fn each_answer_says_when_its_own_query_came_and_whether_it_was_kept() {
    let mut lab = Lab::new(&[&TWO[..], &["--cache", "100"]].concat());
    let name = "s.distributed.local.";
    let first = lab.now;
    lab.query(from(1, Transport::Udp), &query(1, name).packet());
    lab.pass(Duration::from_millis(20));
    let second = lab.now;
    lab.query(from(2, Transport::Udp), &query(2, name).packet());
    lab.pass(Duration::from_millis(10));
    answer_all(&mut lab, "x");
    let came: Vec<_> = lab.take_answers().iter().map(|a| (a.came, a.kept)).collect();
    assert_eq!(came, [(first, false), (second, false)]);
    lab.pass(Duration::from_millis(10));
    let third = lab.now;
    for (id, text) in [(3, name), (4, "not.ours.")] {
        lab.query(from(u64::from(id), Transport::Udp), &query(id, text).packet());
    }
    let came: Vec<_> = lab.take_answers().iter().map(|a| (a.came, a.kept)).collect();
    assert_eq!(came, [(third, true), (third, false)]);
}

/// Every way to ask a question: with each flag or without, over each transport.
fn every_way(name: &str) -> Vec<(Client, Vec<u8>)> {
    let mut ways = Vec::new();
    for bits in 0..16u16 {
        let edns = (bits & 8 > 0).then_some(1232);
        let question = Question { edns, ..query(bits, name) };
        for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
            let mut packet = question.packet();
            let [rd, ad, cd] = [bits & 1, bits >> 1 & 1, bits >> 2 & 1].map(|bit| bit as u8);
            packet[2] |= rd;
            packet[3] |= ad << 5 | cd << 4;
            let socket = u64::from(bits);
            ways.push((Client { socket, transport, ..client(transport) }, packet));
        }
    }
    ways
}

/// Every flag, transport and retransmission: at most `WINDOWS` IDs with CD, and as
/// many without.
#[test]
fn u4_one_question_has_a_few_ids_in_flight_whoever_asks_and_however() {
    let names = ["s.distributed.local.", "a-s.distributed.local."];
    let one = "cluster-a.local. a- 10.8.0.1";
    let five = "cluster-a.local. a- 10.8.0.1 10.8.0.2 10.8.0.3 10.8.0.4 10.8.0.5";
    for (cluster, names) in [(one, &names[..]), (five, &names), (one, &["www.example."])] {
        let zone = ["--zone", "distributed.local.", "--cluster", cluster];
        let mut lab = Lab::new(&[&zone[..], &["--forward", ". 10.8.0.1"]].concat());
        let ways: Vec<_> = names.iter().flat_map(|name| every_way(name)).collect();
        let mut most = 0;
        for round in 0..3000 {
            let (client, packet) = &ways[round * 7 % ways.len()];
            lab.query(*client, packet);
            lab.pass(Duration::from_millis(1));
            most = most.max(lab.engine.questions_in_flight());
        }
        // With CD and without; of a forward also with RD and without.
        let kinds = if names[0] == "www.example." { 4 } else { 2 };
        assert!(most <= kinds * usize::from(WINDOWS), "{cluster}: {most}");
        assert!(most > usize::from(WINDOWS), "{cluster}: {most}");
        lab.pass(Duration::from_secs(3));
        lab.take_answers();
        lab.assert_idle();
    }
}

#[test]
fn u4_the_end_of_many_chains_is_one_question() {
    let mut lab = Lab::new(&TWO);
    for n in 0..50 {
        lab.udp(&query(n, &format!("s{n}.distributed.local.")).packet());
        for asked in lab.take_asked() {
            if asked.server.to_string().starts_with("10.8") {
                let chain = format!("s{n}.cluster-a.local. 30 IN CNAME end.cluster-b.local.");
                lab.reply(asked.link, &Reply::ok(&[&chain]).to(&asked.packet));
            } else if !asked.packet.windows(4).any(|name| name == b"\x03end") {
                lab.reply(asked.link, &Reply::rcode(Rcode::NXDOMAIN).to(&asked.packet));
            }
        }
        assert!(lab.engine.questions_in_flight() <= usize::from(WINDOWS));
    }
    lab.pass(Duration::from_secs(1));
    assert_eq!(lab.take_answers().len(), 50);
    lab.assert_idle();
}

#[test]
fn u4_five_thousand_wait_for_one_answer_and_get_it_in_turn() {
    let mut lab = Lab::new(&ONE_CLUSTER);
    for n in 0..5000u64 {
        lab.query(from(n, Transport::Udp), &query(n as u16, "s.distributed.local.").packet());
    }
    assert_eq!((lab.asked.len(), lab.engine.questions_in_flight()), (1, 1));
    assert_eq!(lab.engine.queries_in_flight(), 5000);
    answer_all(&mut lab, "x");
    let mut answered = lab.take_answers().len();
    assert!((1000..=1025).contains(&answered), "{answered}");
    for _ in 0..4 {
        lab.pass(Duration::from_millis(1));
        let more = lab.take_answers().len();
        assert!(more <= 1024, "{more}");
        answered += more;
    }
    assert_eq!(answered, 5000);
    lab.assert_idle();
}

const ONE_CLUSTER: [&str; 4] =
    ["--zone", "distributed.local.", "--cluster", "cluster-a.local. a- 10.8.0.1"];

#[test]
fn u4_who_waits_for_anothers_answer_counts_among_the_queries_in_flight() {
    for limit in [
        &["--max-queries", "10", "--workers", "1"][..],
        &["--max-queries-per-client", "10", "--workers", "1"],
    ] {
        let mut lab = Lab::new(&[&ONE_CLUSTER[..], limit].concat());
        for n in 0..25 {
            lab.udp(&query(n, "s.distributed.local.").packet());
        }
        let refused = lab.take_answers();
        assert_eq!(refused.len(), 15, "{limit:?}");
        let mut lines = refused.iter().flat_map(|answer| shown(&answer.packet));
        assert!(lines.all(|line| line == "=> SERVFAIL" || line.is_empty()));
        assert_eq!(lab.engine.questions_in_flight(), 1);
        answer_all(&mut lab, "x");
        assert_eq!(lab.take_answers().len(), 10);
        // All of them have been counted out.
        for n in 0..10 {
            lab.udp(&query(n, "s.distributed.local.").packet());
        }
        assert!(lab.take_answers().is_empty());
        answer_all(&mut lab, "x");
        assert_eq!(lab.take_answers().len(), 10);
        lab.assert_idle();
    }
}

#[test]
fn q7_u4_clients_share_also_what_a_forward_leads_to() {
    let mut lab = Lab::new(&[&ONE_CLUSTER[..], &["--forward", ". 192.0.2.53"]].concat());
    lab.query(from(1, Transport::Udp), &query(1, "www.example.").packet());
    let asked = lab.take_asked().remove(0);
    let chain = "www.example. 60 IN CNAME s.distributed.local.";
    lab.query(from(2, Transport::Udp), &query(2, "WWW.example.").packet());
    lab.reply(asked.link, &Reply::ok(&[chain]).to(&asked.packet));
    assert_eq!(lab.asked.len(), 1, "one question to the cluster");
    lab.query(from(3, Transport::Tcp), &query(3, "www.EXAMPLE.").packet());
    answer_all(&mut lab, "x");
    let mut answers = lab.take_answers();
    answers.sort_by_key(|answer| answer.client.socket);
    let spelled = ["www.example.", "WWW.example.", "www.EXAMPLE."];
    for (n, (answer, name)) in answers.iter().zip(spelled).enumerate() {
        assert_eq!(answer.packet[..2], [0, n as u8 + 1]);
        assert_eq!(common::text::question_of(&answer.packet), format!("{name} TXT"));
        assert_eq!(shown(&answer.packet)[2], "s.distributed.local. 30 IN TXT \"x\"");
    }
    assert_eq!(answers.len(), 3);
    lab.assert_idle();
}

#[test]
fn q7_t5_clients_that_share_what_a_forward_leads_to_wait_for_their_own_deadlines() {
    let zone = ["--zone", "distributed.local.", "--cluster", "cluster-a.local. a- 10.8.0.1"];
    let mut lab = Lab::new(&[&zone[..], &["--forward", ". 192.0.2.53"]].concat());
    for n in 0..300 {
        lab.query(from(n, Transport::Udp), &query(n as u16, "www.example.").packet());
        for asked in lab.take_asked() {
            if asked.server.to_string().starts_with("192.") {
                let chain = "www.example. 60 IN CNAME s.distributed.local.";
                lab.reply(asked.link, &Reply::ok(&[chain]).to(&asked.packet));
            }
        }
        lab.pass(Duration::from_millis(1));
    }
    lab.pass(Duration::from_millis(800));
    let answers = lab.take_answers();
    assert_eq!(answers.len(), 300);
    for answer in answers {
        let waited = answer.at.since(answer.came);
        assert!(waited <= Duration::from_millis(800), "{waited:?}");
    }
    lab.assert_idle();
}

#[test]
fn q7_a_forward_may_lead_to_a_zone_that_a_reload_has_moved() {
    let forward = ["--forward", ". 192.0.2.53"];
    let y = ["--zone", "y.", "--cluster", "ky. y- 10.7.0.1"];
    let z = ["--zone", "z.", "--cluster", "kz. z- 10.8.0.1"];
    let mut lab = Lab::new(&[&y[..], &z, &forward].concat());
    lab.udp(&query(1, "www.example.").packet());
    let asked = lab.take_asked().remove(0);
    lab.set_plan(common::plan(&[&z[..], &forward].concat()));
    let chain = "www.example. 60 IN CNAME z-s.z.";
    lab.reply(asked.link, &Reply::ok(&[chain]).to(&asked.packet));
    let asked = lab.take_asked().remove(0);
    assert_eq!(common::text::question_of(&asked.packet), "s.kz. TXT");
    lab.reply(asked.link, &Reply::ok(&["s.kz. 30 IN TXT x"]).to(&asked.packet));
    assert_eq!(shown(&lab.take_answers()[0].packet)[2], "z-s.z. 30 IN TXT \"x\"");
    lab.assert_idle();
}

/// Costly to follow: names of 255 octets before the CNAMEs that matter.
#[test]
fn q7_a_chain_that_costs_too_much_lets_nothing_of_ours_through() {
    let mut lab = Lab::new(&[&ONE_CLUSTER[..], &["--forward", ". 192.0.2.53"]].concat());
    lab.query(from(1, Transport::Tcp), &query(1, "www.example.").packet());
    let asked = lab.take_asked().remove(0);
    let end = asked.packet.len() - if asked.packet[11] == 1 { 11 } else { 0 };
    let mut reply = asked.packet[..end].to_vec();
    reply[2] |= 0x80;
    let name = |reply: &mut Vec<u8>, text: &str| {
        for label in text.split('.').filter(|label| !label.is_empty()) {
            reply.push(label.len() as u8);
            reply.extend(label.as_bytes());
        }
        reply.push(0);
    };
    let long = vec!["x".repeat(60); 4].join(".");
    let place = reply.len();
    let mut count = 0u16;
    for n in 0..200 {
        if n == 0 {
            name(&mut reply, &long);
        } else {
            reply.extend((0xC000 | place as u16).to_be_bytes());
        }
        reply.extend(b"\0\x05\0\x01\0\0\0\x1E\0\x01\0");
        count += 1;
    }
    for (owner, target) in [("www.example", "x.example"), ("x.example", "web.distributed.local")] {
        name(&mut reply, owner);
        reply.extend(b"\0\x05\0\x01\0\0\0\x1E");
        reply.extend((target.len() as u16 + 2).to_be_bytes());
        name(&mut reply, target);
        count += 1;
    }
    name(&mut reply, "web.distributed.local");
    reply.extend(b"\0\x10\0\x01\0\0\0\x1E\0\x04\x03lie");
    reply[6..12].copy_from_slice(&[0, 0, 0, 0, 0, 0]);
    reply[6..8].copy_from_slice(&(count + 1).to_be_bytes());
    lab.reply(asked.link, &reply);
    lab.pass(Duration::from_secs(1));
    let answer = lab.take_answers().remove(0);
    assert!(!answer.packet.windows(3).any(|octets| octets == b"lie"));
    lab.take_asked();
    lab.assert_idle();
}

#[test]
fn u4_the_case_of_a_prefixed_name_opens_no_more_ids() {
    let servers = "cluster-a.local. a- 10.8.0.1 10.8.0.2 10.8.0.3 10.8.0.4 10.8.0.5";
    let flags = ["--zone", "distributed.local.", "--cluster", servers, "--deadline", "8s"];
    let mut lab = Lab::new(&flags);
    for (id, name) in [(1, "s.distributed.local."), (2, "a-S.distributed.local.")] {
        lab.udp(&query(id, name).packet());
        lab.pass(Duration::from_millis(3900));
        lab.take_asked();
    }
    assert_eq!(lab.engine.questions_in_flight(), usize::from(WINDOWS));
}
