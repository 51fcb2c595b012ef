//! The path of a query through the sockets: UDP in batches, replies over TCP,
//! the address that was asked.

use crate::client::{Stream, answer, ask, cookie_of, id_of, query, query_for, whole, with_cookie};
use crate::common::text::shown;
use crate::process::{Daemon, PATIENCE, program, until};
use crate::upstream::{Does, Upstream};
use domain::base::iana::Rtype;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

fn clusters() -> (Upstream, Upstream) {
    (Upstream::start('a'), Upstream::start('b'))
}

#[test]
fn an_answer_over_udp_has_the_records_of_every_cluster() {
    let (a, b) = clusters();
    let daemon = Daemon::start(&[&a, &b], &[]);
    assert_eq!(answer(daemon.addr(), "one"), whole("one"));
    assert_eq!(a.asked(false), ["one.cluster-a.local. A"]);
    assert_eq!(b.asked(false), ["one.cluster-b.local. A"]);
    assert_eq!(a.asked(true), [] as [&str; 0]);
}

#[test]
fn many_queries_at_once_are_all_answered() {
    let (a, b) = clusters();
    let daemon = Daemon::start(&[&a, &b], &["--workers", "2"]);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // Fewer octets than a socket's buffer holds, whatever the daemon does meanwhile.
    let mut open: BTreeSet<u16> = (0..150).collect();
    let mut packet = [0; 4096];
    for _ in 0..8 {
        for id in &open {
            socket.send_to(&query(*id, &format!("name-{id}")), daemon.addr()).unwrap();
        }
        while !open.is_empty()
            && let Ok(len) = socket.recv(&mut packet)
        {
            let id = id_of(&packet);
            assert_eq!(shown(&packet[..len]), whole(&format!("name-{id}")));
            open.remove(&id);
        }
    }
    assert!(open.is_empty(), "unanswered: {open:?}");
}

#[test]
fn t5_the_answer_comes_from_the_address_that_was_asked() {
    let (a, b) = clusters();
    let daemon = Daemon::start(&[&a, &b], &["--listen", "0.0.0.0:0"]);
    let port = daemon.addr().port();
    for last in [1, 2, 77] {
        // `ask` compares where the answer comes from.
        ask((Ipv4Addr::new(127, 0, 0, last), port).into(), &query(7, "one"));
    }
}

#[test]
fn u4_a_truncated_reply_is_asked_for_over_tcp() {
    let (a, b) = clusters();
    let daemon = Daemon::start(&[&a, &b], &[]);
    let mut stream = Stream::open(daemon.addr());
    stream.send(&[query_for(9, "large", Rtype::TXT)]);
    let answer = stream.receive().unwrap();
    assert!(answer.len() > 4096, "one of many records");
    let lines = shown(&answer);
    assert_eq!(lines.len(), 1 + 200 + 200, "header and records of both");
    assert_eq!(a.asked(true), ["large.cluster-a.local. TXT"]);
    assert_eq!(a.asked(false), ["large.cluster-a.local. TXT"]);
}

#[test]
fn u4_one_connection_to_a_server_has_many_questions() {
    let (a, b) = clusters();
    a.does(Does::Truncate);
    let daemon = Daemon::start(&[&a, &b], &["--deadline", "10s"]);
    for n in 0..5 {
        let name = format!("name-{n}");
        assert_eq!(answer(daemon.addr(), &name), whole(&name));
    }
    assert_eq!(a.asked(true).len(), 5);
    assert_eq!(a.connections(), 1);
}

#[test]
fn u4_a_connection_that_the_server_closed_is_opened_anew() {
    let (a, b) = clusters();
    a.does(Does::TruncateAndClose);
    let daemon = Daemon::start(&[&a, &b], &["--deadline", "10s"]);
    for n in 0..4 {
        let name = format!("name-{n}");
        assert_eq!(answer(daemon.addr(), &name), whole(&name));
    }
    assert!(a.connections() >= 4, "{}", a.connections());
}

#[test]
fn a_connection_nobody_reads_from_costs_only_its_cluster() {
    let (a, b) = clusters();
    a.does(Does::TruncateAndStall);
    let daemon = Daemon::start(&[&a, &b], &["--deadline", "600ms"]);
    let lines = answer(daemon.addr(), "one");
    assert!(lines.contains(&"one.distributed.local. 5 IN A 10.9.1.1".into()), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("without cluster-a.local. a-")), "{lines:?}");
}

