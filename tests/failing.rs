//! Servers that fail and come back, in virtual time (U5).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::text::{Question, Reply, question_of, shown};
use common::{Asked, Lab, TWO, plan};
use domain::base::iana::{Rcode, Rtype};
use gathersrv::engine::{LinkState, Notice};
use std::time::Duration;

/// Two questions left unanswered take a server out.
fn two_misses() -> Vec<&'static str> {
    [&TWO[..], &["--max-fails", "2"]].concat()
}

fn query(id: u16, name: &str) -> Vec<u8> {
    Question { id, edns: Some(1232), ..Question::new(name, Rtype::A) }.packet()
}

fn is_b(asked: &Asked) -> bool {
    asked.server == "10.9.0.1:53".parse().unwrap()
}

/// Asks, has cluster a answer, and leaves b silent. Returns b's questions.
fn with_b_silent(lab: &mut Lab, id: u16) -> Vec<Asked> {
    lab.udp(&query(id, "s.distributed.local."));
    let (b, a): (Vec<Asked>, Vec<Asked>) = lab.take_asked().into_iter().partition(is_b);
    let reply = Reply::ok(&["s.cluster-a.local. 30 IN A 10.8.1.2"]);
    lab.reply(a[0].link, &reply.to(&a[0].packet));
    b
}

/// A laboratory in which b has been taken out.
fn b_is_out() -> Lab {
    let mut lab = Lab::new(&two_misses());
    for id in 0..2 {
        assert_eq!(with_b_silent(&mut lab, id).len(), 1);
        lab.pass(Duration::from_millis(800));
        assert_eq!(lab.take_answers().len(), 1);
        lab.take_asked();
    }
    lab
}

#[test]
fn u5_a_cluster_known_to_be_down_costs_a_query_nothing() {
    let mut lab = b_is_out();
    let start = lab.now;
    assert!(with_b_silent(&mut lab, 7).is_empty(), "b is not asked");
    let answers = lab.take_answers();
    assert_eq!(answers[0].at, start);
    let lines = shown(&answers[0].packet);
    assert_eq!(lines[2], "ede 23 answer is partial, without cluster-b.local. b-");
}

#[test]
fn u5_a_server_that_is_out_is_probed_with_growing_pauses_and_comes_back() {
    let mut lab = b_is_out();
    let out_since = lab.now;
    let mut pauses = Vec::new();
    let mut last = out_since;
    for _ in 0..4 {
        let next = lab.engine.next_timeout().unwrap();
        lab.pass(next.since(lab.now));
        let probes = lab.take_asked();
        assert_eq!(probes.len(), 1);
        assert_eq!(question_of(&probes[0].packet), "cluster-b.local. SOA");
        assert_eq!(probes[0].packet[2..4], [1, 0], "RD, as in every question");
        let opt = b"\0\0\x29\x04\xD0\0\0\0\0\0\0";
        assert!(probes[0].packet.ends_with(opt) && probes[0].packet[11] == 1, "and OPT");
        pauses.push(lab.now.since(last).as_millis());
        last = lab.now;
        if pauses.len() == 4 {
            // Any reply will do: it is there.
            let reply = Reply::rcode(Rcode::REFUSED);
            lab.reply(probes[0].link, &reply.to(&probes[0].packet));
        }
    }
    assert_eq!(pauses, [250, 500, 1000, 1000]);
    assert_eq!(with_b_silent(&mut lab, 9).len(), 1, "b is asked again");
    lab.pass(Duration::from_secs(1));
    lab.assert_idle();
}

#[test]
fn u5_a_late_reply_to_an_old_probe_brings_nobody_back() {
    let mut lab = b_is_out();
    lab.pass(Duration::from_millis(250));
    let old = lab.take_asked().remove(0);
    lab.pass(Duration::from_millis(500));
    lab.take_asked();
    lab.reply(old.link, &Reply::rcode(Rcode::NOERROR).to(&old.packet));
    assert!(with_b_silent(&mut lab, 9).is_empty());
}

#[test]
fn u5_one_answer_between_failures_keeps_a_server_in() {
    let mut lab = Lab::new(&two_misses());
    for id in 0..6 {
        let b = with_b_silent(&mut lab, id);
        assert_eq!(b.len(), 1, "question {id}");
        if id % 2 == 1 {
            lab.reply(b[0].link, &Reply::rcode(Rcode::NXDOMAIN).to(&b[0].packet));
        }
        lab.pass(Duration::from_millis(800));
        lab.take_asked();
    }
}

#[test]
fn u5_one_refused_question_counts_once_however_often_it_was_sent() {
    let mut lab = Lab::new(&two_misses());
    let first = with_b_silent(&mut lab, 0);
    lab.link(first[0].link, LinkState::Refused);
    let again = lab.take_asked();
    lab.link(again[0].link, LinkState::Refused);
    assert_eq!(lab.take_answers().len(), 1);
    assert_eq!(with_b_silent(&mut lab, 1).len(), 1, "asked again with the next query");
}

#[test]
fn u5_a_server_that_answers_servfail_is_there() {
    let mut lab = Lab::new(&two_misses());
    for id in 0..5 {
        let b = with_b_silent(&mut lab, id);
        assert_eq!(b.len(), 1, "question {id}");
        lab.reply(b[0].link, &Reply::rcode(Rcode::SERVFAIL).to(&b[0].packet));
        lab.pass(Duration::from_millis(10));
    }
}

