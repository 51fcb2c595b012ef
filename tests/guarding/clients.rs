//! Who gets an answer: cookies of clients (RFC 7873, RFC 9018), rates, networks,
//! and our own questions.

use crate::actors::{MS, WEB, address, address_query};
use crate::common::text::{Question, shown};
use crate::common::{Lab, TWO, client};
use crate::{cookie_of, with_cookie};
use domain::base::iana::Rtype;
use gathersrv::engine::{Client, Transport};
use std::time::Duration;

const OURS: &[u8; 8] = b"cliently";

fn from(addr: &str, transport: Transport) -> Client {
    Client { addr: addr.parse().unwrap(), ..client(transport) }
}

/// A question whose answer is there at once, so that only who asks matters.
fn apex() -> Vec<u8> {
    Question::new("distributed.local.", Rtype::SOA).packet()
}

fn outcome(lab: &mut Lab, client: Client, packet: &[u8]) -> String {
    lab.query(client, packet);
    match &lab.take_answers()[..] {
        [] => "nothing".into(),
        [answer] => {
            assert!(answer.packet.len() <= packet.len() + 150);
            shown(&answer.packet)[0].clone()
        }
        several => panic!("{} answers", several.len()),
    }
}

/// The cookie that a client at `addr` is given.
fn given(lab: &mut Lab, addr: &str) -> Vec<u8> {
    lab.query(from(addr, Transport::Tcp), &with_cookie(apex(), OURS, 0));
    let answer = lab.take_answers().remove(0);
    let cookie = cookie_of(&answer.packet).expect("a cookie").to_vec();
    assert_eq!(cookie.len(), 24);
    assert_eq!(cookie[..8], OURS[..]);
    cookie
}

#[test]
fn every_answer_to_a_cookie_has_one_and_others_have_none() {
    let mut lab = Lab::new(&[&TWO[..], &["--cache", "10"]].concat());
    let asks = [address_query(WEB), Question::new(WEB, Rtype::ANY).packet(), apex()];
    for query in asks {
        // Merged, given again, and made here.
        for _ in 0..3 {
            lab.query(client(Transport::Udp), &with_cookie(query.clone(), OURS, 0));
            for asked in lab.take_asked() {
                lab.reply(asked.link, &address(&asked, 1));
            }
            let answer = lab.take_answers().remove(0);
            assert_eq!(cookie_of(&answer.packet).map(<[u8]>::len), Some(24));
            shown(&answer.packet);
        }
        lab.query(client(Transport::Udp), &query);
        lab.take_asked();
        assert!(lab.take_answers().iter().all(|answer| cookie_of(&answer.packet).is_none()));
    }
}

#[test]
fn over_tls_an_answer_is_padded_for_who_pads_its_question() {
    let mut lab = Lab::new(&[&TWO[..], &["--cache", "10"]].concat());
    let mut padded = address_query(WEB);
    padded[11] += 1;
    padded.extend(b"\0\0\x29\x04\xD0\0\0\0\0\0\x08\0\x0C\0\x04\0\0\0\0");
    let mut sizes = Vec::new();
    // Merged, and given again; before and behind a client that does not pad.
    for (transport, query) in [
        (Transport::Tls, &padded),
        (Transport::Tls, &padded),
        (Transport::Tcp, &padded),
        (Transport::Tls, &address_query(WEB)),
        (Transport::Tls, &padded),
    ] {
        lab.query(client(transport), query);
        for asked in lab.take_asked() {
            lab.reply(asked.link, &address(&asked, 1));
        }
        let answer = lab.take_answers().remove(0);
        assert!(shown(&answer.packet)[0].starts_with("=> NOERROR"));
        sizes.push(answer.packet.len());
    }
    assert_eq!([sizes[0], sizes[1], sizes[4]], [468; 3]);
    assert!(sizes[2] < 120 && sizes[3] < 120, "{sizes:?}");
}

#[test]
fn above_a_rate_a_cookie_is_required_and_one_that_is_known_is_answered() {
    let mut lab =
        Lab::new(&[&TWO[..], &["--require-cookies-above", "5", "--workers", "1"]].concat());
    let cookie = given(&mut lab, "192.0.2.1:5353");
    let udp = |addr| from(addr, Transport::Udp);
    let mut seen = Vec::new();
    for _ in 0..8 {
        seen.push(outcome(&mut lab, udp("198.51.100.7:9"), &apex()));
    }
    assert!(seen[..5].iter().all(|line| line.starts_with("=> NOERROR aa")), "{seen:?}");
    assert!(seen[5..].iter().all(|line| line.starts_with("=> NOERROR tc")), "{seen:?}");
    let asking = with_cookie(apex(), OURS, 0);
    assert!(outcome(&mut lab, udp("192.0.2.1:5353"), &asking).starts_with("=> BADCOOKIE"));
    let proven = with_cookie(apex(), &cookie, 0);
    assert!(outcome(&mut lab, udp("192.0.2.1:5353"), &proven).starts_with("=> NOERROR aa"));
    let elsewhere = outcome(&mut lab, udp("192.0.2.2:5353"), &proven);
    assert!(elsewhere.starts_with("=> BADCOOKIE"), "{elsewhere}");
    assert!(outcome(&mut lab, from("198.51.100.7:9", Transport::Tcp), &apex()).contains("aa"));
    // The rate is one: a second later there is room again.
    lab.pass(Duration::from_secs(1));
    assert!(outcome(&mut lab, udp("198.51.100.7:9"), &apex()).starts_with("=> NOERROR aa"));
}

