//! What a hostile network is up against: forgers who guess at answers, clients
//! who are not where they say, and servers that have to prove who they are.
//! Packets in, packets out, virtual time; what it comes to in numbers is in
//! docs/security.md.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]

mod common;

#[path = "scenarios/actors.rs"]
mod actors;
#[path = "guarding/case.rs"]
mod case;
#[path = "guarding/clients.rs"]
mod clients;
#[path = "guarding/cookies.rs"]
mod cookies;
#[path = "guarding/forger.rs"]
mod forger;
#[path = "guarding/odds.rs"]
mod odds;
#[path = "guarding/tls.rs"]
mod tls;

/// The COOKIE option of a packet whose OPT record stands last and has nothing
/// else in it.
fn cookie_of(packet: &[u8]) -> Option<&[u8]> {
    let opt = (12..packet.len()).rev().find(|&at| packet[at..].starts_with(&[0, 0, 41]))?;
    let rdlength = usize::from(u16::from_be_bytes([packet[opt + 9], packet[opt + 10]]));
    let options = &packet[opt + 11..opt + 11 + rdlength];
    options.starts_with(&[0, 10]).then(|| &options[4..4 + usize::from(options[3])])
}

/// A packet with an OPT record that has this cookie, and an extended rcode.
fn with_cookie(mut packet: Vec<u8>, cookie: &[u8], extended_rcode: u8) -> Vec<u8> {
    packet[11] += 1;
    packet.extend([0, 0, 41, 4, 208, extended_rcode, 0, 0, 0]);
    packet.extend((4 + cookie.len() as u16).to_be_bytes());
    packet.extend([0, 10, 0, cookie.len() as u8]);
    packet.extend(cookie);
    packet
}