#[test]
fn u3_u5_a_silent_first_server_is_passed_over_once_it_is_out() {
    let flags = ["--zone", "z.", "--cluster", "k. a- 10.8.0.1 10.8.0.2", "--max-fails", "2"];
    let mut lab = Lab::new(&flags);
    let reply = Reply::ok(&["s.k. 30 IN A 10.8.1.2"]);
    let second = "10.8.0.2:53".parse().unwrap();
    let mut waits = Vec::new();
    for id in 0..4 {
        let start = lab.now;
        lab.udp(&query(id, "s.z."));
        for _ in 0..30 {
            let asked = lab.take_asked();
            if let Some(asked) = asked.iter().find(|asked| asked.server == second) {
                lab.reply(asked.link, &reply.to(&asked.packet));
                break;
            }
            lab.pass(Duration::from_millis(10));
        }
        waits.push(lab.take_answers()[0].at.since(start).as_millis());
        lab.pass(Duration::from_millis(10));
        lab.take_asked();
    }
    assert_eq!(waits[0], 100);
    assert_eq!(waits[3], 0, "{waits:?}");
}

/// Leaves b's question unanswered, has b answer another `heard` milliseconds
/// later, and tells how often a server has been taken out at the deadline.
fn taken_out(deadline: &'static str, heard: u64, until: u64) -> u64 {
    let flags = [&TWO[..], &["--max-fails", "1", "--deadline", deadline]].concat();
    let mut lab = Lab::new(&flags);
    with_b_silent(&mut lab, 0);
    lab.pass(Duration::from_millis(heard));
    lab.take_asked();
    lab.udp(&query(1, "t.distributed.local."));
    for asked in lab.take_asked() {
        lab.reply(asked.link, &Reply::rcode(Rcode::NXDOMAIN).to(&asked.packet));
    }
    lab.pass(Duration::from_millis(until - heard));
    lab.engine.counters().taken_out
}

#[test]
fn u5_a_server_heard_within_a_quarter_of_the_deadline_stays_in() {
    for (deadline, until) in [("800ms", 800), ("400ms", 400)] {
        let quarter = until / 4;
        for (silence, out) in [(quarter - 1, 0), (quarter, 1), (quarter + 1, 1)] {
            let told = format!("silent for {silence} of {until} ms");
            assert_eq!(taken_out(deadline, until - silence, until), out, "{told}");
        }
    }
}

#[test]
fn u5_operators_hear_of_a_server_that_is_out_and_of_one_that_is_back() {
    let mut lab = b_is_out();
    let b = "10.9.0.1:53".parse().unwrap();
    let out = Notice::Out { server: b, missed: 2, silence: None };
    assert_eq!(lab.take_notices(), [out]);
    lab.pass(Duration::from_millis(250));
    let probe = lab.take_asked().remove(0);
    lab.reply(probe.link, &Reply::rcode(Rcode::REFUSED).to(&probe.packet));
    assert_eq!(lab.take_notices(), [Notice::Back(b)]);
    lab.pass(Duration::from_secs(1));
    // Out once more, and now it has been heard of.
    for id in 0..2 {
        with_b_silent(&mut lab, id);
        lab.pass(Duration::from_millis(800));
    }
    let silence = Some(Duration::from_millis(2600));
    assert_eq!(lab.take_notices(), [Notice::Out { server: b, missed: 2, silence }]);
}

#[test]
fn u5_a_server_that_is_down_is_not_asked_again_while_others_are_up() {
    let flags =
        ["--zone", "z.", "--cluster", "k. a- 10.8.0.1 10.8.0.2 10.8.0.3", "--max-fails", "1"];
    let mut lab = Lab::new(&flags);
    let reply = Reply::ok(&["s.k. 30 IN A 10.8.1.2"]);
    let server = |n: u8| format!("10.8.0.{n}:53").parse().unwrap();
    lab.udp(&query(1, "s.z."));
    lab.pass(Duration::from_millis(400));
    let asked = lab.take_asked();
    let second = asked.iter().find(|asked| asked.server == server(2)).unwrap();
    lab.reply(second.link, &reply.to(&second.packet));
    assert!(lab.engine.counters().taken_out > 0);
    lab.take_asked();
    lab.udp(&query(2, "s.z."));
    lab.pass(Duration::from_millis(700));
    // Health checks ask for the suffix.
    let is_question = |asked: &&Asked| asked.packet[12..14] == *b"\x01s";
    let asked = lab.take_asked();
    let questions: Vec<_> = asked.iter().filter(is_question).map(|asked| asked.server).collect();
    assert!(questions.len() >= 3, "{questions:?}");
    assert!(!questions.contains(&server(1)), "{questions:?}");
}

#[test]
fn max_fails_0_never_takes_a_server_out() {
    let mut lab = Lab::new(&TWO);
    for id in 0..5 {
        assert_eq!(with_b_silent(&mut lab, id).len(), 1);
        lab.pass(Duration::from_millis(800));
        lab.take_asked();
    }
    lab.assert_idle();
}

#[test]
fn u5_a_server_that_no_plan_names_any_more_is_not_checked() {
    let mut lab = b_is_out();
    lab.set_plan(plan(&TWO[..4]));
    lab.pass(Duration::from_secs(30));
    assert!(lab.take_asked().is_empty());
    lab.assert_idle();
}
