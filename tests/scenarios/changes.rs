//! What changes under queries in flight: the plan, the sockets, the client's
//! patience.

use crate::actors::{DEADLINE, MS, ONE, WEB, address, addresses, addresses_in, ask, ask_web};
use crate::common::text::question_of;
use crate::common::{Lab, TWO, plan};
use gathersrv::engine::LinkState;
use std::time::Duration;

const OTHER: [&str; 6] = [
    "--zone",
    "distributed.local.",
    "--cluster",
    "cluster-c.local. c- 10.10.0.1",
    "--deadline",
    "300ms",
];

#[test]
fn a_query_in_flight_finishes_on_the_plan_it_came_under() {
    let mut lab = Lab::new(&TWO);
    let old = ask_web(&mut lab);
    let start = lab.now;
    lab.set_plan(plan(&OTHER));
    let new = ask_web(&mut lab);
    assert_eq!(question_of(&new[0].packet), "web.cluster-c.local. A");
    lab.reply(old[1].link, &address(&old[1], 2));
    lab.reply(new[0].link, &address(&new[0], 3));
    assert_eq!(addresses(&mut lab), [3]);
    lab.pass(MS * 700);
    assert!(lab.answers.is_empty(), "the old plan's deadline holds");
    let again = lab.take_asked();
    assert!(!again.is_empty() && again.iter().all(|asked| asked.server == old[0].server));
    lab.reply(old[0].link, &address(&old[0], 1));
    assert_eq!(addresses(&mut lab), [1, 2]);
    assert!(lab.now < start + DEADLINE);
    lab.assert_idle();
}

#[test]
fn a_worker_that_stopped_had_no_time_to_write_what_was_answered() {
    let mut lab = Lab::new(&TWO);
    assert_eq!(lab.engine.deadline(), DEADLINE, "nothing is in flight, streams may still be busy");
    let old = ask_web(&mut lab);
    lab.set_plan(plan(&OTHER));
    assert_eq!(lab.engine.deadline(), DEADLINE, "the old plan's");
    for asked in &old {
        lab.reply(asked.link, &address(asked, 1));
    }
    assert_eq!(lab.engine.deadline(), MS * 300);
}

#[test]
fn q5_the_second_round_is_the_old_plans_too() {
    let mut lab = Lab::new(&TWO);
    lab.udp(&crate::actors::address_query("a-thing.distributed.local."));
    let first = lab.take_asked().remove(0);
    lab.set_plan(plan(&OTHER));
    lab.reply(first.link, &crate::actors::rcode(&first, domain::base::iana::Rcode::NXDOMAIN));
    let second = lab.take_asked();
    assert_eq!(second.len(), 2);
    assert_eq!(question_of(&second[0].packet), "a-thing.cluster-a.local. A");
    lab.pass(DEADLINE);
    assert_eq!(lab.take_answers().len(), 1);
    lab.assert_idle();
}

#[test]
fn a_zone_that_is_gone_still_answers_what_is_in_flight() {
    let mut lab = Lab::new(&ONE);
    let old = ask_web(&mut lab).remove(0);
    lab.set_plan(plan(&["--forward", ". 192.0.2.53"]));
    lab.reply(old.link, &address(&old, 1));
    assert_eq!(addresses(&mut lab), [1]);
    let relayed = ask_web(&mut lab).remove(0);
    assert_eq!(question_of(&relayed.packet), "web.distributed.local. A");
    lab.reply(relayed.link, &address(&relayed, 2));
    assert_eq!(addresses(&mut lab), [2]);
    lab.assert_idle();
}

