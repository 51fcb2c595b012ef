//! How the rows of `made.rs` are played: what is sent, and what has to come of
//! it. Each is named as its row is; a play that fails panics.

use crate::actors::{DEADLINE, MS, address, address_query, addresses, question, truncated};
use crate::clusters::begin;
use crate::common::text::{Question, Reply, shown};
use crate::common::{Asked, Lab, TWO, client};
use domain::base::Message;
use domain::base::iana::Rtype;
use gathersrv::engine::{GUESSES, Transport};

const CLUSTER: [&str; 4] =
    ["--zone", "distributed.local.", "--cluster", "cluster-a.local. a- 10.8.0.1 10.8.0.2"];

/// Asks for [`crate::actors::WEB`] over TCP.
fn ask(flags: &[&str], rtype: Rtype) -> (Lab, Vec<Asked>) {
    let mut lab = Lab::new(flags);
    let mut question = Question::new(crate::actors::WEB, rtype);
    question.edns = Some(1232);
    lab.query(client(Transport::Tcp), &question.packet());
    let asked = lab.take_asked();
    (lab, asked)
}

/// The same sub-question over TCP, after a truncated answer.
fn over_tcp(lab: &mut Lab, first: &Asked) -> Asked {
    lab.reply(first.link, &truncated(first));
    let next = lab.take_asked().remove(0);
    assert_eq!(next.transport, Transport::Tcp);
    next
}

/// A reply with these records, of which there may be many.
fn reply(asked: &Asked, records: &[Vec<u8>]) -> Vec<u8> {
    let mut out = asked.packet[..2].to_vec();
    out.extend([0x84, 0, 0, 1]);
    out.extend((records.len() as u16).to_be_bytes());
    out.extend([0; 4]);
    out.extend(question(&asked.packet));
    out.extend(records.concat());
    assert!(out.len() <= 65_535, "{} octets", out.len());
    out
}

/// A record whose owner is the question.
fn record(rtype: u16, rdata: &[u8]) -> Vec<u8> {
    let mut out = vec![0xC0, 0x0C];
    out.extend(rtype.to_be_bytes());
    out.extend([0, 1, 0, 0, 0, 30]);
    out.extend((rdata.len() as u16).to_be_bytes());
    out.extend(rdata);
    out
}

fn only_answer(lab: &mut Lab) -> Vec<u8> {
    let mut answers = lab.take_answers();
    assert_eq!(answers.len(), 1, "one answer");
    assert!(lab.take_asked().is_empty(), "nobody is asked more");
    lab.assert_idle();
    answers.remove(0).packet
}

fn is_truncated(packet: &[u8]) -> bool {
    packet[2] & 2 != 0
}

fn answer_count(packet: &[u8]) -> usize {
    Message::from_octets(packet).unwrap().header_counts().ancount().into()
}

pub fn every_wrong_id() {
    let (mut lab, first) = begin(&CLUSTER);
    for step in 1..=u16::MAX {
        let mut forged = address(&first, 66);
        forged[..2].copy_from_slice(&first.id().wrapping_add(step).to_be_bytes());
        lab.reply(first.link, &forged);
    }
    // The last of a few guesses closes the port that was guessed at, and the question
    // is asked over TCP: nothing that comes on the port counts any more.
    assert_eq!(lab.engine.counters().unexpected, 65_535);
    assert_eq!(lab.engine.counters().suspect, u64::from(GUESSES));
    assert_eq!(lab.closed, [first.link]);
    let again = lab.take_asked();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].transport, Transport::Tcp, "{again:?}");
    lab.reply(first.link, &address(&first, 66));
    assert!(lab.answers.is_empty());
    lab.reply(again[0].link, &address(&again[0], 1));
    assert_eq!(addresses(&mut lab), [1]);
    lab.assert_idle();
}

pub fn wrong_socket() {
    let (mut lab, asked) = ask(&TWO, Rtype::A);
    for n in [0, 1] {
        lab.reply(asked[n].link, &address(&asked[1 - n], 66));
    }
    assert!(lab.answers.is_empty());
    for n in [0, 1] {
        lab.reply(asked[n].link, &address(&asked[n], 1 + n as u8));
    }
    assert_eq!(addresses(&mut lab), [1, 2]);
    lab.assert_idle();
}

