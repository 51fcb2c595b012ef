//! U3 and Q5: again, elsewhere, and all inside the deadline.

use crate::actors::{
    DEADLINE, MS, ONE, THREE_SERVERS, address, addresses, ask, ask_web, rcode, watch,
};
use crate::common::text::{Reply, question_of, shown};
use crate::common::{Asked, Lab, TWO};
use domain::base::iana::Rcode;
use gathersrv::engine::{LinkState, Time};
use std::collections::HashMap;
use std::time::Duration;

/// A server that has answered ten questions after `ms` milliseconds each.
fn known(flags: &[&str], ms: u32) -> Lab {
    let mut lab = Lab::new(flags);
    for _ in 0..10 {
        let asked = ask_web(&mut lab);
        lab.pass(MS * ms);
        for asked in asked {
            lab.reply(asked.link, &address(&asked, 1));
        }
        assert_eq!(lab.take_answers().len(), 1);
    }
    lab
}

fn check_silence(lab: &mut Lab, start: Time, first: &Asked, sent: &[(Time, Asked)]) {
    assert!(sent.len() <= 8, "nine tries at most");
    for (at, again) in sent {
        assert_eq!(again.packet, first.packet, "the same packet, with the same ID");
        assert_eq!(again.link, first.link, "to the same server through the same socket");
        assert!(*at < start + DEADLINE, "after the deadline");
    }
    let mut times = vec![start];
    times.extend(sent.iter().map(|(at, _)| *at));
    for three in times.windows(3) {
        assert!(three[2].since(three[1]) >= three[1].since(three[0]), "waits grow: {times:?}");
    }
    let answers = lab.take_answers();
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].at, start + DEADLINE);
    assert!(shown(&answers[0].packet)[0].starts_with("=> SERVFAIL"));
    lab.assert_idle();
}

#[test]
fn u3_a_fast_server_is_asked_again_early() {
    let mut lab = known(&ONE, 2);
    let start = lab.now;
    let first = ask_web(&mut lab).remove(0);
    let sent = watch(&mut lab, DEADLINE + MS * 50);
    let second = sent[0].0.since(start);
    assert!((MS * 10..=MS * 40).contains(&second), "second try after {second:?}");
    assert!(sent.len() >= 5, "{} tries", sent.len() + 1);
    check_silence(&mut lab, start, &first, &sent);
}

#[test]
fn u3_a_slow_server_is_given_its_time() {
    let mut lab = known(&ONE, 90);
    let start = lab.now;
    let first = ask_web(&mut lab).remove(0);
    let sent = watch(&mut lab, DEADLINE + MS * 50);
    let second = sent[0].0.since(start);
    assert!((MS * 90..=MS * 200).contains(&second), "second try after {second:?}");
    assert!(sent.len() >= 2, "{} tries", sent.len() + 1);
    check_silence(&mut lab, start, &first, &sent);
}

#[test]
fn u3_an_unknown_server_is_asked_at_least_three_times() {
    let mut lab = Lab::new(&ONE);
    let start = lab.now;
    let first = ask_web(&mut lab).remove(0);
    let sent = watch(&mut lab, DEADLINE + MS * 50);
    assert!(sent.len() >= 2, "{} tries", sent.len() + 1);
    check_silence(&mut lab, start, &first, &sent);
}

#[test]
fn u3_an_answer_to_a_repeated_question_is_not_measured() {
    let mut lab = known(&ONE, 2);
    let asked = ask_web(&mut lab).remove(0);
    let sent = watch(&mut lab, MS * 700);
    assert!(!sent.is_empty());
    lab.reply(asked.link, &address(&asked, 1));
    assert_eq!(addresses(&mut lab), [1]);
    // Had 700 ms been measured, the next wait would be the longest.
    let start = lab.now;
    ask_web(&mut lab);
    let sent = watch(&mut lab, MS * 100);
    assert!(sent[0].0.since(start) <= MS * 40, "Karn's rule");
}

#[test]
fn u3_the_next_try_goes_to_the_next_server() {
    let mut lab = known(&THREE_SERVERS, 2);
    let first = ask_web(&mut lab).remove(0);
    let sent = watch(&mut lab, DEADLINE);
    let servers: Vec<u8> = sent.iter().map(|(_, asked)| last_octet(asked)).collect();
    assert_eq!(last_octet(&first), 1);
    assert_eq!(servers[..3], [2, 3, 1]);
    assert!(servers.len() <= 6);
    let ids = [&first, &sent[0].1, &sent[1].1].map(|asked| (asked.link, asked.id()));
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "each server has its own question");
    assert_eq!(sent[2].1.packet, first.packet, "back at the first: the same packet");
    assert_eq!(sent[2].1.link, first.link);
}

