//! Clusters that say what they said last: the same answer, without merging,
//! and a new one as soon as they say anything else (M1).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::text::{Question, Reply, shown};
use common::{Lab, TWO, client};
use domain::base::iana::Rtype;
use gathersrv::engine::Transport;
use std::time::Duration;

const NAME: &str = "_t._tcp.s.distributed.local.";

fn lab() -> Lab {
    Lab::new(&[&TWO[..], &["--keep", "10000"]].concat())
}

fn srv(cluster: &str, ttl: u32, pods: u32) -> Reply {
    let mut reply = Reply { aa: true, ..Reply::default() };
    for pod in 0..pods {
        reply.sections[0].push(format!(
            "_t._tcp.s.cluster-{cluster}.local. {ttl} IN SRV 0 1 2 pod-{pod}.cluster-{cluster}.local."
        ));
        reply.sections[2]
            .push(format!("pod-{pod}.cluster-{cluster}.local. {ttl} IN A 10.0.0.{pod}"));
    }
    reply
}

fn ask(lab: &mut Lab, question: &Question, a: &Reply, b: &Reply) -> Vec<u8> {
    ask_over(lab, Transport::Udp, question, a, b)
}

fn ask_over(lab: &mut Lab, how: Transport, question: &Question, a: &Reply, b: &Reply) -> Vec<u8> {
    lab.pass(Duration::from_millis(1500));
    lab.query(client(how), &question.packet());
    let asked = lab.take_asked();
    assert_eq!(asked.len(), 2, "the clusters are asked every time");
    for asked in asked {
        let reply = if asked.server.to_string().starts_with("10.8") { a } else { b };
        lab.reply(asked.link, &reply.to(&asked.packet));
    }
    let mut answers = lab.take_answers();
    assert_eq!(answers.len(), 1);
    // What was heard is handed in a little later.
    lab.pass(Duration::from_secs(1));
    lab.assert_idle();
    answers.remove(0).packet
}

/// What a daemon that has seen nothing yet answers.
fn first(question: &Question, a: &Reply, b: &Reply) -> Vec<u8> {
    ask(&mut lab(), question, a, b)
}

fn question() -> Question {
    Question { edns: Some(1232), ..Question::new(NAME, Rtype::SRV) }
}

#[test]
fn m1_the_same_replies_give_the_same_bytes_merged_or_repeated() {
    let (mut lab, a, b) = (lab(), srv("a", 30, 3), srv("b", 30, 3));
    let expected = first(&question(), &a, &b);
    for _ in 0..5 {
        assert_eq!(ask(&mut lab, &question(), &a, &b), expected);
    }
    assert_eq!(lab.engine.counters().unchanged, 3, "merged twice, built once, then repeated");
}

#[test]
fn each_client_still_has_its_own_answer() {
    let (mut lab, a, b) = (lab(), srv("a", 30, 3), srv("b", 30, 3));
    for _ in 0..3 {
        ask(&mut lab, &question(), &a, &b);
    }
    let plain = question();
    for other in [
        Question { id: 9, ..plain.clone() },
        Question { rd: true, ..plain.clone() },
        Question { cd: true, ..plain.clone() },
        Question { edns: None, ..plain.clone() },
        Question { edns: Some(512), ..plain.clone() },
        Question { dnssec_ok: true, ..plain.clone() },
        Question { name: NAME.to_uppercase(), ..plain.clone() },
        plain,
    ] {
        for _ in 0..3 {
            let expected = first(&other, &a, &b);
            assert_eq!(ask(&mut lab, &other, &a, &b), expected, "{other:?}");
            let over_tcp = ask_over(&mut lab, Transport::Tcp, &other, &a, &b);
            assert_eq!(shown(&over_tcp).len(), shown(&first(&question(), &a, &b)).len());
        }
    }
}

#[test]
fn whatever_changes_is_seen_at_once() {
    let (mut lab, a) = (lab(), srv("a", 30, 3));
    for _ in 0..3 {
        ask(&mut lab, &question(), &a, &srv("b", 30, 3));
    }
    for b in [
        srv("b", 29, 3),
        srv("b", 30, 4),
        srv("b", 30, 2),
        Reply { aa: false, ..srv("b", 30, 3) },
        Reply::rcode(domain::base::iana::Rcode::NXDOMAIN),
        srv("b", 30, 3),
    ] {
        for _ in 0..3 {
            assert_eq!(ask(&mut lab, &question(), &a, &b), first(&question(), &a, &b));
        }
    }
}

#[test]
fn m6_a_cluster_that_falls_silent_is_missed_although_the_other_says_the_same() {
    let (mut lab, a, b) = (lab(), srv("a", 30, 1), srv("b", 30, 1));
    for _ in 0..3 {
        ask(&mut lab, &question(), &a, &b);
    }
    lab.udp(&question().packet());
    for asked in lab.take_asked() {
        if asked.server.to_string().starts_with("10.8") {
            lab.reply(asked.link, &a.to(&asked.packet));
        }
    }
    lab.pass(Duration::from_secs(1));
    let lines = shown(&lab.take_answers()[0].packet);
    assert!(lines.last().unwrap().starts_with("ede 3 "), "{lines:?}");
    lab.take_asked();
    assert_eq!(ask(&mut lab, &question(), &a, &b), first(&question(), &a, &b));
}

#[test]
fn m3_a_reply_that_waits_for_another_counts_its_ttl_down_all_the_same() {
    let flags = [&TWO[..], &["--keep", "10000", "--cache", "100", "--deadline", "5s"]].concat();
    let (a, b) = (srv("a", 30, 1), srv("b", 30, 1));
    // The TTL of cluster a's record, by how long cluster b takes.
    let ttl = |lab: &mut Lab, wait: u64| {
        // Nothing of before is given again.
        lab.pass(Duration::from_secs(60));
        lab.udp(&question().packet());
        let [of_a, of_b] = &lab.take_asked()[..] else { panic!("two clusters are asked") };
        lab.reply(of_a.link, &a.to(&of_a.packet));
        lab.pass(Duration::from_millis(wait));
        lab.reply(of_b.link, &b.to(&of_b.packet));
        lab.take_asked();
        let lines = shown(&lab.take_answers().remove(0).packet);
        let ttl = lines[1].split(' ').nth(1).unwrap();
        // Asked again at once, it is the same.
        lab.udp(&question().packet());
        assert_eq!(shown(&lab.take_answers().remove(0).packet), lines);
        ttl.parse::<u32>().unwrap()
    };
    let mut lab = Lab::new(&flags);
    for (wait, expected) in [(0, 30), (0, 30), (1100, 29), (1100, 29), (0, 30), (3500, 27), (0, 30)]
    {
        assert_eq!(ttl(&mut lab, wait), expected, "after {wait} ms");
    }
}
