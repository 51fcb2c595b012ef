//! Servers over TLS (RFC 7858): asked over a connection and over nothing else.

use crate::actors::{MS, WEB, address, address_query, addresses, ask_web};
use crate::common::Lab;
use crate::cookie_of;
use gathersrv::engine::{LinkState, Transport};
use std::time::Duration;

const ALONE: [&str; 4] = [
    "--zone",
    "distributed.local.",
    "--cluster",
    "cluster-a.local. a- tls://10.8.0.1#dns.cluster-a.example ca=/etc/ca.pem case=random",
];

const PAIR: [&str; 4] = [
    "--zone",
    "distributed.local.",
    "--cluster",
    "cluster-a.local. a- tls://10.8.0.1#dns.example tls://10.8.0.2#dns.example",
];

#[test]
fn all_questions_go_over_one_connection_plainly() {
    let mut lab = Lab::new(&ALONE);
    for n in 0..5 {
        let asked = ask_web(&mut lab).remove(0);
        assert_eq!(asked.transport, Transport::Tls);
        assert_eq!(asked.server.port(), 853);
        // Who has proved to be the server needs no other proof.
        assert_eq!(cookie_of(&asked.packet), None);
        assert!(asked.packet[13..].starts_with(b"web\x09cluster-a"));
        lab.reply(asked.link, &address(&asked, n));
        assert_eq!(addresses(&mut lab), [n]);
    }
    assert_eq!(lab.opened.len(), 1);
    let tls = lab.engine.tls(lab.opened[0].link).unwrap();
    assert_eq!(tls.name.to_str(), "dns.cluster-a.example");
    assert_eq!(tls.ca.as_deref(), Some("/etc/ca.pem".as_ref()));
}

#[test]
fn u3_a_silent_connection_leaves_time_for_another_server() {
    let mut lab = Lab::new(&PAIR);
    let first = ask_web(&mut lab).remove(0);
    lab.pass(MS * 300);
    let second = lab.take_asked().remove(0);
    assert_ne!(second.server, first.server);
    assert_eq!(second.transport, Transport::Tls);
    lab.reply(second.link, &address(&second, 2));
    assert_eq!(addresses(&mut lab), [2]);
}

#[test]
fn u3_a_connection_that_died_silently_is_replaced() {
    let mut lab = Lab::new(&ALONE);
    let asked = ask_web(&mut lab).remove(0);
    lab.reply(asked.link, &address(&asked, 1));
    lab.take_answers();
    lab.pass(Duration::from_secs(3));
    let old = ask_web(&mut lab).remove(0);
    assert_eq!(old.link, asked.link);
    lab.pass(MS * 250);
    let new = lab.take_asked().remove(0);
    assert_ne!(new.link, old.link);
    lab.reply(new.link, &address(&new, 2));
    assert_eq!(addresses(&mut lab), [2]);
}

#[test]
fn u3_a_connection_that_is_alive_is_not_replaced_for_one_slow_answer() {
    let mut lab = Lab::new(&ALONE);
    let slow = ask_web(&mut lab).remove(0);
    lab.pass(MS * 10);
    lab.udp(&address_query("other.distributed.local."));
    let quick = lab.take_asked().remove(0);
    lab.reply(quick.link, &address(&quick, 1));
    lab.take_answers();
    lab.pass(MS * 500);
    assert!(lab.take_asked().is_empty());
    lab.reply(slow.link, &address(&slow, 2));
    assert_eq!(addresses(&mut lab), [2]);
}

#[test]
fn u5_a_server_that_proves_nothing_is_taken_out_and_probed_over_tls() {
    let words = [&ALONE[..], &["--max-fails", "2"]].concat();
    let mut lab = Lab::new(&words);
    for _ in 0..20 {
        lab.udp(&address_query(WEB));
        for _ in 0..3 {
            for asked in lab.take_asked() {
                // A certificate that is not to be believed.
                lab.link(asked.link, LinkState::Closed);
            }
        }
        lab.pass(MS * 100);
    }
    assert_eq!(lab.engine.counters().taken_out, 1);
    let opened = lab.opened.len();
    lab.take_asked();
    lab.pass(Duration::from_secs(3));
    let probes = lab.take_asked();
    assert!(probes.iter().all(|probe| probe.transport == Transport::Tls));
    assert!((2..=5).contains(&probes.len()), "{}", probes.len());
    assert!(lab.opened.len() > opened, "on new connections");
}

#[test]
fn u3_the_first_answer_on_a_connection_is_not_measured_for_it_took_a_handshake() {
    let mut lab = Lab::new(&ALONE);
    let answered_after = |lab: &mut Lab, wait: u32| {
        lab.pass(Duration::from_secs(1));
        let asked = ask_web(lab).remove(0);
        lab.pass(MS * wait);
        lab.reply(asked.link, &address(&asked, 1));
        lab.take_answers();
        (asked.link, lab.engine.vitals(lab.now).servers[0].rtt)
    };
    assert_eq!(answered_after(&mut lab, 150).1, None);
    let (link, rtt) = answered_after(&mut lab, 8);
    assert_eq!(rtt, Some(MS * 8));
    lab.link(link, LinkState::Closed);
    let (other, rtt) = answered_after(&mut lab, 150);
    assert_ne!(other, link);
    assert_eq!(rtt, Some(MS * 8), "nor on the next one");
    assert_eq!(answered_after(&mut lab, 8).1, Some(MS * 8));
}
