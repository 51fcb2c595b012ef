//! What the benchmarks, the allocation test and the instruction count share:
//! plans, questions and the clusters' answers, made to look like what a
//! Kubernetes cluster's DNS says about a headless service, and a [`Harness`]
//! that takes an engine from a question to its merged answer without a socket.
//!
//! Each user needs a part of it.
#![allow(dead_code)]

use gathersrv::config::{self, Draft, Plan, Settings, ZoneDraft};
use gathersrv::engine::{Client, Engine, Outbox, Time, Transport};
use std::sync::Arc;
use std::time::Duration;

/// The distributed zone.
pub const ZONE: &str = "distributed.local.";

/// SRV, the type every benchmark asks for.
const SRV: u16 = 33;

/// How much is merged: `records` SRV records and as many addresses from each
/// of `clusters`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Clusters asked.
    pub clusters: usize,
    /// SRV records in each one's answer, and A records beside them.
    pub records: usize,
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.clusters, self.records)
    }
}

impl Shape {
    /// Different names asked for, one after the other: as many as keep all
    /// answers together at a few megabytes.
    fn names(self) -> usize {
        (20_000 / (self.clusters * self.records)).clamp(2, 256)
    }
}

/// A name in wire format.
pub fn wire(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(label.len() as u8);
        out.extend(label.bytes());
    }
    out.push(0);
    out
}

/// The suffix of cluster `n`.
pub fn suffix(n: usize) -> String {
    format!("cluster-{n}.local.")
}

/// The labels of service `n`.
pub fn service(n: usize) -> String {
    format!("_http._tcp.web-{n:04}.shop.svc.")
}

/// A plan with `zones` zones of `clusters` clusters each; the one asked about
/// is the last. Every question goes to the clusters and every answer is merged,
/// because nothing is kept.
pub fn plan(zones: usize, clusters: usize) -> Arc<Plan> {
    plan_keeping(zones, clusters, 0)
}

/// The same, with room for what the clusters said last: an answer made of the
/// same replies is not merged again.
fn plan_keeping(zones: usize, clusters: usize, keep: usize) -> Arc<Plan> {
    let words = |n: usize| {
        let server = format!("10.{}.{}.{}:53", n >> 16, n >> 8 & 255, n & 255);
        (String::from("--cluster"), format!("{} c{n}- {server}", suffix(n)))
    };
    let zone = |n: usize| ZoneDraft {
        place: String::from("--zone"),
        name: if n + 1 == zones { ZONE.into() } else { format!("zone-{n}.example.") },
        clusters: (0..clusters).map(words).collect(),
        behaviour: None,
    };
    let settings = Settings { listen: Vec::new(), cache: 0, keep, ..Settings::default() };
    let draft = Draft { settings, zones: (0..zones).map(zone).collect(), forwards: Vec::new() };
    Arc::new(config::build(draft).unwrap())
}

/// The client's question for service `n`, with an OPT record, as dnsperf and
/// every resolver send it.
pub fn question(n: usize) -> Vec<u8> {
    let mut out = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    out.extend(wire(&format!("{}{ZONE}", service(n))));
    out.extend(SRV.to_be_bytes());
    out.extend([0, 1]);
    out.extend(OPT);
    out
}

const OPT: [u8; 11] = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];

/// Cluster `cluster`'s answer about service `n`, laid out as Knot does it:
/// owners as pointers, SRV targets in full, addresses that point to them.
pub fn answer(n: usize, cluster: usize, records: usize) -> Vec<u8> {
    let count = (records as u16).to_be_bytes();
    let extra = (records as u16 + 1).to_be_bytes();
    let mut out = vec![0, 0, 0x84, 0, 0, 1, count[0], count[1], 0, 0, extra[0], extra[1]];
    out.extend(wire(&format!("{}{}", service(n), suffix(cluster))));
    out.extend(SRV.to_be_bytes());
    out.extend([0, 1]);
    let mut targets = Vec::new();
    for record in 0..records {
        let target = wire(&format!("web-{record}.web-{n:04}.shop.svc.{}", suffix(cluster)));
        fixed(&mut out, 0x0C, SRV, 6 + target.len());
        out.extend([0, 0, 0, 100, 31, 144]);
        targets.push(out.len());
        out.extend(target);
    }
    for (record, target) in targets.into_iter().enumerate() {
        fixed(&mut out, target, 1, 4);
        out.extend([10, cluster as u8, (record >> 8) as u8, record as u8]);
    }
    out.extend(OPT);
    out
}

