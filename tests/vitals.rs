//! What an engine tells of itself, in virtual time: questions by what became of
//! them, what each cluster contributed, and how its servers are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::text::{Question, Reply};
use common::{Lab, TWO, client, plan};
use domain::base::iana::{Rcode, Rtype};
use gathersrv::engine::meters::{Meter, NO_ANSWER, RCODES};
use gathersrv::engine::{State, Transport};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn question(name: &str) -> Vec<u8> {
    Question { edns: Some(1232), ..Question::new(name, Rtype::A) }.packet()
}

fn a_has() -> Reply {
    Reply::ok(&["s.cluster-a.local. 30 IN A 10.8.1.2"])
}

fn b_has() -> Reply {
    Reply::ok(&["s.cluster-b.local. 30 IN A 10.9.1.2"])
}

/// Answers what has been asked: `None` leaves a cluster silent.
fn answer(lab: &mut Lab, a: Option<&Reply>, b: Option<&Reply>) {
    for asked in lab.take_asked() {
        let is_a = asked.server.to_string().starts_with("10.8");
        if let Some(reply) = if is_a { a } else { b } {
            lab.reply(asked.link, &reply.to(&asked.packet));
        }
    }
}

fn counted(meter: &Meter) -> Vec<(String, u64)> {
    let mut counted: Vec<_> = meter.queries().map(|(names, n)| (names.join(" "), n)).collect();
    counted.sort();
    counted
}

#[test]
fn an_answer_is_counted_where_its_question_belongs_and_how_it_came() {
    let mut lab = Lab::new(&[&TWO[..], &["--forward", "example. 192.0.2.1"]].concat());
    lab.udp(&question("s.distributed.local."));
    answer(&mut lab, Some(&a_has()), Some(&b_has()));
    lab.query(client(Transport::Tcp), &question("none.distributed.local."));
    let none = Reply::rcode(Rcode::NXDOMAIN);
    answer(&mut lab, Some(&none), Some(&none));
    lab.udp(&question("elsewhere."));
    lab.udp(&question("www.example."));
    answer(&mut lab, None, Some(&Reply::ok(&["www.example. 30 IN A 192.0.2.7"])));
    lab.udp(&Question::new("distributed.local.", Rtype::SOA).packet());
    let vitals = lab.engine.vitals(lab.now);
    let [zone, forward] = &vitals.meters[..] else { panic!("one zone, one forward") };
    let expected = [("A tcp NXDOMAIN", 1), ("A udp NOERROR", 1), ("SOA udp NOERROR", 1)];
    assert_eq!(counted(zone), expected.map(|(name, n)| (name.to_string(), n)));
    assert_eq!(counted(forward), [("A udp NOERROR".to_string(), 1)]);
    assert_eq!(counted(&vitals.stray), [("A udp REFUSED".to_string(), 1)]);
    assert_eq!(zone.completeness, [2, 0, 0, 0]);
}

#[test]
fn m6_each_cluster_is_counted_fresh_stale_or_missing_and_how_old() {
    let mut lab = Lab::new(&[&TWO[..], &["--keep", "100", "--max-fails", "2"]].concat());
    lab.udp(&question("s.distributed.local."));
    answer(&mut lab, Some(&a_has()), Some(&b_has()));
    lab.pass(100 * SECOND);
    for name in ["s.distributed.local.", "new.distributed.local."] {
        lab.udp(&question(name));
        let owner = name.replace("distributed", "cluster-a");
        let a = Reply::ok(&[&format!("{owner} 30 IN A 10.8.1.2")]);
        answer(&mut lab, Some(&a), None);
        lab.pass(SECOND);
    }
    let vitals = lab.engine.vitals(lab.now);
    let zone = &vitals.meters[0];
    assert_eq!(zone.completeness, [1, 1, 1, 0], "whole, stale, partial, failed");
    let outcomes: Vec<_> = zone.clusters.iter().map(|c| (c.fresh, c.stale, c.missing)).collect();
    assert_eq!(outcomes, [(3, 0, 0), (1, 1, 1)]);
    let ages = &zone.clusters[1].ages;
    assert_eq!((ages.buckets[3], ages.last), (1, 100), "up to five minutes");
    let noerror = RCODES.iter().position(|(_, name)| *name == "NOERROR").unwrap();
    let of_b = zone.clusters[1].servers[0];
    assert_eq!((of_b[noerror], of_b[NO_ANSWER]), (1, 2));
    assert_eq!(zone.latency.buckets.iter().sum::<u64>(), 3);
    let states: Vec<State> = vitals.servers.iter().map(|server| server.state).collect();
    assert_eq!(states, [State::Up, State::Out]);
}

