//! Copies of packets for a collector of dnstap, which is a server in the test.

use crate::client::{Stream, answer, query, whole};
use crate::common::text::question_of;
use crate::process::{Daemon, Directory, PATIENCE, until};
use crate::upstream::{Does, Upstream};
use prost::Message as _;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{Receiver, channel};

/// dnstap.Dnstap of dnstap.proto, as far as it is looked at here.
#[derive(Clone, PartialEq, prost::Message)]
struct Dnstap {
    #[prost(bytes, optional, tag = "2")]
    version: Option<Vec<u8>>,
    #[prost(message, optional, tag = "14")]
    message: Option<Message>,
}

/// dnstap.Message.
#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(int32, required, tag = "1")]
    kind: i32,
    #[prost(int32, optional, tag = "3")]
    protocol: Option<i32>,
    #[prost(bytes, optional, tag = "5")]
    response_address: Option<Vec<u8>>,
    #[prost(uint32, optional, tag = "7")]
    response_port: Option<u32>,
    #[prost(bytes, optional, tag = "10")]
    query_message: Option<Vec<u8>>,
    #[prost(bytes, optional, tag = "14")]
    response_message: Option<Vec<u8>>,
}

const CLIENT_QUERY: i32 = 5;
const CLIENT_RESPONSE: i32 = 6;
const FORWARDER_QUERY: i32 = 7;
const FORWARDER_RESPONSE: i32 = 8;
const UDP: Option<i32> = Some(1);
const TCP: Option<i32> = Some(2);

/// The collector's side of the handshake of Frame Streams, and then every entry.
fn collect(mut stream: UnixStream, entries: &std::sync::mpsc::Sender<Message>) -> Option<()> {
    let read = |stream: &mut UnixStream| {
        let mut word = [0; 4];
        stream.read_exact(&mut word).ok()?;
        Some(u32::from_be_bytes(word))
    };
    loop {
        let len = read(&mut stream)?;
        let control = len == 0;
        let len = if control { read(&mut stream)? } else { len };
        let mut frame = vec![0; len as usize];
        stream.read_exact(&mut frame).ok()?;
        if !control {
            let entry = Dnstap::decode(&frame[..]).expect("an entry");
            assert_eq!(
                entry.version.as_deref(),
                Some(concat!("gathersrv ", env!("CARGO_PKG_VERSION")).as_bytes())
            );
            entries.send(entry.message.expect("a message")).ok()?;
        } else if frame[..4] == [0, 0, 0, 4] {
            // READY is answered by ACCEPT, with the content type that was offered.
            frame[3] = 1;
            stream
                .write_all(&[&[0; 4], &(frame.len() as u32).to_be_bytes(), &frame[..]].concat())
                .ok()?;
        }
    }
}

/// Every entry that a collector at `path` is sent, over one connection after another.
fn collector(path: &std::path::Path) -> Receiver<Message> {
    let listener = UnixListener::bind(path).unwrap();
    let (sender, entries) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            collect(stream, &sender);
        }
    });
    entries
}

/// The next `count` entries that are no health check's, sorted by kind.
fn take(entries: &Receiver<Message>, count: usize) -> Vec<Message> {
    let next = || entries.recv_timeout(PATIENCE).expect("an entry");
    let is_question = |entry: &Message| {
        let packet = entry.query_message.as_ref().or(entry.response_message.as_ref());
        !question_of(packet.expect("a packet")).ends_with(" SOA")
    };
    let mut taken: Vec<Message> =
        std::iter::repeat_with(next).filter(is_question).take(count).collect();
    taken.sort_by_key(|entry| entry.kind);
    taken
}

#[test]
fn every_packet_of_a_query_is_copied_once() {
    let directory = Directory::new("dnstap");
    let entries = collector(&directory.0.join("sock"));
    let a = Upstream::start('a');
    let to = format!("unix:{}", directory.0.join("sock").display());
    let daemon = Daemon::start(&[&a], &["--dnstap", &to]);
    daemon.event("dnstap_connected");
    assert_eq!(answer(daemon.addr(), "one"), whole("one")[..3]);
    let taken = take(&entries, 4);
    let kinds: Vec<i32> = taken.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [CLIENT_QUERY, CLIENT_RESPONSE, FORWARDER_QUERY, FORWARDER_RESPONSE]);
    assert_eq!(taken[0].query_message.as_deref(), Some(&query(1, "one")[..]));
    assert!(taken.iter().all(|entry| entry.protocol == UDP), "{taken:?}");
    for entry in &taken {
        let server = if entry.kind <= CLIENT_RESPONSE { daemon.addr() } else { a.addr };
        let IpAddr::V4(ip) = server.ip() else { panic!("an IPv4 address") };
        assert_eq!(entry.response_address.as_deref(), Some(&ip.octets()[..]), "{entry:?}");
        assert_eq!(entry.response_port, Some(server.port().into()));
    }
    assert!(taken[1].response_message.as_ref().is_some_and(|packet| packet.len() > 60));
    assert!(taken[3].response_message.as_ref().is_some_and(|packet| packet.len() > 60));

    // The same over connections, on both sides.
    a.does(Does::Truncate);
    let mut stream = Stream::open(daemon.addr());
    stream.send(&[query(2, "two")]);
    stream.receive().unwrap();
    let taken = take(&entries, 6);
    let over: Vec<(i32, Option<i32>)> =
        taken.iter().map(|entry| (entry.kind, entry.protocol)).collect();
    assert_eq!(over[..2], [(CLIENT_QUERY, TCP), (CLIENT_RESPONSE, TCP)]);
    for kind in [FORWARDER_QUERY, FORWARDER_RESPONSE] {
        for protocol in [UDP, TCP] {
            assert!(over.contains(&(kind, protocol)), "{over:?}");
        }
    }
    assert_eq!(taken[0].response_port, Some(daemon.addr().port().into()));
    assert!(daemon.metric("gathersrv_tap_entries_total", &["dnstap"]) >= 10.0);
    assert_eq!(daemon.metric("gathersrv_tap_entries_dropped_total", &["dnstap"]), 0.0);
}

#[test]
fn a_collector_that_goes_away_is_told_of_and_tried_again() {
    let directory = Directory::new("dnstap-lost");
    let path = directory.0.join("sock");
    let listener = UnixListener::bind(&path).unwrap();
    let a = Upstream::start('a');
    let daemon = Daemon::start(&[&a], &["--dnstap", &format!("unix:{}", path.display())]);
    // It closes the connection at once, and then is not there at all.
    drop(listener.accept().unwrap());
    drop(listener);
    std::fs::remove_file(&path).unwrap();
    daemon.event("dnstap_lost");
    assert_eq!(answer(daemon.addr(), "one"), whole("one")[..3]);
    let entries = collector(&path);
    daemon.event("dnstap_connected");
    assert_eq!(answer(daemon.addr(), "two"), whole("two")[..3]);
    until("a query after its return", || {
        let entry = entries.recv_timeout(PATIENCE).expect("an entry");
        (entry.query_message.as_deref() == Some(&query(1, "two")[..])).then_some(())
    });
}
