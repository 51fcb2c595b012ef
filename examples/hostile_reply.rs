//! The most hostile replies that fit 64 KiB, through the engine: what
//! `scripts/instructions --hostile` counts, beside honest ones of that size.
//!
//!     hostile_reply TIMES SHAPE
//!     hostile_reply shapes          the names of the shapes, a line each
//!
//! Both clusters of a zone send the same, over TCP, to a client over TCP. Seed
//! and clock are fixed, so two runs of one build execute the same instructions.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../tests/common/mod.rs"]
mod common;

use common::{Asked, Lab, TWO, client};
use domain::base::iana::Rtype;
use gathersrv::engine::Transport;

const NAME: &str = "_demo._tcp.demo-service.default.svc.distributed.local.";

/// Octets of every reply, as near as its records come.
const SIZE: usize = 65_000;

/// A pointer to the question's name.
const QUESTION: [u8; 2] = [0xC0, 12];

/// A reply being written: what is asked for, and records one behind the other.
struct Reply {
    octets: Vec<u8>,
    answers: u16,
    additional: u16,
}

impl Reply {
    fn new(asked: &Asked) -> Self {
        let end = 12 + question_len(&asked.packet);
        let mut octets = asked.packet[..end].to_vec();
        octets[2..12].copy_from_slice(&[0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        Reply { octets, answers: 0, additional: 0 }
    }

    fn has_room(&self, octets: usize) -> bool {
        self.octets.len() + octets < SIZE && self.answers + self.additional < 20_000
    }

    fn at(&self) -> usize {
        self.octets.len()
    }

    fn record(&mut self, owner: &[u8], rtype: u16, rdata: &[u8]) {
        self.octets.extend(owner);
        self.octets.extend(rtype.to_be_bytes());
        self.octets.extend([0, 1, 0, 0, 0, 30]);
        self.octets.extend((rdata.len() as u16).to_be_bytes());
        self.octets.extend(rdata);
        if self.additional == 0 { self.answers += 1 } else { self.additional += 1 }
    }

    fn finish(mut self) -> Vec<u8> {
        let additional = self.additional.saturating_sub(1);
        self.octets[6..8].copy_from_slice(&self.answers.to_be_bytes());
        self.octets[10..12].copy_from_slice(&additional.to_be_bytes());
        self.octets
    }
}

fn question_len(packet: &[u8]) -> usize {
    let mut end = 12;
    while packet[end] != 0 {
        end += 1 + usize::from(packet[end]);
    }
    end + 5 - 12
}

fn pointer(at: usize) -> [u8; 2] {
    [0xC0 | (at >> 8) as u8, at as u8]
}

fn label(text: &str) -> Vec<u8> {
    [&[text.len() as u8][..], text.as_bytes()].concat()
}

fn srv(target: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 0, 0, 80][..], target].concat()
}

/// A name of 127 labels of one octet, but for the last, which is the root.
fn deepest(seed: u8) -> Vec<u8> {
    let labels = (0..127u8).flat_map(|n| [1, b'a' + (n ^ seed) % 26]);
    labels.chain([0]).collect()
}

/// Where "demo-service.default.svc..." stands in the question.
const PARENT: usize = 12 + 6 + 5;