#[test]
fn a_changed_plan_keeps_the_counts_of_zones_that_stay() {
    let mut lab = Lab::new(&TWO);
    lab.udp(&question("s.distributed.local."));
    answer(&mut lab, Some(&a_has()), Some(&b_has()));
    let other = ["--zone", "other.", "--cluster", "c.local. c- 10.10.0.1"];
    lab.set_plan(plan(&[&other[..], &TWO].concat()));
    let vitals = lab.engine.vitals(lab.now);
    let counts: Vec<u64> =
        vitals.meters.iter().map(|meter| meter.of_rcode(Rcode::NOERROR).1).collect();
    assert_eq!(counts, [0, 1]);
    lab.set_plan(plan(&[&TWO[..4], &["--cluster", "cluster-b.local. b- 10.9.0.2"]].concat()));
    assert_eq!(lab.engine.vitals(lab.now).meters[0].of_rcode(Rcode::NOERROR).1, 0);
}

#[test]
fn u5_an_idle_server_is_asked_whether_it_is_there_and_found_silent() {
    let mut lab = Lab::new(&[&TWO[..], &["--max-fails", "2"]].concat());
    let states = |lab: &Lab| -> Vec<State> {
        lab.engine.vitals(lab.now).servers.iter().map(|server| server.state).collect()
    };
    assert_eq!(states(&lab), [State::Unknown, State::Unknown]);
    lab.check_idle(10 * SECOND);
    lab.check_idle(10 * SECOND);
    assert_eq!(lab.asked.len(), 2, "one probe each, however often it is wanted");
    answer(&mut lab, Some(&Reply::rcode(Rcode::REFUSED)), None);
    lab.pass(2 * SECOND);
    assert_eq!(states(&lab), [State::Up, State::Out], "whatever it says, it is there");
    let asked = lab.take_asked();
    lab.check_idle(10 * SECOND);
    assert!(lab.asked.is_empty(), "one was heard a second ago, the other is probed anyway");
    for asked in asked {
        lab.reply(asked.link, &b_has().to(&asked.packet));
    }
    assert_eq!(states(&lab), [State::Up, State::Up]);
    lab.pass(SECOND);
    lab.assert_idle();
}

#[test]
fn a_server_far_away_was_taken_out_because_its_replies_to_checks_came_too_late() {
    let mut lab = Lab::new(&TWO);
    for _ in 0..3 {
        lab.check_idle(10 * SECOND);
        // Well within the deadline of 800 ms.
        lab.pass(Duration::from_millis(600));
        answer(&mut lab, Some(&a_has()), Some(&b_has()));
        lab.pass(20 * SECOND);
    }
    let vitals = lab.engine.vitals(lab.now);
    let states: Vec<State> = vitals.servers.iter().map(|server| server.state).collect();
    assert_eq!(states, [State::Up, State::Up]);
    assert_eq!(lab.engine.counters().taken_out, 0);
}

#[test]
fn u5_an_idle_server_is_checked_until_it_answers_or_is_taken_out() {
    let mut lab = Lab::new(&[&TWO[..], &["--max-fails", "3"]].concat());
    let start = lab.now;
    lab.check_idle(10 * SECOND);
    let mut checks = [Vec::new(), Vec::new()];
    for _ in 0..2400 {
        for asked in lab.take_asked() {
            let is_a = asked.server.to_string().starts_with("10.8");
            checks[usize::from(!is_a)].push(lab.now.since(start).as_millis());
            // a answers the second check, b none.
            if is_a && checks[0].len() == 2 {
                lab.reply(asked.link, &Reply::rcode(Rcode::NOERROR).to(&asked.packet));
            }
        }
        lab.pass(Duration::from_millis(1));
    }
    assert_eq!(checks, [vec![0, 800], vec![0, 800, 1600]]);
    let vitals = lab.engine.vitals(lab.now);
    let states: Vec<State> = vitals.servers.iter().map(|server| server.state).collect();
    assert_eq!(states, [State::Up, State::Out]);
    let since = |n: usize| vitals.servers[n].since.map(|since| since.as_millis());
    assert_eq!((since(0), since(1)), (Some(1600), Some(0)));
    assert_eq!(vitals.servers[0].heard, vitals.servers[0].since);
    assert_eq!(vitals.servers[1].heard, None);
    assert_eq!(lab.engine.counters().taken_out, 1);
}

#[test]
fn an_idle_server_that_is_never_taken_out_is_not_asked_for_ever() {
    let mut lab = Lab::new(&TWO);
    lab.check_idle(10 * SECOND);
    lab.pass(60 * SECOND);
    assert_eq!(lab.take_asked().len(), 2, "one probe each");
    lab.assert_idle();
}