fn last_octet(asked: &Asked) -> u8 {
    match asked.server.ip() {
        std::net::IpAddr::V4(ip) => ip.octets()[3],
        std::net::IpAddr::V6(_) => panic!("no such server"),
    }
}

#[test]
fn u3_an_answer_of_the_first_server_counts_when_the_second_has_been_asked() {
    let mut lab = Lab::new(&THREE_SERVERS);
    let first = ask_web(&mut lab).remove(0);
    assert_eq!(watch(&mut lab, MS * 120).len(), 1);
    lab.reply(first.link, &address(&first, 1));
    assert_eq!(addresses(&mut lab), [1]);
    lab.assert_idle();
}

#[test]
fn u3_servfail_and_refused_move_on_at_once() {
    let mut lab = Lab::new(&THREE_SERVERS);
    let first = ask_web(&mut lab).remove(0);
    lab.reply(first.link, &rcode(&first, Rcode::SERVFAIL));
    let second = lab.take_asked().remove(0);
    assert_eq!(last_octet(&second), 2);
    lab.reply(second.link, &rcode(&second, Rcode::REFUSED));
    let third = lab.take_asked().remove(0);
    assert_eq!(last_octet(&third), 3);
    lab.reply(third.link, &rcode(&third, Rcode::SERVFAIL));
    let answers = lab.take_answers();
    assert!(shown(&answers[0].packet)[0].starts_with("=> SERVFAIL"), "nobody is left");
    lab.assert_idle();
}

#[test]
fn u3_sixteen_servers_that_refuse_are_each_asked_once() {
    let servers: Vec<String> = (1..=16).map(|n| format!("10.8.0.{n}")).collect();
    let cluster = format!("cluster-a.local. a- {}", servers.join(" "));
    let mut lab = Lab::new(&["--zone", "distributed.local.", "--cluster", &cluster]);
    let mut waiting = ask_web(&mut lab);
    let mut tries = Vec::new();
    while let Some(asked) = waiting.pop() {
        tries.push(last_octet(&asked));
        lab.reply(asked.link, &rcode(&asked, Rcode::REFUSED));
        waiting.extend(lab.take_asked());
    }
    assert_eq!(tries, (1..=16).collect::<Vec<_>>());
    assert_eq!(lab.take_answers().len(), 1);
    lab.assert_idle();
}

#[test]
fn u3_an_icmp_error_is_a_hint_and_a_late_answer_still_counts() {
    let mut lab = Lab::new(&THREE_SERVERS);
    let first = ask_web(&mut lab).remove(0);
    lab.link(first.link, LinkState::Refused);
    let second = lab.take_asked().remove(0);
    assert_eq!(last_octet(&second), 2);
    lab.reply(first.link, &address(&first, 1));
    assert_eq!(addresses(&mut lab), [1]);
    lab.assert_idle();
}

#[test]
fn q5_the_second_round_ends_at_the_same_deadline() {
    let mut lab = Lab::new(&TWO);
    let start = lab.now;
    lab.udp(&crate::actors::address_query("a-thing.distributed.local."));
    let first = lab.take_asked().remove(0);
    assert_eq!(question_of(&first.packet), "thing.cluster-a.local. A");
    lab.pass(MS * 790);
    let again = lab.take_asked();
    lab.reply(first.link, &rcode(&first, Rcode::NXDOMAIN));
    let second = lab.take_asked();
    let questions: Vec<String> = second.iter().map(|asked| question_of(&asked.packet)).collect();
    assert_eq!(questions, ["a-thing.cluster-a.local. A", "a-thing.cluster-b.local. A"]);
    lab.pass(MS * 9);
    assert!(lab.answers.is_empty());
    lab.pass(MS);
    let answers = lab.take_answers();
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].at, start + DEADLINE);
    for late in first_and(&first, &again, &second) {
        lab.reply(late.link, &address(late, 66));
    }
    assert!(lab.answers.is_empty());
    lab.assert_idle();
}

fn first_and<'a>(first: &'a Asked, more: &'a [Asked], rest: &'a [Asked]) -> Vec<&'a Asked> {
    [first].into_iter().chain(more).chain(rest).collect()
}

