//! The messages of dnstap: what its protobuf schema has, as far as it is filled
//! in here.

use super::{Batch, Entry, Kind};
use crate::engine::{Time, Transport};
use prost::Message as _;
use std::net::{IpAddr, SocketAddr};
use std::time::UNIX_EPOCH;

/// The only type of the outer message there is.
const MESSAGE: i32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Dnstap {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub identity: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub version: Option<Vec<u8>>,
    #[prost(message, optional, tag = "14")]
    pub message: Option<Message>,
    #[prost(int32, required, tag = "15")]
    pub kind: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Message {
    #[prost(int32, required, tag = "1")]
    pub kind: i32,
    #[prost(int32, optional, tag = "2")]
    pub socket_family: Option<i32>,
    #[prost(int32, optional, tag = "3")]
    pub socket_protocol: Option<i32>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub query_address: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "5")]
    pub response_address: Option<Vec<u8>>,
    #[prost(uint32, optional, tag = "6")]
    pub query_port: Option<u32>,
    #[prost(uint32, optional, tag = "7")]
    pub response_port: Option<u32>,
    #[prost(uint64, optional, tag = "8")]
    pub query_time_sec: Option<u64>,
    #[prost(fixed32, optional, tag = "9")]
    pub query_time_nsec: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "10")]
    pub query_message: Option<Vec<u8>>,
    #[prost(uint64, optional, tag = "12")]
    pub response_time_sec: Option<u64>,
    #[prost(fixed32, optional, tag = "13")]
    pub response_time_nsec: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "14")]
    pub response_message: Option<Vec<u8>>,
}

/// Who sends.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    /// The host's name.
    pub identity: Vec<u8>,
    /// Our version.
    pub version: Vec<u8>,
}

impl Sender {
    /// This host and program.
    pub fn here() -> Self {
        let identity = rustix::system::uname().nodename().to_bytes().to_vec();
        Sender { identity, version: concat!("gathersrv ", env!("CARGO_PKG_VERSION")).into() }
    }

    /// An entry of a batch, encoded.
    pub fn encode(&self, batch: &Batch, entry: &Entry, octets: &[u8]) -> Vec<u8> {
        let dnstap = Dnstap {
            identity: Some(self.identity.clone()),
            version: Some(self.version.clone()),
            message: Some(message(batch, entry, octets)),
            kind: MESSAGE,
        };
        dnstap.encode_to_vec()
    }
}

fn octets_of(addr: SocketAddr) -> Vec<u8> {
    match addr.ip().to_canonical() {
        IpAddr::V4(ip) => ip.octets().into(),
        IpAddr::V6(ip) => ip.octets().into(),
    }
}

fn message(batch: &Batch, entry: &Entry, octets: &[u8]) -> Message {
    let (kind, asks, by_us) = match entry.kind {
        Kind::ClientQuery => (5, true, false),
        Kind::ClientResponse => (6, false, false),
        Kind::ForwarderQuery => (7, true, true),
        Kind::ForwarderResponse => (8, false, true),
    };
    let peer = Some(entry.peer);
    let (asker, asked) = if by_us { (entry.own, peer) } else { (peer, entry.own) };
    let time = |time: Time| {
        let since = batch.wall(time).duration_since(UNIX_EPOCH).unwrap_or_default();
        (since.as_secs(), since.subsec_nanos())
    };
    let query_time = if asks { Some(entry.at) } else { entry.came }.map(time);
    let response_time = (!asks).then(|| time(entry.at));
    let packet = Some(octets.to_vec());
    let (query_message, response_message) = if asks { (packet, None) } else { (None, packet) };
    Message {
        kind,
        socket_family: Some(if entry.peer.ip().to_canonical().is_ipv4() { 1 } else { 2 }),
        socket_protocol: Some(match entry.transport {
            Transport::Udp => 1,
            Transport::Tcp => 2,
            Transport::Tls => 3,
        }),
        query_address: asker.map(octets_of),
        response_address: asked.map(octets_of),
        query_port: asker.map(|addr| addr.port().into()),
        response_port: asked.map(|addr| addr.port().into()),
        query_time_sec: query_time.map(|(sec, _)| sec),
        query_time_nsec: query_time.map(|(_, nsec)| nsec),
        query_message,
        response_time_sec: response_time.map(|(sec, _)| sec),
        response_time_nsec: response_time.map(|(_, nsec)| nsec),
        response_message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn read(entry: Entry) -> Message {
        let mut batch = Batch {
            now: Time::from_micros(2_000_000),
            wall: UNIX_EPOCH + Duration::from_secs(1_764_000_000),
            ..Batch::default()
        };
        batch.push(entry, b"packet");
        let (entry, octets) = batch.iter().next().unwrap();
        let sender = Sender { identity: b"host".to_vec(), version: b"v".to_vec() };
        let dnstap = Dnstap::decode(&sender.encode(&batch, entry, octets)[..]).unwrap();
        assert_eq!((dnstap.identity, dnstap.kind), (Some(b"host".to_vec()), 1));
        dnstap.message.unwrap()
    }

    #[test]
    fn an_answer_says_who_asked_whom_and_when() {
        let peer = "192.0.2.1:4711".parse().unwrap();
        let at = Time::from_micros(1_500_000);
        let entry = Entry::new(Kind::ClientResponse, at, peer, Transport::Tls);
        let own = Some("10.0.0.53:853".parse().unwrap());
        let told = read(Entry { came: Some(Time::from_micros(1_250_000)), own, ..entry });
        assert_eq!((told.kind, told.socket_family, told.socket_protocol), (6, Some(1), Some(3)));
        assert_eq!(told.query_address, Some(vec![192, 0, 2, 1]));
        assert_eq!((told.query_port, told.response_port), (Some(4711), Some(853)));
        assert_eq!(told.response_address, Some(vec![10, 0, 0, 53]));
        assert_eq!(told.query_time_sec, Some(1_763_999_999));
        assert_eq!(told.query_time_nsec, Some(250_000_000));
        assert_eq!(told.response_time_nsec, Some(500_000_000));
        assert_eq!(told.response_message, Some(b"packet".to_vec()));
        assert_eq!(told.query_message, None);
    }

    #[test]
    fn in_a_sub_question_it_is_us_who_asks() {
        let peer = "[2001:db8::1]:53".parse().unwrap();
        let at = Time::from_micros(1_500_000);
        let told = read(Entry::new(Kind::ForwarderQuery, at, peer, Transport::Udp));
        assert_eq!((told.kind, told.socket_family, told.socket_protocol), (7, Some(2), Some(1)));
        assert_eq!((told.query_address, told.query_port), (None, None));
        assert_eq!(told.response_port, Some(53));
        assert_eq!(told.query_message, Some(b"packet".to_vec()));
        assert_eq!((told.response_message, told.response_time_sec), (None, None));
    }
}