/// A daemon whose cluster a has two servers, the first of which is of no use. With
/// this deadline a server that only kept silent would outlast the client.
fn with_a_first_server(first: SocketAddr, second: &Upstream) -> Daemon {
    let mut command = program();
    let words = format!("cluster-a.local. a- {first} {}", second.addr);
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--deadline", "60s"]);
    command.args(["--workers", "1", "--zone", "distributed.local.", "--cluster", &words]);
    Daemon::run(command)
}

#[test]
fn u3_an_icmp_error_moves_a_question_on_at_once() {
    let a = Upstream::start('a');
    let gone = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let daemon = with_a_first_server(gone, &a);
    assert_eq!(answer(daemon.addr(), "one"), whole("one")[..3]);
    assert_eq!(daemon.metric("gathersrv_retransmitted_total", &[]), 0.0);
}

#[test]
fn u3_a_connection_that_is_refused_moves_a_question_on_at_once() {
    let (first, a) = (Upstream::without_tcp('a'), Upstream::start('a'));
    first.does(Does::Truncate);
    let daemon = with_a_first_server(first.addr, &a);
    assert_eq!(answer(daemon.addr(), "one"), whole("one")[..3]);
    assert_eq!(first.asked(false), ["one.cluster-a.local. A"]);
    assert_eq!(daemon.metric("gathersrv_retransmitted_total", &[]), 0.0);
    assert_eq!(daemon.metric("gathersrv_truncated_replies_total", &[]), 1.0);
}

#[test]
fn u1_a_datagram_larger_than_any_is_dropped_and_the_reply_after_it_counts() {
    let (a, b) = clusters();
    a.does(Does::Oversize);
    let daemon = Daemon::start(&[&a, &b], &["--deadline", "60s"]);
    // A health check's reply is unexpected once a question was answered before it.
    daemon.until_metric("gathersrv_server_up", &[], 2.0);
    assert_eq!(answer(daemon.addr(), "one"), whole("one"));
    for counter in ["malformed", "unexpected", "mismatched", "suspect"] {
        assert_eq!(daemon.metric(&format!("gathersrv_{counter}_total"), &[]), 0.0, "{counter}");
    }
}

#[test]
fn t5_a_daemon_that_stops_answers_what_it_was_asked_over_udp() {
    let (a, b) = clusters();
    a.does(Does::Nothing);
    let mut daemon = Daemon::start(&[&a, &b], &["--deadline", "1s"]);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(&query(3, "one"), daemon.addr()).unwrap();
    until("the question arrives", || a.asked(false).first().cloned());
    daemon.signal("TERM");
    let mut packet = [0; 4096];
    let len = socket.recv(&mut packet).expect("an answer");
    assert!(shown(&packet[..len]).contains(&"one.distributed.local. 5 IN A 10.9.1.1".into()));
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn ipv6_clients_and_ipv4_clusters_meet() {
    if UdpSocket::bind("[::1]:0").is_err() {
        return;
    }
    let (a, b) = clusters();
    let daemon = Daemon::start(&[&a, &b], &["--listen", "[::1]:0"]);
    let socket = UdpSocket::bind("[::1]:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.send_to(&query(3, "one"), daemon.addr()).unwrap();
    let mut packet = [0; 4096];
    let len = socket.recv(&mut packet).unwrap();
    assert_eq!(shown(&packet[..len]), whole("one"));
}

#[test]
fn u1_every_daemon_has_cookies_of_its_own() {
    let (a, b) = clusters();
    let asked = with_cookie(query(1, "one"), b"cliently");
    let of_daemon = || {
        let daemon = Daemon::start(&[&a, &b], &[]);
        let given = cookie_of(&ask(daemon.addr(), &asked)).unwrap();
        assert_eq!((given.len(), &given[..8]), (24, &b"cliently"[..]));
        (given[16..].to_vec(), a.cookies().pop().unwrap())
    };
    let (first, second) = (of_daemon(), of_daemon());
    assert_ne!(first.0, second.0, "given to a client");
    assert_ne!(first.1, second.1, "shown to a server");
    assert_ne!(a.cookies().pop(), b.cookies().pop(), "every server is shown another");
}