pub fn again_and_again() {
    let (mut lab, asked) = ask(&TWO, Rtype::A);
    lab.reply(asked[0].link, &address(&asked[0], 1));
    for n in 0..99 {
        lab.reply(asked[0].link, &address(&asked[0], 100 + n));
    }
    lab.reply(asked[1].link, &address(&asked[1], 2));
    assert_eq!(addresses(&mut lab), [1, 2]);
    assert_eq!(lab.engine.counters().unexpected, 99);
    lab.assert_idle();
}

pub fn late() {
    let (mut lab, first) = begin(&CLUSTER);
    lab.pass(DEADLINE);
    lab.take_asked();
    assert!(shown(&only_answer(&mut lab))[0].starts_with("=> SERVFAIL"));
    lab.pass(MS * 200);
    lab.reply(first.link, &address(&first, 66));
    assert!(lab.answers.is_empty());
    lab.assert_idle();
}

pub fn broken_for_ever() {
    let (mut lab, first) = begin(&CLUSTER);
    let mut bad = address(&first, 66);
    bad.push(0);
    for _ in 0..1000 {
        lab.reply(first.link, &bad);
    }
    assert_eq!(lab.take_asked().len(), 8);
    lab.reply(first.link, &address(&first, 1));
    assert_eq!(addresses(&mut lab), [1]);
    lab.assert_idle();
}

pub fn rubbish_until_the_deadline() {
    let (mut lab, asked) = ask(&TWO, Rtype::A);
    lab.reply(asked[1].link, &address(&asked[1], 2));
    for _ in 0..DEADLINE.as_millis() {
        let rubbish = [&asked[0].packet[..2], &[0xFF; 100]].concat();
        lab.reply(asked[0].link, &rubbish);
        lab.pass(MS);
    }
    lab.take_asked();
    let lines = shown(&only_answer(&mut lab));
    assert_eq!(lines[1], "web.distributed.local. 5 IN A 10.0.0.2", "{lines:?}");
    assert!(lines[2].starts_with("ede 23") && lines.len() == 3, "{lines:?}");
}

pub fn rubbish_over_tcp() {
    let (mut lab, first) = begin(&CLUSTER);
    let next = over_tcp(&mut lab, &first);
    let good = address(&next, 1);
    let id = &next.packet[..2];
    for bad in [&[][..], &[id, &[0xFF; 100]].concat(), &good[..45], &[&good[..], &[0]].concat()] {
        lab.reply(next.link, bad);
        assert!(lab.answers.is_empty(), "{bad:02x?}");
    }
    // The other server is asked meanwhile, and may be slower.
    lab.take_asked();
    lab.reply(next.link, &good);
    assert_eq!(addresses(&mut lab), [1]);
    lab.assert_idle();
}

pub fn truncated_over_tcp() {
    let (mut lab, first) = begin(&CLUSTER);
    let next = over_tcp(&mut lab, &first);
    lab.reply(next.link, &truncated(&next));
    let other = lab.take_asked().remove(0);
    assert_ne!(other.server, first.server);
    lab.reply(other.link, &address(&other, 1));
    assert_eq!(addresses(&mut lab), [1]);
    lab.assert_idle();
}

pub fn many_records() {
    let records: Vec<_> = (0..250).map(|n| record(1, &[10, 0, 0, n])).collect();
    let (mut lab, asked) = ask(&CLUSTER, Rtype::A);
    lab.reply(asked[0].link, &reply(&asked[0], &records));
    assert_eq!(addresses(&mut lab), (0..250).collect::<Vec<u8>>());
    lab.udp(&address_query(crate::actors::WEB));
    let asked = lab.take_asked().remove(0);
    lab.reply(asked.link, &reply(&asked, &records));
    let answer = only_answer(&mut lab);
    assert!(is_truncated(&answer) && answer.len() <= 512);
    assert_eq!(
        crate::actors::addresses_in(&answer),
        (0..answer_count(&answer) as u8).collect::<Vec<_>>()
    );
}