/// Fills a reply.
type Shape = (&'static str, Rtype, fn(&mut Reply));

const SHAPES: [Shape; 14] = [
    ("honest SRV and A", Rtype::SRV, |reply| {
        let mut pods = Vec::new();
        while reply.has_room(70 * (pods.len() / 50 + 1)) && pods.len() < 1400 {
            let target = [label(&format!("pod-{}", pods.len())), pointer(PARENT).to_vec()].concat();
            pods.push(reply.at() + 12 + 6);
            reply.record(&QUESTION, 33, &srv(&target));
        }
        reply.additional = 1;
        for (n, at) in pods.into_iter().enumerate().take_while(|(_, at)| *at < 0x3FFF) {
            reply.record(&pointer(at), 1, &[10, 8, (n >> 8) as u8, n as u8]);
        }
    }),
    ("honest A", Rtype::A, |reply| {
        for n in 0..u16::MAX {
            if !reply.has_room(16) {
                break;
            }
            reply.record(&QUESTION, 1, &[10, 8, (n >> 8) as u8, n as u8]);
        }
    }),
    ("names that share no suffix", Rtype::SRV, |reply| {
        for n in 0.. {
            if !reply.has_room(40) {
                break;
            }
            let target = [label(&format!("h{n}")), label(&format!("z{n}")), vec![0]].concat();
            reply.record(&QUESTION, 33, &srv(&target));
        }
    }),
    ("names of 127 labels, in full", Rtype::SRV, |reply| {
        for n in 0.. {
            if !reply.has_room(280) {
                break;
            }
            reply.record(&QUESTION, 33, &srv(&deepest(n as u8)));
        }
    }),
    ("names of 127 labels, by pointers", Rtype::SRV, |reply| {
        let at = reply.at() + 12 + 6 + 4;
        reply.record(&QUESTION, 33, &srv(&deepest(0)));
        for n in 0..u32::MAX {
            if !reply.has_room(30) {
                break;
            }
            let first = [1, b'a' + (n % 26) as u8, 1, b'a' + (n / 26 % 26) as u8];
            reply.record(&QUESTION, 33, &srv(&[&first[..], &pointer(at)].concat()));
        }
    }),
    ("pointers to pointers", Rtype::SRV, |reply| {
        let mut before = pointer(PARENT);
        for n in 0..u32::MAX {
            if !reply.has_room(30) || reply.at() > 0x3F00 {
                break;
            }
            let at = reply.at() + 12 + 6;
            reply.record(&QUESTION, 33, &srv(&[&[1, b'a' + (n % 26) as u8][..], &before].concat()));
            // Every hundredth begins anew, or the name would be too long.
            before = if n % 100 == 99 { pointer(PARENT) } else { pointer(at) };
        }
        while reply.has_room(30) {
            reply.record(&QUESTION, 33, &srv(&before));
        }
    }),
    ("one record, thousands of times", Rtype::A, |reply| {
        while reply.has_room(16) {
            reply.record(&QUESTION, 1, &[10, 8, 0, 1]);
        }
    }),
    ("a chain of CNAMEs, last first", Rtype::A, |reply| {
        let link = |n: u32| [label(&format!("c{n}")), pointer(PARENT).to_vec()].concat();
        for n in (0..1700).rev() {
            reply.record(&link(n), 5, &link(n + 1));
        }
        reply.record(&QUESTION, 5, &link(0));
    }),
    ("CNAMEs of one name", Rtype::A, |reply| {
        for n in 0.. {
            if !reply.has_room(30) {
                break;
            }
            reply.record(
                &QUESTION,
                5,
                &[label(&format!("c{n}")), pointer(PARENT).to_vec()].concat(),
            );
        }
    }),
    ("a type of its own for each record", Rtype::A, |reply| {
        for n in 0.. {
            if !reply.has_room(16) {
                break;
            }
            reply.record(&QUESTION, 1000 + n, &[0, 0]);
        }
    }),
    ("an owner of its own for each record", Rtype::A, |reply| {
        for n in 0.. {
            if !reply.has_room(40) {
                break;
            }
            let owner = [label(&format!("o{n}")), pointer(PARENT).to_vec()].concat();
            reply.record(&owner, 1, &[10, 8, 0, 1]);
        }
    }),
    ("a target for each, and addresses of none", Rtype::SRV, |reply| {
        for n in 0..1200 {
            let target = [label(&format!("t{n}")), pointer(PARENT).to_vec()].concat();
            reply.record(&QUESTION, 33, &srv(&target));
        }
        reply.additional = 1;
        for n in 0.. {
            if !reply.has_room(40) {
                break;
            }
            let owner = [label(&format!("x{n}")), pointer(PARENT).to_vec()].concat();
            reply.record(&owner, 1, &[10, 8, 0, 1]);
        }
    }),
    ("one text of 64 KiB", Rtype::TXT, |reply| {
        let texts: Vec<u8> =
            (0..250).flat_map(|n| [&[255][..], &[n as u8; 255]].concat()).collect();
        reply.record(&QUESTION, 16, &texts);
    }),
    ("texts that differ in their last octet", Rtype::TXT, |reply| {
        for n in 0..u16::MAX {
            if !reply.has_room(270) {
                break;
            }
            let mut text = [&[255][..], &[b'x'; 255]].concat();
            text[254..].copy_from_slice(&n.to_be_bytes());
            reply.record(&QUESTION, 16, &text);
        }
    }),
];

fn query(rtype: Rtype) -> Vec<u8> {
    common::text::Question::new(NAME, rtype).packet()
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words == ["shapes"] {
        SHAPES.iter().for_each(|(name, ..)| println!("{name}"));
        return;
    }
    let [times, name] = &words[..] else { panic!("hostile_reply TIMES SHAPE") };
    let times: usize = times.parse().expect("a number");
    let known = SHAPES.iter().find(|(known, ..)| known == name);
    let (_, rtype, fill) = known.expect("one of the shapes");
    let mut lab = Lab::new(&TWO);
    let (mut asked_octets, mut octets) = (0, 0);
    for _ in 0..times {
        lab.query(client(Transport::Tcp), &query(*rtype));
        for asked in lab.take_asked() {
            let mut reply = Reply::new(&asked);
            fill(&mut reply);
            let packet = reply.finish();
            asked_octets = packet.len();
            lab.reply(asked.link, &packet);
        }
        let answers = lab.take_answers();
        assert_eq!(answers.len(), 1, "an answer at once");
        octets = answers[0].packet.len();
    }
    println!("{asked_octets} octets of each cluster, {octets} to the client");
}