/// An owner, as a pointer where one reaches, and the fixed part of a record.
fn fixed(out: &mut Vec<u8>, owner: usize, rtype: u16, rdlength: usize) {
    if owner < 0x4000 {
        out.extend((0xC000 | owner as u16).to_be_bytes());
    } else {
        // Beyond a pointer's reach: the target again, in full.
        let end = owner + out[owner..].iter().position(|&octet| octet == 0).unwrap();
        out.extend_from_within(owner..=end);
    }
    out.extend(rtype.to_be_bytes());
    out.extend([0, 1, 0, 0, 0, 30]);
    out.extend((rdlength as u16).to_be_bytes());
}

/// Packets for one shape: questions, and what each cluster says to each.
pub struct Packets {
    /// Clients' questions.
    pub questions: Vec<Vec<u8>>,
    /// For each question, each cluster's answer.
    pub answers: Vec<Vec<Vec<u8>>>,
}

impl Packets {
    /// All packets of a shape.
    pub fn new(shape: Shape) -> Self {
        let answers =
            |n| (0..shape.clusters).map(|c| answer(n, c, shape.records)).collect::<Vec<_>>();
        Packets {
            questions: (0..shape.names()).map(question).collect(),
            answers: (0..shape.names()).map(answers).collect(),
        }
    }
}

/// An engine, its clusters' answers, and a clock that is moved by hand.
pub struct Harness {
    engine: Engine,
    packets: Packets,
    client: Client,
    now: Time,
    step: Duration,
    next: usize,
    asked: Outbox,
    out: Outbox,
    /// Sockets the engine wanted opened so far.
    pub opens: usize,
}

impl Harness {
    /// An engine for `shape`; each query comes `step` after the one before.
    /// Small answers go out over UDP; a client that takes 64 KiB gets the rest
    /// over TCP, or a benchmark would measure truncation.
    pub fn new(shape: Shape, step: Duration) -> Self {
        Self::with_plan(plan(1, shape.clusters), shape, step)
    }

    /// The same, with clusters whose answers are known from the time before.
    pub fn unchanged(shape: Shape, step: Duration) -> Self {
        Self::with_plan(plan_keeping(1, shape.clusters, 10_000), shape, step)
    }

    fn with_plan(plan: Arc<Plan>, shape: Shape, step: Duration) -> Self {
        let small = shape.clusters * shape.records <= 6;
        Harness {
            engine: Engine::new(plan, [7; 32]),
            packets: Packets::new(shape),
            client: Client {
                addr: "192.0.2.1:40000".parse().unwrap(),
                local: None,
                transport: if small { Transport::Udp } else { Transport::Tcp },
                socket: 0,
                proven: false,
            },
            now: Time::from_micros(1),
            step,
            next: 0,
            asked: Outbox::default(),
            out: Outbox::default(),
            opens: 0,
        }
    }

    /// The client's question; the clusters' are left in `asked`.
    fn ask(&mut self) -> usize {
        let n = self.next % self.packets.questions.len();
        self.next += 1;
        self.now = self.now + self.step;
        self.asked.clear();
        if self.engine.next_timeout().is_some_and(|due| due <= self.now) {
            self.engine.on_timeout(self.now, &mut self.asked);
        }
        let question = &mut self.packets.questions[n];
        question[..2].copy_from_slice(&(self.next as u16).to_be_bytes());
        self.engine.on_query(self.now, self.client, question, &mut self.asked);
        self.opens += self.asked.opens.len();
        n
    }

    /// One query, from the client's question to its merged answer.
    pub fn query(&mut self) -> &[u8] {
        let n = self.ask();
        self.out.clear();
        for (answer, send) in self.packets.answers[n].iter_mut().zip(&self.asked.sends) {
            let id = send.octets.start;
            answer[..2].copy_from_slice(&self.asked.octets[id..id + 2]);
            self.engine.on_reply(self.now, send.link, answer, &mut self.out);
        }
        let answer = self.out.answers.first().expect("every cluster has answered");
        &self.out.octets[answer.octets.clone()]
    }

    /// For a shape with one cluster: how long it takes to take in its answer,
    /// check, rewrite and write it. The question is not on the clock.
    pub fn time_reply(&mut self) -> Duration {
        let n = self.ask();
        self.out.clear();
        let answer = &mut self.packets.answers[n][0];
        let send = &self.asked.sends[0];
        answer[..2].copy_from_slice(&self.asked.octets[send.octets.start..][..2]);
        let start = std::time::Instant::now();
        self.engine.on_reply(self.now, send.link, answer, &mut self.out);
        start.elapsed()
    }
}
