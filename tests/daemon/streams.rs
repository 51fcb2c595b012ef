//! Conversations over TCP (T4): pipelines, slow and silent clients, those who
//! read nothing, and the end.

use crate::client::{Stream, frames, id_of, query, query_for, whole};
use crate::common::text::shown;
use crate::process::{Daemon, until};
use crate::upstream::{Does, Upstream};
use domain::base::iana::Rtype;
use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

fn daemon(flags: &[&str]) -> (Daemon, Upstream, Upstream) {
    let (a, b) = (Upstream::start('a'), Upstream::start('b'));
    (Daemon::start(&[&a, &b], flags), a, b)
}

#[test]
fn t4_a_pipeline_is_answered_whole_and_then_closed() {
    let (daemon, _a, _b) = daemon(&[]);
    let mut stream = Stream::open(daemon.addr());
    // More than are taken at once.
    let queries: Vec<_> = (0..300).map(|id| query(id, &format!("name-{id}"))).collect();
    stream.send(&queries);
    stream.finish();
    let mut open: BTreeSet<u16> = (0..300).collect();
    while let Some(answer) = stream.receive() {
        let id = id_of(&answer);
        assert_eq!(shown(&answer), whole(&format!("name-{id}")));
        assert!(open.remove(&id), "{id} is answered once");
    }
    assert!(open.is_empty(), "unanswered: {open:?}");
    daemon.until_metric("gathersrv_connections", &["tcp"], 0.0);
    assert_eq!(daemon.metric("gathersrv_queries_total", &["tcp"]), 300.0);
}

#[test]
fn t4_a_query_may_come_octet_by_octet_and_the_next_one_with_it() {
    let (daemon, _a, _b) = daemon(&[]);
    let mut stream = Stream::open(daemon.addr());
    let all = frames(&[query(1, "one"), query(2, "two")]);
    let (slow, rest) = all.split_at(frames(&[query(1, "one")]).len() + 3);
    for octet in slow {
        stream.0.write_all(&[*octet]).unwrap();
    }
    assert_eq!(shown(&stream.receive().unwrap()), whole("one"));
    stream.0.write_all(rest).unwrap();
    assert_eq!(shown(&stream.receive().unwrap()), whole("two"));
    daemon.until_metric("gathersrv_connections", &["tcp"], 1.0);
}

#[test]
fn t4_what_is_no_query_is_not_answered_and_ends_nothing() {
    let (daemon, _a, _b) = daemon(&[]);
    let mut stream = Stream::open(daemon.addr());
    stream.send(&[vec![1, 2, 3], vec![], query(4, "four")]);
    let answer = stream.receive().unwrap();
    assert_eq!((id_of(&answer), shown(&answer)), (4, whole("four")));
    stream.finish();
    assert_eq!(stream.receive(), None);
}

#[test]
fn t4_answers_come_as_they_are_complete() {
    let (daemon, a, _b) = daemon(&["--deadline", "1500ms"]);
    a.does(Does::Nothing);
    let mut stream = Stream::open(daemon.addr());
    stream.send(&[query(1, "a-one"), query(2, "b-two")]);
    // b answers at once; a's answer takes until the deadline.
    assert_eq!(id_of(&stream.receive().unwrap()), 2);
    assert_eq!(id_of(&stream.receive().unwrap()), 1);
}

#[test]
fn t4_a_client_that_reads_nothing_does_not_fill_the_memory_and_is_let_go() {
    let (daemon, a, b) = daemon(&["--cache", "0", "--keep", "0"]);
    let mut stream = Stream::open(daemon.addr());
    stream.0.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    // Answers of 13 kB each: sockets hold some, the daemon a bounded number, and
    // then it reads no more.
    let mut sent = 0u16;
    while sent < 4000
        && stream
            .0
            .write_all(&frames(&[query_for(sent, &format!("large-{sent}"), Rtype::TXT)]))
            .is_ok()
    {
        sent += 1;
        if sent.is_multiple_of(50) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    until("its questions are asked", || {
        (a.asked(true).len() > 50 && b.asked(true).len() > 50).then_some(())
    });
    // Other clients are served meanwhile.
    let mut other = Stream::open(daemon.addr());
    other.send(&[query(1, "one")]);
    assert_eq!(shown(&other.receive().unwrap()), whole("one"));
    drop(stream);
    drop(other);
    daemon.until_metric("gathersrv_connections", &["tcp"], 0.0);
    daemon.until_metric("gathersrv_in_flight_queries", &[], 0.0);
}

#[test]
fn a_daemon_that_stops_answers_what_it_has_taken_and_closes() {
    let (mut daemon, a, _b) = daemon(&["--deadline", "1s"]);
    a.does(Does::Nothing);
    let mut stream = Stream::open(daemon.addr());
    stream.send(&[query(1, "one")]);
    until("the question arrives", || a.asked(false).first().cloned());
    daemon.signal("TERM");
    let lines = shown(&stream.receive().expect("an answer on its way"));
    assert!(lines.contains(&"one.distributed.local. 5 IN A 10.9.1.1".into()), "{lines:?}");
    assert_eq!(stream.receive(), None);
    assert_eq!(daemon.ended().code(), Some(0));
}