#[test]
fn a_network_gets_so_many_answers_and_half_of_the_others_are_told_to_use_tcp() {
    for words in [&["--cache", "0"][..], &["--cache", "100"][..]] {
        let limit = ["--rate-limit", "50", "--workers", "1"];
        let mut lab = Lab::new(&[&TWO[..], &limit, words].concat());
        let mut seen = std::collections::BTreeMap::new();
        for n in 0..1000u32 {
            let addr = format!("203.0.113.{}:4000", n % 250);
            lab.query(from(&addr, Transport::Udp), &address_query(WEB));
            for asked in lab.take_asked() {
                lab.reply(asked.link, &address(&asked, 1));
            }
            let what = match &lab.take_answers()[..] {
                [] => "dropped",
                [answer] if answer.packet.len() == address_query(WEB).len() => "told",
                [_] => "answered",
                _ => "too often",
            };
            *seen.entry(what).or_insert(0) += 1;
            lab.pass(MS);
        }
        // A second's worth at once and one over the second; half of the rest.
        assert_eq!(seen["answered"], 99, "{seen:?}");
        assert_eq!((seen["told"], seen["dropped"]), (450, 451), "{seen:?}");
        assert_eq!(lab.engine.counters().rate_limited, 901);
        // Another network, and the same one over TCP or with a cookie.
        assert!(outcome(&mut lab, from("203.0.114.1:1", Transport::Udp), &apex()).contains("aa"));
        assert!(outcome(&mut lab, from("203.0.113.1:1", Transport::Tcp), &apex()).contains("aa"));
        let cookie = given(&mut lab, "203.0.113.1:1");
        let proven = with_cookie(apex(), &cookie, 0);
        assert!(outcome(&mut lab, from("203.0.113.1:1", Transport::Udp), &proven).contains("aa"));
    }
}

#[test]
fn formerr_is_an_answer_too_and_counts() {
    let mut lab = Lab::new(&[&TWO[..], &["--rate-limit", "10", "--workers", "1"]].concat());
    let broken = &apex()[..20];
    let answered = (0..100)
        .filter(|_| outcome(&mut lab, client(Transport::Udp), broken).starts_with("=> FORMERR"))
        .count();
    assert_eq!(answered, 10);
}

#[test]
fn who_may_not_ask_is_refused_on_every_transport_and_for_all_that_is_kept() {
    let words = ["--allow", "10.0.0.0/8", "--allow", "2001:db8::/32", "--cache", "10"];
    let mut lab = Lab::new(&[&TWO[..], &words].concat());
    let query = with_cookie(address_query(WEB), OURS, 0);
    lab.query(from("10.1.2.3:1", Transport::Udp), &query);
    for asked in lab.take_asked() {
        lab.reply(asked.link, &address(&asked, 1));
    }
    assert!(shown(&lab.take_answers()[0].packet)[0].starts_with("=> NOERROR"));
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        for addr in ["192.0.2.1:1", "[2001:db9::1]:1", "127.0.0.1:1"] {
            lab.query(from(addr, transport), &query);
            assert!(lab.take_asked().is_empty());
            let lines = shown(&lab.take_answers()[0].packet);
            assert!(lines[0].starts_with("=> REFUSED"), "{lines:?}");
            assert!(lines.iter().any(|line| line.starts_with("ede 18")), "{lines:?}");
        }
        for addr in ["10.255.0.1:1", "[2001:db8::1]:1", "[::ffff:10.0.0.1]:1"] {
            lab.query(from(addr, transport), &query);
            assert!(shown(&lab.take_answers()[0].packet)[0].starts_with("=> NOERROR"), "{addr}");
        }
    }
}

#[test]
fn a_question_of_our_own_that_comes_back_is_a_loop() {
    let words = [
        "--zone",
        "distributed.local.",
        "--cluster",
        "cluster-a.local. a- 10.8.0.1",
        "--forward",
        ". 10.9.0.1",
    ];
    let mut lab = Lab::new(&words);
    lab.udp(&address_query("elsewhere.example."));
    let asked = lab.take_asked().remove(0);
    // The forward's server asks us what we asked it.
    lab.query(from("10.9.0.1:53", Transport::Udp), &asked.packet);
    let lines = shown(&lab.take_answers()[0].packet);
    assert!(lines[0].starts_with("=> SERVFAIL"), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("a forwarding loop")), "{lines:?}");
    assert_eq!(lab.engine.counters().loops, 1);
    assert!(lab.take_asked().is_empty(), "nobody is asked again");
}
