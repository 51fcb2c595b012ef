//! What is in flight is bounded in octets, whatever it is made of, and given
//! back when nothing is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use allocation_counter::measure;
use common::text::{Question, Reply};
use common::{Asked, Lab, client};
use domain::base::iana::Rtype;
use gathersrv::engine::Transport;
use std::time::Duration;

/// What a worker may have in flight, and half as much again for what is beside: IDs
/// that rest, timers, the laboratory.
const MOST: i64 = 144 << 20;

/// What is left when nothing is in flight.
const REST: i64 = 16 << 20;

const MS: Duration = Duration::from_millis(1);

/// Eight clusters, and one worker.
fn eight() -> Vec<String> {
    let mut flags =
        ["--zone", "z.", "--workers", "1", "--max-queries", "65536"].map(String::from).to_vec();
    for n in 0..8 {
        flags.extend(["--cluster".into(), format!("k{n}. {n}- 10.8.{n}.1")]);
    }
    flags
}

/// A name of more than 200 octets that nobody has asked for.
fn long(n: u32) -> String {
    let label = "x".repeat(60);
    format!("n{n}.{label}.{label}.{label}.z.")
}

fn ask(lab: &mut Lab, n: u32) {
    let question = Question { id: n as u16, ..Question::new(&long(n), Rtype::TXT) };
    lab.query(client(Transport::Udp), &question.packet());
}

/// A reply of a kilobyte, so that every place for one comes to be used.
fn kilobyte(asked: &Asked) -> Vec<u8> {
    let mut end = 12;
    while asked.packet[end] != 0 {
        end += 1 + usize::from(asked.packet[end]);
    }
    let mut reply = asked.packet[..end + 5].to_vec();
    reply[2] |= 0x84;
    reply[6..12].copy_from_slice(&[0, 3, 0, 0, 0, 0]);
    for n in 0..3 {
        reply.extend(b"\xC0\x0C\0\x10\0\x01\0\0\0\x1E\0\xFF\xFE");
        reply.extend([b'y' + n; 254]);
    }
    reply
}

#[test]
fn sixteen_thousand_a_second_to_eight_silent_clusters_stay_in_bounds() {
    let flags = eight();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut lab = Lab::new(&flags);
    let mut n = 0;
    let used = measure(|| {
        for second in 0..3 {
            for _ in 0..1000 {
                for _ in 0..16 {
                    n += 1;
                    ask(&mut lab, n);
                }
                // At first they answer, in the end they do not.
                for asked in lab.take_asked().iter().filter(|_| second < 1) {
                    lab.reply(asked.link, &kilobyte(asked));
                }
                lab.take_answers();
                lab.pass(MS);
            }
        }
    });
    assert!((used.bytes_max as i64) < MOST, "{used:?}");
    let rest = measure(|| {
        lab.pass(Duration::from_secs(10));
        lab.take_asked();
        lab.take_answers();
    });
    let left = used.bytes_current + rest.bytes_current;
    assert!(left < REST, "{left}");
    assert_eq!(lab.engine.octets_in_flight(), 0);
    lab.assert_idle();
}

#[test]
fn what_is_kept_is_not_counted_among_what_is_in_flight() {
    let mut words = eight();
    words.extend(["--cache", "200", "--keep", "200"].map(String::from));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut lab = Lab::new(&words);
    for n in 0..3000 {
        // Of all sizes, so that one makes room for several.
        let question = Question { id: n as u16, ..Question::new(&long(n % 700), Rtype::TXT) };
        lab.query(client(Transport::Udp), &question.packet());
        let size = n as usize % 3;
        for asked in lab.take_asked() {
            let mut reply = kilobyte(&asked);
            reply[7] = size as u8;
            let records = reply.len() - 3 * 267;
            reply.truncate(records + size * 267);
            lab.reply(asked.link, &reply);
        }
        lab.take_answers();
        assert_eq!(lab.engine.octets_in_flight(), 0, "after {n}");
    }
    lab.set_plan(common::plan(&words[..words.len() - 4]));
    lab.pass(Duration::from_secs(2));
    assert_eq!(lab.engine.octets_in_flight(), 0);
}