#[test]
fn what_is_kept_of_a_zone_that_has_not_changed_outlives_the_plan() {
    const KEEP: [&str; 4] = ["--cache", "100", "--keep", "100"];
    let with = |more: &[&'static str]| plan(&[&TWO[..], &KEEP, more].concat());
    let mut lab = Lab::with_plan(with(&[]), [7; 32]);
    for asked in ask_web(&mut lab) {
        lab.reply(asked.link, &address(&asked, 1));
    }
    assert_eq!(addresses(&mut lab), [1]);
    // Another zone in front: the same zone, with another number.
    let more = ["--zone", "y.", "--cluster", "k. a- 10.10.0.1"];
    lab.set_plan(plan(&[&more[..], &TWO, &KEEP].concat()));
    assert!(ask_web(&mut lab).is_empty());
    assert_eq!(addresses(&mut lab), [1]);
    // Another setting: asked anew.
    lab.set_plan(with(&["--min-clusters", "2"]));
    assert_eq!(ask_web(&mut lab).len(), 2);
    lab.pass(DEADLINE);
    lab.assert_idle();
}

#[test]
fn a_full_store_keeps_what_is_in_use_through_a_reload_and_stays_bounded() {
    let with = |cache: &'static str, more: &[&'static str]| {
        plan(&[more, &ONE[..], &["--cache", cache, "--keep", "0", "--workers", "1"]].concat())
    };
    let mut lab = Lab::with_plan(with("100", &[]), [7; 32]);
    // Whether a cluster had to be asked.
    let asks = |lab: &mut Lab, n: u64| {
        ask(lab, n, &format!("n{n}.distributed.local."));
        let asked = lab.take_asked();
        asked.iter().for_each(|asked| lab.reply(asked.link, &address(asked, 1)));
        assert_eq!(addresses(lab), [1], "{n}");
        !asked.is_empty()
    };
    let in_use = |lab: &mut Lab| (0..10).filter(|&n| !asks(lab, n)).count();
    in_use(&mut lab);
    assert_eq!(in_use(&mut lab), 10);
    for n in 1000..1200 {
        asks(&mut lab, n);
    }
    assert_eq!(lab.engine.kept().entries, 100);
    let other = ["--zone", "other.", "--cluster", "k. a- 10.10.0.1"];
    lab.set_plan(with("100", &other));
    assert_eq!((lab.engine.kept().entries, in_use(&mut lab)), (100, 10));
    assert!(!asks(&mut lab, 1199), "the last one too, although nobody has asked for it again");
    for n in 2000..2200 {
        asks(&mut lab, n);
    }
    assert_eq!((lab.engine.kept().entries, in_use(&mut lab)), (100, 10));
    // Less room, and more again: what had to go is asked anew and kept again.
    lab.set_plan(with("20", &[]));
    let kept = lab.engine.kept();
    assert_eq!((kept.entries, in_use(&mut lab)), (20, 10));
    assert!(kept.octets <= 20 * 4 * 1232, "{kept:?}");
    lab.set_plan(with("200", &[]));
    let gone: Vec<u64> = (2190..2200).filter(|&n| asks(&mut lab, n)).collect();
    assert!(gone.iter().all(|&n| !asks(&mut lab, n)), "{gone:?}");
    for n in 3000..3400 {
        asks(&mut lab, n);
    }
    assert_eq!((lab.engine.kept().entries, in_use(&mut lab)), (200, 10));
    // From no room at all.
    let mut lab = Lab::with_plan(with("0", &[]), [7; 32]);
    assert!(asks(&mut lab, 1) && asks(&mut lab, 1));
    lab.set_plan(with("100", &[]));
    assert!(asks(&mut lab, 1) && !asks(&mut lab, 1));
}

#[test]
fn m6_a_clusters_last_good_answer_fills_in_whatever_its_place_is_now() {
    let zone = |a: &'static str, b: &'static str| {
        plan(&["--zone", "distributed.local.", "--cluster", a, "--cluster", b, "--keep", "100"])
    };
    let (a, b) = ("k. a- 10.8.0.1", "k. b- 10.9.0.1");
    let mut lab = Lab::with_plan(zone(a, b), [7; 32]);
    for (n, asked) in ask_web(&mut lab).iter().enumerate() {
        lab.reply(asked.link, &address(asked, n as u8));
    }
    assert_eq!(addresses(&mut lab), [0, 1]);
    lab.set_plan(zone(b, a));
    let asked = ask_web(&mut lab);
    lab.reply(asked[0].link, &address(&asked[0], 1));
    lab.pass(DEADLINE);
    assert_eq!(addresses(&mut lab), [1, 0]);
}

#[test]
fn sockets_to_servers_that_are_not_named_any_more_stayed_open() {
    let mut lab = Lab::new(&TWO);
    let old = ask_web(&mut lab);
    lab.set_plan(plan(&OTHER));
    assert!(lab.closed.is_empty(), "questions are in flight on them");
    for asked in &old {
        lab.reply(asked.link, &address(asked, 1));
    }
    assert_eq!(lab.closed.len(), 2);
    lab.assert_idle();
}

#[test]
fn t5_a_client_that_asks_twice_is_answered_twice() {
    let mut lab = Lab::new(&ONE);
    ask(&mut lab, 5, WEB);
    lab.pass(MS);
    ask(&mut lab, 5, WEB);
    for asked in lab.take_asked() {
        lab.reply(asked.link, &address(&asked, 1));
    }
    let answers = lab.take_answers();
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0].packet, answers[1].packet, "M1: the same inputs, the same bytes");
    lab.assert_idle();
}

