//! A laboratory for the engine: clients and clusters are the test itself, the
//! clock is a number. Packets in, packets out, and no waiting.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod text;
pub mod transcript;

use gathersrv::cli;
use gathersrv::config::{self, Plan};
use gathersrv::engine::{
    Client, Common, Engine, LastGood, LinkId, LinkState, Notice, Open, Outbox, Secrets, Time,
    Transport,
};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use transcript::Transcript;

/// The configuration of the seed: two clusters, and one server for each.
pub const TWO: [&str; 6] = [
    "--zone",
    "distributed.local.",
    "--cluster",
    "cluster-a.local. a- 10.8.0.1",
    "--cluster",
    "cluster-b.local. b- 10.9.0.1",
];

/// What holds in a laboratory unless a test's flags say otherwise: nothing is
/// kept, no server is taken out, and no query is too many.
const PLAIN: [[&str; 2]; 4] =
    [["--cache", "0"], ["--keep", "0"], ["--max-fails", "0"], ["--max-queries", "10000000"]];

/// A plan from the flags an operator would write.
pub fn plan(flags: &[&str]) -> Arc<Plan> {
    let plain = PLAIN.iter().filter(|[name, _]| !flags.contains(name)).flatten();
    let words = ["gathersrv"].iter().chain(plain).chain(flags);
    match cli::parse(words).expect("flags that can be read") {
        cli::Command::Serve(cli::Written::Flags(draft), _) => {
            Arc::new(config::build(draft).expect("a configuration that makes sense"))
        }
        other => panic!("not a daemon: {other:?}"),
    }
}

/// A sub-question on its way to a cluster.
#[derive(Debug, Clone)]
pub struct Asked {
    pub link: LinkId,
    pub server: SocketAddr,
    pub transport: Transport,
    pub packet: Vec<u8>,
}

impl Asked {
    pub fn id(&self) -> u16 {
        u16::from_be_bytes([self.packet[0], self.packet[1]])
    }
}

/// An answer on its way to a client.
#[derive(Debug, Clone)]
pub struct Answered {
    pub client: Client,
    pub packet: Vec<u8>,
    pub at: Time,
    pub came: Time,
    pub kept: bool,
}

/// An engine, its clock, and what it has sent.
pub struct Lab {
    pub engine: Engine,
    pub now: Time,
    pub asked: Vec<Asked>,
    pub answers: Vec<Answered>,
    pub opened: Vec<Open>,
    pub closed: Vec<LinkId>,
    pub notices: Vec<Notice>,
    /// What happens is written down, if it is wanted.
    pub transcript: Option<Transcript>,
    links: HashMap<LinkId, Open>,
    out: Outbox,
}

pub fn client(transport: Transport) -> Client {
    Client {
        addr: "192.0.2.1:5353".parse().unwrap(),
        local: None,
        transport,
        socket: 0,
        proven: false,
    }
}

impl Lab {
    pub fn new(flags: &[&str]) -> Self {
        Self::with_plan(plan(flags), [7; 32])
    }

    pub fn with_plan(plan: Arc<Plan>, seed: [u8; 32]) -> Self {
        Self::with_engine(Engine::new(plan, seed))
    }

    /// A worker of a daemon whose last good answers are those of `last_good`.
    pub fn in_daemon(plan: Arc<Plan>, seed: [u8; 32], last_good: Arc<LastGood>) -> Self {
        let secrets = Secrets { shown: [3; 16], given: [4; 16] };
        Self::with_engine(Engine::in_daemon(plan, seed, Common { secrets, unix: 0, last_good }))
    }

    fn with_engine(engine: Engine) -> Self {
        Lab {
            engine,
            now: Time::from_micros(1_000_000),
            asked: Vec::new(),
            answers: Vec::new(),
            opened: Vec::new(),
            closed: Vec::new(),
            notices: Vec::new(),
            transcript: None,
            links: HashMap::new(),
            out: Outbox::default(),
        }
    }

    /// Moves what the engine put into its outbox to where tests look.
    fn collect(&mut self) {
        for open in &self.out.opens {
            self.links.insert(open.link, *open);
            self.opened.push(*open);
        }
        for send in &self.out.sends {
            let open = self.links[&send.link];
            let asked = Asked {
                link: send.link,
                server: open.server,
                transport: open.transport,
                packet: self.out.octets[send.octets.clone()].to_vec(),
            };
            if let Some(transcript) = &mut self.transcript {
                transcript.asks(self.now, &asked);
            }
            self.asked.push(asked);
        }
        for answer in &self.out.answers {
            let answer = Answered {
                client: answer.client,
                packet: self.out.octets[answer.octets.clone()].to_vec(),
                at: self.now,
                came: answer.came,
                kept: answer.kept,
            };
            if let Some(transcript) = &mut self.transcript {
                transcript.answers(self.now, &answer);
            }
            self.answers.push(answer);
        }
        for link in &self.out.closes {
            self.links.remove(link);
            self.closed.push(*link);
        }
        if let Some(transcript) = &mut self.transcript {
            self.out.notices.iter().for_each(|notice| transcript.notice(self.now, notice));
        }
        self.notices.append(&mut self.out.notices);
        self.out.clear();
    }

    /// New configuration.
    pub fn set_plan(&mut self, plan: Arc<Plan>) {
        self.engine.set_plan(self.now, plan, &mut self.out);
        self.collect();
    }

    /// Somebody wants to know how the servers are.
    pub fn check_idle(&mut self, idle: Duration) {
        self.engine.check_idle(self.now, idle, &mut self.out);
        self.collect();
    }

    pub fn query(&mut self, client: Client, packet: &[u8]) {
        self.engine.on_query(self.now, client, packet, &mut self.out);
        self.collect();
    }

    pub fn udp(&mut self, packet: &[u8]) {
        self.query(client(Transport::Udp), packet);
    }

    pub fn reply(&mut self, link: LinkId, packet: &[u8]) {
        self.engine.on_reply(self.now, link, packet, &mut self.out);
        self.collect();
    }

    pub fn link(&mut self, link: LinkId, state: LinkState) {
        self.engine.on_link(self.now, link, state, &mut self.out);
        self.collect();
    }

    /// Lets time pass, with everything that is due on the way.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..100_000 {
            match self.engine.next_timeout() {
                Some(next) if next <= end => self.now = self.now.max(next),
                _ => break,
            }
            self.engine.on_timeout(self.now, &mut self.out);
            self.collect();
        }
        self.now = end;
        self.engine.on_timeout(self.now, &mut self.out);
        self.collect();
    }

    /// The sub-questions sent since the last call.
    pub fn take_asked(&mut self) -> Vec<Asked> {
        std::mem::take(&mut self.asked)
    }

    /// What operators were told since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// The answers given since the last call.
    pub fn take_answers(&mut self) -> Vec<Answered> {
        std::mem::take(&mut self.answers)
    }

    /// No query, no ID and no timer is left over.
    pub fn assert_idle(&self) {
        assert_eq!(self.engine.queries_in_flight(), 0, "queries in flight");
        assert_eq!(self.engine.questions_in_flight(), 0, "IDs in flight");
        assert_eq!(self.engine.next_timeout(), None, "timers");
    }
}
