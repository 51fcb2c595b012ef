//! Who takes part in the stories: a client that asks for an address, and
//! clusters that give one.

use crate::common::text::{Question, Reply, shown};
use crate::common::{Asked, Lab, client};
use domain::base::iana::{Rcode, Rtype};
use gathersrv::engine::{Client, Time, Transport};
use std::time::Duration;

pub const WEB: &str = "web.distributed.local.";

pub const MS: Duration = Duration::from_millis(1);

pub const DEADLINE: Duration = Duration::from_millis(800);

/// One cluster with one server: every packet is about the same sub-question.
pub const ONE: [&str; 4] =
    ["--zone", "distributed.local.", "--cluster", "cluster-a.local. a- 10.8.0.1"];

/// One cluster with three servers.
pub const THREE_SERVERS: [&str; 4] =
    ["--zone", "distributed.local.", "--cluster", "cluster-a.local. a- 10.8.0.1 10.8.0.2 10.8.0.3"];

pub fn address_query(name: &str) -> Vec<u8> {
    Question::new(name, Rtype::A).packet()
}

/// Asks for `name` as the client number `n`.
pub fn ask(lab: &mut Lab, n: u64, name: &str) {
    let mut question = Question::new(name, Rtype::A);
    question.id = n as u16;
    lab.query(Client { socket: n, ..client(Transport::Udp) }, &question.packet());
}

/// Asks for [`WEB`]; what goes to the clusters.
pub fn ask_web(lab: &mut Lab) -> Vec<Asked> {
    lab.udp(&address_query(WEB));
    lab.take_asked()
}

/// The reply with this address for whatever name was asked.
pub fn address(asked: &Asked, last: u8) -> Vec<u8> {
    let mut out = asked.packet[..2].to_vec();
    out.extend([0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
    out.extend(question(&asked.packet));
    out.extend(b"\xC0\x0C\0\x01\0\x01\0\0\0\x1E\0\x04\x0A\0\0");
    out.push(last);
    out
}

pub fn truncated(asked: &Asked) -> Vec<u8> {
    let mut out = asked.packet[..2].to_vec();
    out.extend([0x86, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    out.extend(question(&asked.packet));
    out
}

pub fn rcode(asked: &Asked, rcode: Rcode) -> Vec<u8> {
    Reply::rcode(rcode).to(&asked.packet)
}

/// Name, type and class of a packet with a question of one.
pub fn question(packet: &[u8]) -> &[u8] {
    let mut end = 12;
    while packet[end] != 0 {
        end += 1 + usize::from(packet[end]);
    }
    &packet[12..end + 5]
}

/// The last octets of the addresses in the one answer there is, which is good.
pub fn addresses(lab: &mut Lab) -> Vec<u8> {
    let answers = lab.take_answers();
    assert_eq!(answers.len(), 1, "one answer");
    addresses_in(&answers[0].packet)
}

pub fn addresses_in(packet: &[u8]) -> Vec<u8> {
    let lines = shown(packet);
    assert!(lines[0].starts_with("=> NOERROR"), "{lines:?}");
    lines[1..]
        .iter()
        .filter_map(|line| line.rsplit_once(" A 10.0.0."))
        .map(|(_, last)| last.parse().unwrap())
        .collect()
}

/// Lets time pass millisecond by millisecond; what is sent, and when.
pub fn watch(lab: &mut Lab, time: Duration) -> Vec<(Time, Asked)> {
    let mut sent = Vec::new();
    for _ in 0..time.as_millis() {
        lab.pass(MS);
        let now = lab.now;
        sent.extend(lab.take_asked().into_iter().map(|asked| (now, asked)));
    }
    sent
}
