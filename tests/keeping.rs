//! Answers given again, and clusters' last good answers (M6), in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::text::{Question, Reply, question_of, shown};
use common::{Lab, TWO, client};
use domain::base::iana::{Rcode, Rtype};
use gathersrv::engine::{Client, Transport};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn lab(flags: &[&'static str]) -> Lab {
    let mut all = [&TWO[..], flags].concat();
    for name in ["--cache", "--keep"] {
        if !flags.contains(&name) {
            all.extend([name, "10000"]);
        }
    }
    Lab::new(&all)
}

fn question(name: &str) -> Question {
    Question { edns: Some(1232), ..Question::new(name, Rtype::A) }
}

fn is_a(server: std::net::SocketAddr) -> bool {
    server.to_string().starts_with("10.8")
}

/// Answers what has been asked: `None` leaves a cluster silent.
fn answer(lab: &mut Lab, a: Option<&Reply>, b: Option<&Reply>) -> usize {
    let asked = lab.take_asked();
    for asked in &asked {
        if let Some(reply) = if is_a(asked.server) { a } else { b } {
            lab.reply(asked.link, &reply.to(&asked.packet));
        }
    }
    asked.len()
}

fn a_has(ttl: u32) -> Reply {
    Reply::ok(&[&format!("s.cluster-a.local. {ttl} IN A 10.8.1.2")])
}

fn b_has(ttl: u32) -> Reply {
    Reply::ok(&[&format!("s.cluster-b.local. {ttl} IN A 10.9.1.2")])
}

fn ask(lab: &mut Lab, question: &Question) {
    lab.udp(&question.packet());
}

/// The one answer given since the last call, as lines.
fn the_answer(lab: &mut Lab) -> Vec<String> {
    let answers = lab.take_answers();
    assert_eq!(answers.len(), 1);
    shown(&answers[0].packet)
}

const WHOLE: [&str; 3] = [
    "=> NOERROR aa edns",
    "s.distributed.local. 30 IN A 10.8.1.2",
    "s.distributed.local. 30 IN A 10.9.1.2",
];

/// A laboratory in which s.distributed.local. has been asked and answered.
fn answered(flags: &[&'static str]) -> Lab {
    let mut lab = lab(flags);
    ask(&mut lab, &question("s.distributed.local."));
    assert_eq!(answer(&mut lab, Some(&a_has(30)), Some(&b_has(30))), 2);
    assert_eq!(the_answer(&mut lab), WHOLE);
    lab
}

#[test]
fn an_answer_is_given_again_until_its_ttl_has_passed() {
    let mut lab = answered(&[]);
    // Twice: merged again, and then as it was built then.
    for _ in 0..2 {
        ask(&mut lab, &question("s.distributed.local."));
        assert_eq!(the_answer(&mut lab), WHOLE);
    }
    lab.pass(10 * SECOND + Duration::from_millis(500));
    ask(&mut lab, &question("s.distributed.local."));
    assert_eq!(the_answer(&mut lab)[1], "s.distributed.local. 20 IN A 10.8.1.2");
    lab.pass(16 * SECOND);
    assert!(lab.asked.is_empty());
    lab.pass(4 * SECOND);
    ask(&mut lab, &question("s.distributed.local."));
    assert_eq!(lab.asked.len(), 2);
}

#[test]
fn an_answer_given_again_has_this_clients_spelling_id_and_size() {
    let mut lab = answered(&[]);
    let other = Question { id: 7, rd: true, edns: None, ..question("S.Distributed.Local.") };
    for _ in 0..2 {
        ask(&mut lab, &other);
        let answers = lab.take_answers();
        assert_eq!(answers[0].packet[..2], [0, 7]);
        assert_eq!(
            shown(&answers[0].packet),
            [
                "=> NOERROR aa rd",
                "S.Distributed.Local. 30 IN A 10.8.1.2",
                "S.Distributed.Local. 30 IN A 10.9.1.2"
            ]
        );
    }
    assert!(lab.asked.is_empty());
}

#[test]
fn an_answer_cut_for_one_client_is_whole_for_the_next() {
    let mut lab = lab(&[]);
    let long = |front: &str| -> Vec<String> {
        (0..3).map(|n| format!("{front} 30 IN TXT {}{n}", "x".repeat(200))).collect()
    };
    let text = Question { rtype: Rtype::TXT, edns: None, ..question("s.distributed.local.") };
    ask(&mut lab, &text);
    let lines = long("s.cluster-a.local.");
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    answer(&mut lab, Some(&Reply::ok(&lines)), Some(&Reply::rcode(Rcode::NXDOMAIN)));
    assert_eq!(the_answer(&mut lab)[0], "=> NOERROR aa tc");
    for _ in 0..2 {
        lab.query(client(Transport::Tcp), &text.packet());
        let lines = the_answer(&mut lab);
        assert_eq!((lines.len(), &lines[0][..]), (4, "=> NOERROR aa"));
        ask(&mut lab, &text);
        assert_eq!(the_answer(&mut lab)[0], "=> NOERROR aa tc");
    }
    assert!(lab.asked.is_empty());
}

#[test]
fn m7_a_negative_answer_is_given_again_for_its_negative_ttl() {
    let mut lab = lab(&[]);
    let denied = Reply {
        sections: [
            vec![],
            vec![
                "cluster-a.local. 30 IN SOA n.cluster-a.local. h.cluster-a.local. 1 2 3 4 20"
                    .into(),
            ],
            vec![],
        ],
        ..Reply::rcode(Rcode::NXDOMAIN)
    };
    ask(&mut lab, &question("s.distributed.local."));
    answer(&mut lab, Some(&denied), Some(&Reply::rcode(Rcode::NXDOMAIN)));
    assert_eq!(the_answer(&mut lab)[0], "=> NXDOMAIN aa edns");
    lab.pass(8 * SECOND);
    ask(&mut lab, &question("s.distributed.local."));
    let lines = the_answer(&mut lab);
    assert!(lines[2].starts_with("distributed.local. 12 IN SOA"), "{lines:?}");
    assert!(lines[2].ends_with(" 12"), "{lines:?}");
    lab.pass(12 * SECOND);
    ask(&mut lab, &question("s.distributed.local."));
    assert_eq!(lab.asked.len(), 2);
}

#[test]
fn other_types_and_cd_are_other_answers_and_rd_is_not() {
    let mut lab = answered(&[]);
    let plain = question("s.distributed.local.");
    ask(&mut lab, &Question { rd: true, ..plain.clone() });
    assert!(lab.asked.is_empty());
    ask(&mut lab, &Question { cd: true, ..plain.clone() });
    assert_eq!(lab.take_asked().len(), 2);
    ask(&mut lab, &Question { rtype: Rtype::AAAA, ..plain });
    assert_eq!(lab.take_asked().len(), 2);
}

#[test]
fn cache_0_asks_every_time() {
    let mut lab = answered(&["--cache", "0"]);
    ask(&mut lab, &question("s.distributed.local."));
    assert_eq!(lab.asked.len(), 2);
}

#[test]
fn an_answer_in_demand_is_asked_for_again_before_it_runs_out() {
    let mut lab = answered(&[]);
    lab.pass(28 * SECOND);
    for _ in 0..2 {
        ask(&mut lab, &question("s.distributed.local."));
        assert_eq!(the_answer(&mut lab)[1], "s.distributed.local. 2 IN A 10.8.1.2");
    }
    assert_eq!(answer(&mut lab, Some(&a_has(30)), Some(&b_has(30))), 2);
    assert!(lab.answers.is_empty(), "nobody asked");
    ask(&mut lab, &question("s.distributed.local."));
    assert_eq!(the_answer(&mut lab), WHOLE);
    // What was learned is handed in a little later.
    lab.pass(SECOND);
    lab.assert_idle();
}

#[test]
fn an_answer_is_refreshed_for_who_asks_twice_in_the_last_tenth_of_its_time() {
    for (clients, at, refreshed) in [
        (1, 29_000, false),
        (2, 26_999, false),
        (2, 27_000, true),
        (2, 29_000, true),
        (5, 29_000, true),
    ] {
        let mut lab = answered(&[]);
        lab.pass(Duration::from_millis(at));
        for _ in 0..clients {
            ask(&mut lab, &question("s.distributed.local."));
            assert_eq!(the_answer(&mut lab).len(), 3);
        }
        let asked = if refreshed { 2 } else { 0 };
        assert_eq!(lab.take_asked().len(), asked, "{clients} clients after {at} ms");
        assert_eq!(lab.engine.counters().refreshed, u64::from(refreshed));
    }
}

#[test]
fn m6_a_silent_clusters_last_good_answer_fills_in_with_ede_3() {
    let mut lab = answered(&[]);
    lab.pass(40 * SECOND);
    ask(&mut lab, &question("s.distributed.local."));
    answer(&mut lab, Some(&a_has(30)), None);
    lab.pass(SECOND);
    let stale = [
        "=> NOERROR aa edns",
        "s.distributed.local. 5 IN A 10.8.1.2",
        "s.distributed.local. 5 IN A 10.9.1.2",
        "ede 3 stale data, from cluster-b.local. b-",
    ];
    assert_eq!(the_answer(&mut lab), stale);
    assert_eq!(lab.engine.counters().stale, 1);
    lab.take_asked();
    // Held for no longer than its cap, counted down for who comes meanwhile.
    lab.pass(2 * SECOND);
    ask(&mut lab, &question("s.distributed.local."));
    assert_eq!(the_answer(&mut lab)[1], "s.distributed.local. 3 IN A 10.8.1.2");
    lab.pass(4 * SECOND);
    ask(&mut lab, &question("s.distributed.local."));
    assert!(answer(&mut lab, Some(&a_has(30)), None) > 0);
    lab.pass(SECOND);
    assert_eq!(the_answer(&mut lab), stale, "and it fills in again");
}

#[test]
fn m6_all_clusters_silent_all_last_good_answers() {
    let mut lab = answered(&[]);
    lab.pass(40 * SECOND);
    ask(&mut lab, &question("s.distributed.local."));
    lab.pass(SECOND);
    let lines = the_answer(&mut lab);
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[3], "ede 3 stale data, from cluster-a.local. a-, cluster-b.local. b-");
}

#[test]
fn m6_partial_and_fail_use_no_stale_data() {
    for (policy, ede) in [
        ("partial", "ede 23 answer is partial, without cluster-b.local. b-"),
        ("fail", "ede 23 no answer from cluster-b.local. b-"),
    ] {
        let mut lab = answered(&["--on-missing", policy]);
        lab.pass(40 * SECOND);
        ask(&mut lab, &question("s.distributed.local."));
        answer(&mut lab, Some(&a_has(30)), None);
        lab.pass(SECOND);
        assert_eq!(the_answer(&mut lab).last().unwrap(), ede);
    }
}

#[test]
fn m6_last_good_answers_have_an_age() {
    let mut lab = answered(&["--keep-for", "1m"]);
    lab.pass(61 * SECOND);
    ask(&mut lab, &question("s.distributed.local."));
    answer(&mut lab, Some(&a_has(30)), None);
    lab.pass(SECOND);
    let lines = the_answer(&mut lab);
    assert_eq!(lines[2], "ede 23 answer is partial, without cluster-b.local. b-");
}

#[test]
fn k1_addresses_beside_an_answer_are_renewed_when_it_comes_unchanged() {
    let mut lab = lab(&["--cache", "0", "--keep-for", "60s"]);
    let service = Question::new("a-s.distributed.local.", Rtype::SRV);
    let mut reply = Reply::ok(&["s.cluster-a.local. 5 IN SRV 0 1 2 pod.cluster-a.local."]);
    reply.sections[2] = vec!["pod.cluster-a.local. 5 IN A 10.8.1.2".into()];
    for _ in 0..2 {
        ask(&mut lab, &service);
        answer(&mut lab, Some(&reply), None);
        the_answer(&mut lab);
        lab.pass(SECOND * 50);
    }
    // As old as the first answer is, it would be of no use.
    ask(&mut lab, &question("a-pod.distributed.local."));
    answer(&mut lab, None, None);
    lab.pass(SECOND);
    let lines = the_answer(&mut lab);
    assert_eq!(lines[..2], ["=> NOERROR aa edns", "a-pod.distributed.local. 5 IN A 10.8.1.2"]);
    assert!(lines[2].starts_with("ede 3 "), "{lines:?}");
}

#[test]
fn a_cluster_that_says_it_has_nothing_is_believed_unless_told_otherwise() {
    for (flags, expected) in [
        (&[][..], "s.distributed.local. 30 IN A 10.8.1.2"),
        (&["--keep-on-empty", "2m"][..], "s.distributed.local. 5 IN A 10.8.1.2"),
    ] {
        let mut lab = answered(flags);
        lab.pass(40 * SECOND);
        ask(&mut lab, &question("s.distributed.local."));
        answer(&mut lab, Some(&a_has(30)), Some(&Reply::rcode(Rcode::NXDOMAIN)));
        let lines = the_answer(&mut lab);
        assert_eq!(lines[1], expected);
        assert_eq!(lines.len(), if flags.is_empty() { 2 } else { 4 });
    }
}

#[test]
fn a_failure_is_remembered_for_a_second_and_longer_each_time() {
    let mut lab = lab(&["--max-fails", "0"]);
    let mut pauses = Vec::new();
    for _ in 0..7 {
        ask(&mut lab, &question("s.distributed.local."));
        answer(&mut lab, Some(&Reply::rcode(Rcode::SERVFAIL)), Some(&Reply::rcode(Rcode::REFUSED)));
        assert_eq!(the_answer(&mut lab)[0], "=> SERVFAIL edns");
        let failed = lab.now;
        for _ in 0..400 {
            lab.pass(Duration::from_millis(100));
            ask(&mut lab, &question("s.distributed.local."));
            if !lab.asked.is_empty() {
                break;
            }
            assert_eq!(the_answer(&mut lab)[0], "=> SERVFAIL edns");
        }
        pauses.push(lab.now.since(failed).as_secs());
        answer(&mut lab, Some(&Reply::rcode(Rcode::SERVFAIL)), Some(&Reply::rcode(Rcode::REFUSED)));
        lab.take_answers();
        let wait = Duration::from_secs(40);
        lab.pass(wait);
    }
    assert_eq!(pauses[..2], [1, 4], "{pauses:?}");
    assert_eq!(*pauses.last().unwrap(), 30);
}

#[test]
fn what_was_incomplete_is_asked_again_when_a_server_comes_back() {
    let mut lab = lab(&["--max-fails", "1"]);
    ask(&mut lab, &question("s.distributed.local."));
    answer(&mut lab, Some(&a_has(30)), None);
    lab.pass(Duration::from_millis(800));
    assert_eq!(the_answer(&mut lab).len(), 3);
    lab.take_asked();
    lab.pass(Duration::from_millis(250));
    let probe = lab.take_asked().remove(0);
    assert_eq!(question_of(&probe.packet), "cluster-b.local. SOA");
    lab.reply(probe.link, &Reply::rcode(Rcode::NOERROR).to(&probe.packet));
    ask(&mut lab, &question("s.distributed.local."));
    answer(&mut lab, Some(&a_has(30)), Some(&b_has(30)));
    assert_eq!(the_answer(&mut lab), WHOLE);
}

#[test]
fn the_store_is_bounded_and_forgets_what_is_used_least() {
    let mut lab = lab(&["--cache", "100", "--keep", "100", "--workers", "1"]);
    let fan_out = |lab: &mut Lab, n: usize| {
        ask(lab, &question(&format!("n{n}.distributed.local.")));
        let asked = lab.take_asked();
        for asked in &asked {
            lab.reply(asked.link, &Reply::rcode(Rcode::NXDOMAIN).to(&asked.packet));
        }
        lab.take_answers();
        asked.len()
    };
    for n in 0..10_000 {
        fan_out(&mut lab, n);
        assert_eq!(fan_out(&mut lab, 0), 0, "the one in use stays");
    }
    let kept = lab.engine.kept();
    // Negatives have a share of their own, which may be a little less than all.
    assert!((90..=100).contains(&kept.entries), "{kept:?}");
    assert!(kept.octets <= 100 * 4 * 1232, "{kept:?}");
    assert_eq!(kept.evictions, 10_000 - kept.entries as u64, "{kept:?}");
}

#[test]
fn too_many_queries_in_flight_are_servfail_not_memory() {
    let flags = "--max-queries 10 --max-queries-per-client 4 --workers 1 --max-fails 0";
    let mut lab = lab(&flags.split(' ').collect::<Vec<_>>());
    for n in 0..30u64 {
        let addr = format!("192.0.2.{}:99", n / 10).parse().unwrap();
        let from = Client { addr, ..client(Transport::Udp) };
        lab.query(from, &question(&format!("n{n}.distributed.local.")).packet());
    }
    let refused = lab.take_answers();
    assert_eq!(refused.len(), 20);
    let counters = lab.engine.counters();
    assert_eq!((counters.client_limited, counters.overloaded), (12, 8));
    assert_eq!(shown(&refused[0].packet)[1], "ede 0 too many queries in flight");
    assert_eq!(lab.engine.queries_in_flight(), 10);
    lab.pass(SECOND);
    assert_eq!(lab.take_answers().len(), 10);
    ask(&mut lab, &question("m.distributed.local."));
    assert_eq!(lab.engine.queries_in_flight(), 1, "and there is room again");
}

#[test]
fn m6_last_good_answers_were_gone_while_somebody_waited_for_a_deadline() {
    let mut lab = answered(&["--max-fails", "1"]);
    lab.pass(SECOND * 31);
    let stale = |lines: Vec<String>| {
        assert_eq!(
            lines.iter().filter(|line| line.contains(" 5 IN A 10.")).count(),
            2,
            "{lines:?}"
        );
        assert!(lines.iter().any(|line| line.starts_with("ede 3 ")), "{lines:?}");
    };
    ask(&mut lab, &question("s.distributed.local."));
    lab.pass(SECOND / 5);
    ask(&mut lab, &question("s.distributed.local."));
    lab.pass(SECOND * 3 / 5);
    stale(the_answer(&mut lab));
    // Both servers are out now, and the second client waits.
    ask(&mut lab, &question("s.distributed.local."));
    stale(the_answer(&mut lab));
    lab.pass(SECOND / 5);
    stale(the_answer(&mut lab));
}

#[test]
fn k6_every_address_beside_an_answer_is_held_however_many_there_are() {
    let mut lab = lab(&["--keep", "1000", "--max-fails", "0"]);
    let service = Question::new("_t._tcp.s.distributed.local.", Rtype::SRV);
    lab.query(client(Transport::Tcp), &service.packet());
    let mut large = Reply { aa: true, ..Reply::default() };
    for pod in 0..200 {
        let target = format!("pod-{pod}.cluster-a.local.");
        large.sections[0].push(format!("_t._tcp.s.cluster-a.local. 30 IN SRV 0 1 2 {target}"));
        large.sections[2].push(format!("{target} 30 IN A 10.8.1.{pod}"));
    }
    answer(&mut lab, Some(&large), Some(&Reply::rcode(Rcode::NXDOMAIN)));
    lab.take_answers();
    lab.pass(40 * SECOND);
    for pod in [0, 1, 63, 64, 65, 127, 128, 129, 191, 192, 199] {
        ask(&mut lab, &question(&format!("a-pod-{pod}.distributed.local.")));
        lab.pass(SECOND);
        lab.take_asked();
        let expected = format!("a-pod-{pod}.distributed.local. 5 IN A 10.8.1.{pod}");
        assert_eq!(the_answer(&mut lab)[1], expected);
    }
}

#[test]
fn k6_addresses_that_came_with_another_answer_give_way_to_those_that_came_last() {
    let mut lab = lab(&["--max-fails", "0"]);
    let service = |lab: &mut Lab, name: &str, last: u8| {
        let question = Question::new(&format!("_t._tcp.{name}.distributed.local."), Rtype::SRV);
        lab.udp(&question.packet());
        let line = format!("_t._tcp.{name}.cluster-a.local. 5 IN SRV 0 1 2 pod.cluster-a.local.");
        let mut reply = Reply::ok(&[&line]);
        reply.sections[2].push(format!("pod.cluster-a.local. 5 IN A 10.8.1.{last}"));
        answer(lab, Some(&reply), Some(&Reply::rcode(Rcode::NXDOMAIN)));
        lab.take_answers();
        lab.pass(6 * SECOND);
    };
    // The first answer comes again as it was, and another's address came between.
    for (name, last) in [("s", 1), ("s", 1), ("t", 2), ("s", 1)] {
        service(&mut lab, name, last);
    }
    ask(&mut lab, &question("a-pod.distributed.local."));
    lab.pass(SECOND);
    assert_eq!(the_answer(&mut lab)[1], "a-pod.distributed.local. 5 IN A 10.8.1.1");
}