#[test]
fn u3_a_closed_link_moves_every_question_on_it() {
    let mut lab = Lab::new(&ONE);
    for n in 0..500 {
        ask(&mut lab, n, &format!("n{n}.distributed.local."));
    }
    let asked = lab.take_asked();
    let link = asked[0].link;
    assert!(asked.iter().all(|asked| asked.link == link), "a batch leaves through one socket");
    lab.link(link, LinkState::Closed);
    let moved = lab.take_asked();
    assert_eq!(moved.len(), 500);
    assert!(moved.iter().all(|asked| asked.link != link));
    assert!(lab.closed.contains(&link));
    lab.reply(link, &address(&asked[0], 66));
    assert!(lab.answers.is_empty(), "nothing comes from a socket that is gone");
    for asked in &moved {
        lab.reply(asked.link, &address(asked, 1));
    }
    let answers = lab.take_answers();
    assert_eq!(answers.len(), 500);
    assert!(answers.iter().all(|answer| addresses_in(&answer.packet) == [1]));
    lab.assert_idle();
}

#[test]
fn t5_links_may_fail_at_any_moment() {
    for state in [LinkState::Refused, LinkState::Closed] {
        // After each of the first moments of a query's life, every link fails.
        for wait in (0..820).step_by(20) {
            let mut lab = Lab::new(&TWO);
            let asked = ask_web(&mut lab);
            lab.pass(MS * 5);
            lab.reply(asked[0].link, &address(&asked[0], 1));
            lab.pass(MS * wait);
            for _ in 0..3 {
                for open in lab.opened.clone() {
                    lab.link(open.link, state);
                }
            }
            lab.pass(DEADLINE);
            assert_eq!(addresses(&mut lab), [1], "{state:?} after {wait} ms");
            lab.assert_idle();
        }
    }
}

#[test]
fn a_plan_that_is_no_longer_served_takes_no_memory() {
    let flags = [&TWO[..], &["--cache", "100", "--keep", "100"]].concat();
    let mut old = plan(&flags);
    let mut lab = Lab::with_plan(old.clone(), [7; 32]);
    let answered = |lab: &mut Lab, n: u64| {
        ask(lab, n, &format!("n{n}.distributed.local."));
        for asked in lab.take_asked() {
            lab.reply(asked.link, &address(&asked, 1));
        }
        lab.take_answers();
    };
    for n in 0..4 {
        // Several at once, so that several places for queries are in use, and one
        // that is answered under the next plan.
        (0..8).for_each(|m| ask(&mut lab, m, &format!("m{m}.distributed.local.")));
        lab.pass(Duration::from_secs(1));
        (0..8).for_each(|m| answered(&mut lab, 10 * n + m));
        let late_name = format!("late{n}.distributed.local.");
        ask(&mut lab, 99, &late_name);
        let late = lab.take_asked();
        assert_eq!(late.len(), 2);
        let deadline = format!("{}ms", 900 + n);
        let new = plan(&[&flags[..], &["--deadline", &deadline]].concat());
        lab.set_plan(new.clone());
        for asked in &late {
            lab.reply(asked.link, &address(asked, 1));
        }
        let gone = std::sync::Arc::downgrade(&std::mem::replace(&mut old, new));
        lab.pass(Duration::from_secs(1));
        assert!(gone.upgrade().is_none(), "plan {n} is still there");
        ask(&mut lab, 98, &late_name);
        assert_eq!(lab.take_asked().len(), 0, "what was kept is kept");
        lab.take_answers();
    }
}

/// Asks for a name under one plan, answers under the next, and asks again.
fn across(before: &[&str], after: &[&str]) -> (Vec<u8>, usize) {
    let cached = |flags: &[&str]| plan(&[flags, &["--cache", "100"]].concat());
    let mut lab = Lab::with_plan(cached(before), [7; 32]);
    let asked = ask_web(&mut lab);
    lab.set_plan(cached(after));
    for asked in asked {
        lab.reply(asked.link, &address(&asked, 1));
    }
    let first = addresses(&mut lab);
    (first, ask_web(&mut lab).len())
}

#[test]
fn what_was_asked_before_a_change_is_kept_if_its_zone_is_as_before_wherever_it_stands() {
    let other = ["--zone", "a.", "--cluster", "cluster-z. z- 10.11.0.1"];
    assert_eq!(across(&ONE, &ONE), (vec![1], 0));
    assert_eq!(across(&ONE, &[&other[..], &ONE].concat()), (vec![1], 0));
    assert_eq!(across(&[&other[..], &ONE].concat(), &ONE), (vec![1], 0));
}

#[test]
fn what_was_asked_before_a_change_of_its_zone_is_asked_again() {
    assert_eq!(across(&TWO, &ONE), (vec![1], 1), "of two clusters one is left");
    let elsewhere = ["--zone", "distributed.local.", "--cluster", "cluster-a.local. a- 10.8.0.9"];
    assert_eq!(across(&ONE, &elsewhere), (vec![1], 1));
    assert_eq!(across(&ONE, &[&ONE[..], &["--cache-for", "10s"]].concat()), (vec![1], 1));
}