pub fn no_common_suffix() {
    // Labels of octets above 127: no two are equal in any case.
    let name = |n: usize| [2, 0x80 + (n / 128) as u8, 0x80 + (n % 128) as u8, 0];
    let records: Vec<_> =
        (0..2500).map(|n| record(14, &[name(2 * n), name(2 * n + 1)].concat())).collect();
    let (mut lab, asked) = ask(&CLUSTER, Rtype::MINFO);
    let next = over_tcp(&mut lab, &asked[0]);
    lab.reply(next.link, &reply(&next, &records));
    let answer = only_answer(&mut lab);
    assert_eq!(answer_count(&answer), 2500);
    assert!(!is_truncated(&answer));
    assert_eq!(shown(&answer).len(), 2501);
}

pub fn growth() {
    let (mut lab, asked) = ask(&CLUSTER, Rtype::SRV);
    let next = over_tcp(&mut lab, &asked[0]);
    let mut tail = Vec::new();
    for len in [63, 63, 63, 21] {
        tail.push(len);
        tail.extend(vec![b'x'; len.into()]);
    }
    // The cluster's own zone stands behind the first label of the question.
    tail.extend([0xC0, 12 + 4]);
    let port = [0, 0, 0, 0, 0, 80];
    let first = record(33, &[&port[..], b"\x040000", &tail].concat());
    let at = 12 + question(&next.packet).len() + 12 + port.len() + 5;
    let pointer = [0xC0 | (at >> 8) as u8, at as u8];
    let mut records = vec![first];
    for n in 1..2000 {
        let label = [&[4], format!("{n:04}").as_bytes()].concat();
        records.push(record(33, &[&port[..], &label, &pointer].concat()));
    }
    lab.reply(next.link, &reply(&next, &records));
    let answer = only_answer(&mut lab);
    assert!(!is_truncated(&answer), "there is nothing larger to ask over (K9)");
    assert!(answer.len() <= 65_535, "{} octets", answer.len());
    assert!(answer.len() > 65_000, "as many as fit: {} octets", answer.len());
    let lines = shown(&answer);
    assert!(answer_count(&answer) > 200);
    assert!(lines[1].contains(" a-0000.xxx"), "{}", lines[1]);
}

pub fn long_chain() {
    let (mut lab, asked) = ask(&CLUSTER, Rtype::A);
    let next = over_tcp(&mut lab, &asked[0]);
    let name = |n: usize| [&[4], format!("{n:04}").as_bytes(), &[0xC0, 12 + 4]].concat();
    let mut records = vec![record(5, &name(0))];
    for n in 0..1999 {
        records.push([name(n), record(5, &name(n + 1))[2..].to_vec()].concat());
    }
    lab.reply(next.link, &reply(&next, &records));
    let answer = only_answer(&mut lab);
    let lines = shown(&answer);
    assert!(lines[0].starts_with("=> NOERROR"), "{}", lines[0]);
    assert_eq!(answer_count(&answer), 11);
}

pub fn long_labels() {
    let (mut lab, asked) = ask(&CLUSTER, Rtype::SRV);
    let target = |len| format!("{}.cluster-a.local.", "x".repeat(len));
    let line = |len| format!("web.cluster-a.local. 30 IN SRV 0 0 80 {}", target(len));
    let both = Reply::ok(&[&line(61), &line(62)]).to(&asked[0].packet);
    lab.reply(asked[0].link, &both);
    let lines = shown(&only_answer(&mut lab));
    assert!(lines[1].ends_with(&format!(" a-{}.distributed.local.", "x".repeat(61))), "{lines:?}");
    assert!(lines[2].starts_with("ede 0 ") && lines.len() == 3, "{lines:?}");
}

pub fn silence_over_tcp() {
    let (mut lab, first) = begin(&CLUSTER);
    over_tcp(&mut lab, &first);
    let mut waited = 0;
    let other = loop {
        lab.pass(MS);
        waited += 1;
        match lab.take_asked().pop() {
            Some(asked) => break asked,
            None => assert!(waited < DEADLINE.as_millis(), "nobody else is asked"),
        }
    };
    assert_ne!(other.server, first.server);
    lab.reply(other.link, &address(&other, 1));
    assert_eq!(addresses(&mut lab), [1]);
    lab.assert_idle();
}