#[test]
fn a_reply_is_counted_while_another_cluster_is_waited_for() {
    let mut lab = Lab::new(&common::TWO);
    lab.query(client(Transport::Tcp), &Question::new("s.distributed.local.", Rtype::TXT).packet());
    let asked = lab.take_asked().remove(0);
    let before = lab.engine.octets_in_flight();
    let lines: Vec<String> =
        (10..30).map(|n| format!("s.cluster-a.local. 30 IN TXT {n}{}", "y".repeat(250))).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let packet = Reply::ok(&lines).to(&asked.packet);
    lab.reply(asked.link, &packet);
    let grown = lab.engine.octets_in_flight() - before;
    assert!(grown >= packet.len(), "{grown} octets more, for a reply of {}", packet.len());
}

#[test]
fn a_query_is_counted_by_its_clusters_and_by_the_length_of_its_name() {
    let octets = |clusters: usize, name: &str| {
        let mut flags = vec!["--zone".to_string(), "z.".into()];
        for n in 0..clusters {
            flags.extend(["--cluster".into(), format!("k{n}. {n}- 10.8.{n}.1")]);
        }
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let mut lab = Lab::new(&flags);
        lab.query(client(Transport::Udp), &Question::new(name, Rtype::A).packet());
        lab.engine.octets_in_flight()
    };
    let short = [1, 2, 5].map(|clusters| octets(clusters, "a.z."));
    let each = short[1] - short[0];
    assert_eq!(short[2] - short[1], 3 * each);
    assert!((100..2000).contains(&each), "{each} octets for a cluster");
    let long = format!("{}.z.", "a".repeat(51));
    let long = [1, 2, 5].map(|clusters| octets(clusters, &long));
    let longer = [0, 1, 2].map(|n| long[n] - short[n]);
    assert_eq!(longer, [2 * 50, 3 * 50, 6 * 50], "the question, and each cluster's");
}

#[test]
fn memory_given_back_is_reported_once() {
    let flags = eight();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    for (queries, expected) in [(1_000, false), (1_100, true)] {
        let mut lab = Lab::new(&flags);
        (0..queries).for_each(|n| ask(&mut lab, n));
        assert!(!lab.engine.has_given_back(), "they are still in flight");
        lab.pass(Duration::from_secs(10));
        assert_eq!(lab.engine.has_given_back(), expected, "after {queries}");
        assert!(!lab.engine.has_given_back());
    }
}

#[test]
fn more_queries_than_memory_allows_are_servfail() {
    let flags = eight();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut lab = Lab::new(&flags);
    (0..25_000).for_each(|n| ask(&mut lab, n));
    let counters = lab.engine.counters();
    let octets = lab.engine.octets_in_flight();
    assert!((96 << 20..97 << 20).contains(&octets), "{octets} octets in flight");
    let in_flight = lab.engine.queries_in_flight() as u64;
    assert_eq!(counters.overloaded, 25_000 - in_flight);
    assert!(in_flight > 10_000, "{in_flight}");
}

#[test]
fn a_large_reply_is_not_taken_when_memory_is_short() {
    // Each of 64 workers has room for replies of three mebibytes.
    let mut lab = Lab::new(&[&common::TWO[..], &["--workers", "64"]].concat());
    let asked: Vec<Asked> = (0..80)
        .map(|n| {
            let name = format!("n{n}.distributed.local.");
            lab.query(client(Transport::Tcp), &Question::new(&name, Rtype::TXT).packet());
            lab.take_asked().remove(0)
        })
        .collect();
    let mut taken = 0;
    for (n, asked) in asked.iter().enumerate() {
        let record = |m| format!("n{n}.cluster-a.local. 30 IN TXT {m}{}", "y".repeat(250));
        let lines: Vec<String> = (100..320).map(record).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let packet = Reply::ok(&lines).to(&asked.packet);
        let before = lab.engine.counters().overloaded;
        lab.reply(asked.link, &packet);
        assert!(lab.engine.octets_in_flight() <= 3 << 20);
        let refused = lab.engine.counters().overloaded - before;
        assert!(refused <= 1, "it is counted once");
        taken += if refused == 0 { packet.len() } else { 0 };
    }
    assert!(taken > (3 << 20) - 800_000, "{taken} octets of replies");
    assert!(lab.engine.counters().overloaded > 20);
}