#[test]
fn q5_a_second_round_is_not_made_of_failures() {
    let mut lab = Lab::new(&TWO);
    lab.udp(&crate::actors::address_query("a-thing.distributed.local."));
    let first = lab.take_asked().remove(0);
    lab.reply(first.link, &Reply::rcode(Rcode::SERVFAIL).to(&first.packet));
    assert!(lab.take_asked().is_empty());
    assert!(shown(&lab.take_answers()[0].packet)[0].starts_with("=> SERVFAIL"));
}

#[test]
fn u3_a_silent_cluster_under_load_was_asked_so_often_that_answers_were_late() {
    let mut lab = Lab::new(&ONE);
    let heard = ask_web(&mut lab).remove(0);
    lab.reply(heard.link, &address(&heard, 1));
    let queries = 5000;
    for n in 0..queries {
        ask(&mut lab, n, &format!("n{n}.distributed.local."));
        lab.pass(MS / 5);
    }
    lab.pass(DEADLINE);
    let again = lab.take_asked().len() as u64 - queries;
    // Until the silence is noticed, and then at the rate of a silent server.
    assert!((500..queries / 2).contains(&again), "{again} times");
    assert_eq!(lab.answers.len() as u64, 1 + queries);
}

/// The last octets of the servers that are asked first, one question after another.
fn asked_first(lab: &mut Lab, questions: u64) -> Vec<u8> {
    let first = |n| {
        ask(lab, n, &format!("n{n}.distributed.local."));
        let asked = lab.take_asked().remove(0);
        lab.reply(asked.link, &address(&asked, 1));
        last_octet(&asked)
    };
    (0..questions).map(first).collect()
}

#[test]
fn u3_by_the_policy_a_question_begins_with_the_first_the_next_or_any_server() {
    let by = |policy| Lab::new(&[&THREE_SERVERS[..], &["--policy", policy]].concat());
    assert_eq!(asked_first(&mut by("sequential"), 9), [1; 9]);
    let turns = asked_first(&mut by("round-robin"), 9);
    assert!(turns.iter().all(|last| (1..=3).contains(last)), "{turns:?}");
    for pair in turns.windows(2) {
        assert_eq!(pair[1], pair[0] % 3 + 1, "each in turn: {turns:?}");
    }
    let any = asked_first(&mut by("random"), 90);
    let times = |server| any.iter().filter(|&&last| last == server).count();
    assert!((1..=3).all(|server| times(server) >= 10), "{any:?}");
}

#[test]
fn u3_a_refusal_of_the_first_server_changes_nothing_once_the_second_is_asked() {
    let mut lab = Lab::new(&THREE_SERVERS);
    let first = ask_web(&mut lab).remove(0);
    let second = watch(&mut lab, DEADLINE / 4).remove(0).1;
    assert_ne!(second.server, first.server);
    lab.reply(first.link, &rcode(&first, Rcode::SERVFAIL));
    assert!(lab.take_asked().is_empty(), "the second has the question");
    lab.reply(second.link, &rcode(&second, Rcode::SERVFAIL));
    let third = lab.take_asked();
    assert_eq!(third.len(), 1);
    assert!(third[0].server != first.server && third[0].server != second.server);
    lab.reply(third[0].link, &address(&third[0], 3));
    assert_eq!(addresses(&mut lab), [3]);
}

#[test]
fn u4_u5_a_server_that_was_given_up_in_favour_of_another_missed_one_question() {
    let servers = (1..=4).map(|n| format!("10.8.0.{n}")).collect::<Vec<_>>().join(" ");
    let cluster = format!("cluster-a.local. a- {servers}");
    let zone = ["--zone", "distributed.local.", "--cluster", &cluster];
    let mut lab = Lab::new(&[&zone[..], &["--max-fails", "2", "--deadline", "2s"]].concat());
    let mut asked_in = |n: u64| -> HashMap<_, usize> {
        ask(&mut lab, n, &format!("n{n}.distributed.local."));
        let mut times = HashMap::new();
        lab.pass(Duration::from_secs(2));
        for asked in lab.take_asked() {
            *times.entry(asked.server).or_default() += 1;
        }
        let out = lab.engine.counters().taken_out;
        // One answer between two questions would bring them back.
        assert_eq!(out, if n == 1 { 0 } else { 4 }, "after question {n}: {times:?}");
        times
    };
    let first = asked_in(1);
    assert_eq!(first.len(), 4, "each of them, and not all at once");
    assert!(first.values().any(|&times| times > 1), "some were given up twice: {first:?}");
    assert_eq!(asked_in(2).len(), 4);
}
