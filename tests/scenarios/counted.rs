//! What is counted: every event once, and nothing beside it.

use crate::actors::{DEADLINE, ONE, THREE_SERVERS, WEB, address, address_query, ask, ask_web};
use crate::actors::{rcode, truncated};
use crate::common::text::{Question, Reply};
use crate::common::{Asked, Lab, TWO, client};
use domain::base::iana::{Class, Rcode, Rtype};
use gathersrv::engine::{Client, LinkState, Transport};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn with(more: &[&'static str]) -> Lab {
    Lab::new(&[&ONE[..], more].concat())
}

/// The counters that are not 0.
fn counted(lab: &Lab) -> String {
    let all = format!("{:?}", lab.engine.counters());
    let all = all.trim_start_matches("Counters { ").trim_end_matches(" }");
    let all: Vec<_> = all.split(", ").filter(|one| !one.ends_with(": 0")).collect();
    all.join(", ")
}

fn answer(lab: &mut Lab, asked: &Asked) {
    lab.reply(asked.link, &address(asked, 1));
}

/// Asks for [`WEB`], which is answered.
fn answered(lab: &mut Lab) {
    for asked in ask_web(lab) {
        answer(lab, &asked);
    }
}

#[test]
fn what_is_answered_at_once_is_counted_by_its_reason() {
    let plain = Question::new(WEB, Rtype::A);
    let changed = |at: usize, octet: u8| {
        let mut packet = plain.packet();
        packet[at] = octet;
        packet
    };
    let asked_for = |rtype| Question::new(WEB, rtype).packet();
    for (what, packet, expected) in [
        ("a reply", changed(2, 0x80), "not_queries: 1"),
        ("half a header", plain.packet()[..11].to_vec(), "not_queries: 1"),
        ("another opcode", changed(2, 4 << 3), "answered: 1, unreadable: 1"),
        ("two questions", changed(5, 2), "answered: 1, unreadable: 1"),
        (
            "another EDNS version",
            Question { edns: Some(1232), version: 1, ..plain.clone() }.packet(),
            "answered: 1, unreadable: 1",
        ),
        ("type 0", asked_for(Rtype::from_int(0)), "answered: 1, unreadable: 1"),
        ("type OPT", asked_for(Rtype::OPT), "answered: 1, unreadable: 1"),
        ("a meta type", asked_for(Rtype::from_int(128)), "answered: 1, unreadable: 1"),
        ("a transfer", asked_for(Rtype::AXFR), "answered: 1, refused: 1"),
        ("a part of one", asked_for(Rtype::IXFR), "answered: 1, refused: 1"),
        (
            "another class",
            Question { class: Class::CH, ..plain.clone() }.packet(),
            "answered: 1, refused: 1",
        ),
        ("elsewhere", address_query("elsewhere."), "answered: 1, refused: 1"),
        ("any type", asked_for(Rtype::ANY), "answered: 1"),
        ("the apex", Question::new("distributed.local.", Rtype::SOA).packet(), "answered: 1"),
    ] {
        let mut lab = Lab::new(&ONE);
        lab.udp(&packet);
        assert_eq!(counted(&lab), expected, "{what}");
        lab.assert_idle();
    }
}

#[test]
fn cache_hits_are_counted() {
    let mut lab = with(&["--cache", "100"]);
    answered(&mut lab);
    assert_eq!(counted(&lab), "answered: 1, asked: 1");
    for _ in 0..2 {
        assert!(ask_web(&mut lab).is_empty());
    }
    assert_eq!(counted(&lab), "answered: 3, hits: 2, asked: 1");
    // In demand, and a tenth of its 30 seconds is left: asked for ahead of time.
    lab.pass(28 * SECOND);
    let refreshing = ask_web(&mut lab);
    assert_eq!(counted(&lab), "answered: 4, hits: 3, refreshed: 1, asked: 2");
    answer(&mut lab, &refreshing[0]);
    assert_eq!(counted(&lab), "answered: 4, hits: 3, refreshed: 1, asked: 2");
    lab.assert_idle();
}

#[test]
fn one_hit_is_no_demand() {
    let mut lab = with(&["--cache", "100"]);
    answered(&mut lab);
    lab.pass(28 * SECOND);
    assert!(ask_web(&mut lab).is_empty());
    assert_eq!(lab.engine.counters().refreshed, 0);
    assert_eq!(ask_web(&mut lab).len(), 1, "two are");
}

#[test]
fn demand_is_counted_anew_for_an_answer_that_came_unchanged() {
    let mut lab = with(&["--cache", "100"]);
    // In demand, and then forgotten until its time is over; twice, so that it is built.
    for _ in 0..2 {
        answered(&mut lab);
        (0..3).for_each(|_| assert!(ask_web(&mut lab).is_empty()));
        lab.pass(31 * SECOND);
    }
    answered(&mut lab);
    let before = lab.engine.counters();
    assert!(before.unchanged > 0 && before.refreshed == 0, "{before:?}");
    lab.pass(28 * SECOND);
    assert!(ask_web(&mut lab).is_empty(), "one hit is no demand");
    assert_eq!(lab.engine.counters().refreshed, 0);
    assert_eq!(ask_web(&mut lab).len(), 1, "two are");
}

#[test]
fn overload_and_client_limits_are_counted() {
    let mut lab = with(&["--max-queries", "1"]);
    let waiting = ask_web(&mut lab);
    ask(&mut lab, 2, "other.distributed.local.");
    assert_eq!(counted(&lab), "answered: 1, overloaded: 1, asked: 1");
    answer(&mut lab, &waiting[0]);
    assert_eq!(counted(&lab), "answered: 2, overloaded: 1, asked: 1");

    let mut lab = with(&["--max-queries-per-client", "1"]);
    let waiting = ask_web(&mut lab);
    ask(&mut lab, 2, "other.distributed.local.");
    assert_eq!(counted(&lab), "answered: 1, client_limited: 1, asked: 1");
    answer(&mut lab, &waiting[0]);
    ask(&mut lab, 3, "other.distributed.local.");
    assert_eq!(lab.take_asked().len(), 1, "it may ask again");
}

#[test]
fn the_per_client_count_is_released_after_every_kind_of_answer() {
    let mut lab = with(&["--max-queries-per-client", "1", "--keep", "100"]);
    // Merged, built, and then the same as before.
    for n in 0..6 {
        lab.pass(SECOND);
        answered(&mut lab);
        assert_eq!(lab.take_answers().len(), 1, "question {n}");
    }
    let counters = lab.engine.counters();
    assert_eq!((counters.client_limited, counters.asked), (0, 6));
    assert!(counters.unchanged >= 3, "{counters:?}");
}

#[test]
fn unproven_and_rate_limited_queries_are_counted() {
    let apex = Question::new("distributed.local.", Rtype::SOA).packet();
    for (flag, expected) in [
        ("--require-cookies-above", "answered: 9, unproven: 4"),
        // Of what is too much every other one is told to come over TCP.
        ("--rate-limit", "answered: 7, rate_limited: 4"),
    ] {
        let mut lab = with(&[flag, "5", "--workers", "1"]);
        (0..9).for_each(|_| lab.udp(&apex));
        assert_eq!(counted(&lab), expected, "{flag}");
    }
}

#[test]
fn equal_questions_in_flight_are_counted_as_shared() {
    let mut lab = Lab::new(&ONE);
    let asked = ask_web(&mut lab);
    assert!(ask_web(&mut lab).is_empty());
    answer(&mut lab, &asked[0]);
    assert_eq!(counted(&lab), "answered: 2, shared: 1, asked: 1");
}

#[test]
fn silence_is_counted_as_retransmissions_and_one_failure() {
    let mut lab = with(&["--max-fails", "1"]);
    ask_web(&mut lab);
    lab.pass(DEADLINE);
    let sent = lab.take_asked().len();
    let expected =
        format!("answered: 1, asked: {}, retransmitted: {sent}, failed: 1, taken_out: 1", 1 + sent);
    assert_eq!(counted(&lab), expected);
    assert!(sent >= 2, "{sent}");
}

#[test]
fn a_question_that_its_stream_still_has_is_not_sent_again() {
    let server = "cluster-a.local. a- tls://10.8.0.1#a.example";
    let mut lab = Lab::new(&["--zone", "distributed.local.", "--cluster", server]);
    let slow = ask_web(&mut lab).remove(0);
    lab.pass(Duration::from_millis(10));
    ask(&mut lab, 2, "quick.distributed.local.");
    let quick = lab.take_asked().remove(0);
    answer(&mut lab, &quick);
    lab.pass(DEADLINE / 2);
    assert_eq!(counted(&lab), "answered: 1, asked: 2", "the stream is alive");
    answer(&mut lab, &slow);
    assert_eq!(counted(&lab), "answered: 2, asked: 2");
}

#[test]
fn u5_probes_are_counted_apart() {
    let mut lab = with(&["--max-fails", "1"]);
    ask_web(&mut lab);
    lab.pass(DEADLINE);
    lab.take_asked();
    let before = lab.engine.counters();
    lab.pass(10 * SECOND);
    let (after, sent) = (lab.engine.counters(), lab.take_asked().len() as u64);
    assert!(sent > 0);
    assert_eq!((after.probes - before.probes, after.asked - before.asked), (sent, 0));
}

#[test]
fn what_a_stranger_sends_is_counted_by_what_is_wrong_with_it() {
    let another_id = |packet: &mut Vec<u8>| packet[0] ^= 1;
    let another_name = |packet: &mut Vec<u8>| packet[13] = b'x';
    let half = |packet: &mut Vec<u8>| packet.truncate(packet.len() - 3);
    type Change = fn(&mut Vec<u8>);
    let changes: [(Change, &str); 3] = [
        (another_id, "asked: 1, unexpected: 1, suspect: 1"),
        (another_name, "asked: 1, mismatched: 1, suspect: 1"),
        (half, "asked: 2, retransmitted: 1, malformed: 1"),
    ];
    for (change, expected) in changes {
        let mut lab = Lab::new(&ONE);
        let asked = ask_web(&mut lab).remove(0);
        let mut packet = address(&asked, 1);
        change(&mut packet);
        lab.reply(asked.link, &packet);
        assert_eq!(counted(&lab), expected);
    }
}

#[test]
fn a_late_reply_is_unexpected_and_nobody_is_suspected() {
    let mut lab = Lab::new(&ONE);
    let asked = ask_web(&mut lab).remove(0);
    answer(&mut lab, &asked);
    answer(&mut lab, &asked);
    assert_eq!(counted(&lab), "answered: 1, asked: 1, unexpected: 1");
}

#[test]
fn a_truncated_reply_is_counted_and_its_question_once_more() {
    let mut lab = Lab::new(&ONE);
    let asked = ask_web(&mut lab).remove(0);
    lab.reply(asked.link, &truncated(&asked));
    let stream = lab.take_asked().remove(0);
    answer(&mut lab, &stream);
    assert_eq!(counted(&lab), "answered: 1, asked: 2, truncated_replies: 1");
}

#[test]
fn servers_that_fail_one_after_the_other_are_one_failure_of_their_cluster() {
    let mut lab = Lab::new(&THREE_SERVERS);
    let mut asked = ask_web(&mut lab);
    for _ in 0..3 {
        let failed = asked.remove(0);
        lab.reply(failed.link, &rcode(&failed, Rcode::SERVFAIL));
        asked = lab.take_asked();
    }
    assert_eq!(counted(&lab), "answered: 1, asked: 3, failed: 1");
}

#[test]
fn a_refused_port_is_a_failure() {
    let mut lab = Lab::new(&ONE);
    let asked = ask_web(&mut lab).remove(0);
    lab.link(asked.link, LinkState::Refused);
    lab.pass(DEADLINE);
    let sent = lab.take_asked().len();
    let counters = lab.engine.counters();
    assert_eq!((counters.failed, counters.asked), (1, 1 + sent as u64));
}

#[test]
fn answers_that_are_cut_are_counted_by_transport() {
    let long = "x".repeat(200);
    let record = |n| format!("web.cluster-a.local. 30 IN TXT {long}{n}");
    let records: Vec<_> = (0..3).map(record).collect();
    let records: Vec<_> = records.iter().map(String::as_str).collect();
    for (transport, expected) in [
        (Transport::Udp, "answered: 1, asked: 1, truncated: 1"),
        (Transport::Tcp, "answered: 1, asked: 1"),
    ] {
        let mut lab = Lab::new(&ONE);
        let query = Question::new(WEB, Rtype::TXT).packet();
        lab.query(Client { socket: 1, ..client(transport) }, &query);
        let asked = lab.take_asked().remove(0);
        let reply = Reply::ok(&records).to(&asked.packet);
        lab.reply(asked.link, &reply);
        assert_eq!(counted(&lab), expected);
    }
}

#[test]
fn r4_records_whose_names_get_too_long_are_counted_one_by_one() {
    let label = "x".repeat(63);
    // There is room for the cluster's suffix, but not for the longer zone.
    let near =
        |n: u8| format!("{n}{}.{label}.{label}.{}.cluster-a.local.", &label[1..], &label[..43]);
    let mut lab = Lab::new(&ONE);
    lab.udp(&Question::new(WEB, Rtype::MX).packet());
    let asked = lab.take_asked().remove(0);
    let records = [
        format!("web.cluster-a.local. 30 IN MX 1 {}", near(1)),
        format!("web.cluster-a.local. 30 IN MX 2 {}", near(2)),
        "web.cluster-a.local. 30 IN MX 3 mail.cluster-a.local.".into(),
    ];
    lab.reply(asked.link, &Reply::ok(&records.each_ref().map(String::as_str)).to(&asked.packet));
    assert_eq!(counted(&lab), "answered: 1, asked: 1, too_long: 2");
}

#[test]
fn r7_records_of_others_are_counted_one_by_one() {
    let mut lab = Lab::new(&TWO);
    lab.udp(&address_query(WEB));
    for asked in lab.take_asked() {
        let suffix =
            if asked.server.to_string().starts_with("10.8") { "cluster-a" } else { "cluster-b" };
        let own = format!("web.{suffix}.local. 30 IN A 10.0.0.1");
        let records = [
            &own,
            "pod.cluster-b.local. 30 IN A 10.0.0.2",
            "cluster-a.local. 30 IN A 10.0.0.3",
            "web.distributed.local. 30 IN A 10.0.0.4",
        ];
        lab.reply(asked.link, &Reply::ok(&records).to(&asked.packet));
    }
    // pod.cluster-b.local. is cluster b's to speak of.
    assert_eq!(counted(&lab), "answered: 1, asked: 2, foreign: 5");
}
