//! What clients may take: connections, queries, the door.

use crate::client::{Stream, answer, query, whole};
use crate::common::text::shown;
use crate::process::{Daemon, until};
use crate::upstream::{Does, Upstream};
use std::time::Duration;

fn daemon(flags: &[&str]) -> (Daemon, Upstream, Upstream) {
    let (a, b) = (Upstream::start('a'), Upstream::start('b'));
    (Daemon::start(&[&a, &b], flags), a, b)
}

/// A connection that is served.
fn served(daemon: &Daemon) -> Stream {
    let mut stream = Stream::open(daemon.addr());
    stream.send(&[query(1, "one")]);
    assert_eq!(shown(&stream.receive().expect("an answer")), whole("one"));
    stream
}

/// A connection that is closed at once.
fn is_turned_away(daemon: &Daemon) -> bool {
    Stream::open(daemon.addr()).receive().is_none()
}

#[test]
fn t4_there_are_so_many_connections_and_no_more() {
    let (daemon, _a, _b) = daemon(&["--max-tcp", "3", "--workers", "2"]);
    let mut open: Vec<Stream> = (0..3).map(|_| served(&daemon)).collect();
    assert!(is_turned_away(&daemon));
    assert!(is_turned_away(&daemon));
    daemon.until_metric("gathersrv_connections_turned_away_total", &[], 2.0);
    drop(open.pop());
    // Its place is free once the daemon has seen the end.
    until("a place", || {
        let mut stream = Stream::open(daemon.addr());
        stream.send(&[query(1, "one")]);
        stream.receive().map(|_| stream)
    });
}

#[test]
fn t4_one_address_has_so_many_of_them() {
    let (daemon, _a, _b) = daemon(&["--max-tcp-per-client", "2"]);
    let _open: Vec<Stream> = (0..2).map(|_| served(&daemon)).collect();
    assert!(is_turned_away(&daemon));
    // Another address of loopback is another client.
    let other = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    other.bind(&std::net::SocketAddr::from(([127, 0, 0, 9], 0)).into()).unwrap();
    other.connect(&daemon.addr().into()).unwrap();
    let mut stream = Stream(std::net::TcpStream::from(other));
    stream.send(&[query(1, "one")]);
    assert_eq!(shown(&stream.receive().unwrap()), whole("one"));
}

#[test]
fn t7_strangers_are_refused_over_udp_and_not_accepted_over_tcp() {
    let (daemon, a, _b) = daemon(&["--allow", "10.0.0.0/8"]);
    let lines = answer(daemon.addr(), "one");
    assert_eq!(lines[0], "=> REFUSED rd edns", "{lines:?}");
    assert!(is_turned_away(&daemon));
    assert_eq!(a.asked(false), [] as [&str; 0]);
    assert_eq!(daemon.metric("gathersrv_refused_total", &[]), 1.0);
    assert_eq!(daemon.metric("gathersrv_connections_turned_away_total", &[]), 0.0);
}

#[test]
fn l1_more_queries_than_may_be_in_flight_get_servfail_at_once() {
    let (daemon, a, b) = daemon(&["--max-queries", "3", "--deadline", "1s", "--keep", "0"]);
    a.does(Does::Nothing);
    b.does(Does::Nothing);
    let mut stream = Stream::open(daemon.addr());
    let queries: Vec<_> = (0..5).map(|id| query(id, &format!("name-{id}"))).collect();
    stream.send(&queries);
    let answers: Vec<_> = (0..5).map(|_| stream.receive().unwrap()).collect();
    let ids: Vec<u16> = answers.iter().take(2).map(|answer| crate::client::id_of(answer)).collect();
    assert_eq!(ids, [3, 4], "those beyond are answered first");
    assert!(answers.iter().all(|answer| shown(answer)[0].starts_with("=> SERVFAIL")));
    assert_eq!(daemon.metric("gathersrv_overloaded_total", &[]), 2.0);
}

#[test]
fn a_client_network_gets_so_many_answers_a_second_and_over_tcp_all() {
    let (daemon, _a, _b) = daemon(&["--rate-limit", "5"]);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    for id in 0..100 {
        socket.send_to(&query(id, "one"), daemon.addr()).unwrap();
    }
    let mut packet = [0; 4096];
    let mut whole_ones = 0;
    while let Ok(len) = socket.recv(&mut packet) {
        whole_ones += usize::from(shown(&packet[..len]) == whole("one"));
    }
    assert!((1..50).contains(&whole_ones), "{whole_ones}");
    assert!(daemon.metric("gathersrv_rate_limited_total", &[]) > 40.0);
    served(&daemon);
}
