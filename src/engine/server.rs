//! A server of a cluster, as the engine knows it: where it is, how it has been
//! doing, and the sockets it is asked over.

use super::guard::Guard;
use super::health::Health;
use super::links::LINKS_PER_SERVER;
use super::meters::Latency;
use super::outbox::Transport;
use super::probe::Probe;
use super::rate::Rate;
use super::rtt::Rtt;
use super::time::Time;
use crate::config::{self, Tls};
use std::net::SocketAddr;

/// A server and the way to it.
pub struct Server {
    /// Where it is.
    pub addr: SocketAddr,
    /// Whom it has to prove to be, if it is asked over TLS.
    pub tls: Option<Tls>,
    /// What protects its answers.
    pub guard: Guard,
    /// How long it takes.
    pub rtt: Rtt,
    /// How long its answers took, of questions that were sent once.
    pub latency: Latency,
    /// Whether it is worth asking.
    pub health: Health,
    /// Questions it is asked again while it is silent.
    pub repeats: Rate,
    /// The probe on its way to it.
    pub(super) probe: Option<Probe>,
    /// What it is probed with: name, type and class.
    pub probe_question: Vec<u8>,
    /// Its datagram sockets, by their links' indices.
    pub(super) udp: [Option<u32>; LINKS_PER_SERVER],
    /// The one of this millisecond.
    pub(super) picked: usize,
    pub(super) picked_at: Option<Time>,
    /// Its connection.
    pub(super) stream: Option<u32>,
}

impl Server {
    /// One that nothing is known of but what the plan says.
    pub fn new(named: &config::Server) -> Self {
        Server {
            addr: named.addr,
            tls: named.tls.clone(),
            guard: Guard::default(),
            rtt: Rtt::default(),
            latency: Latency::default(),
            health: Health::default(),
            repeats: Rate::default(),
            probe: None,
            probe_question: Vec::new(),
            udp: [None; LINKS_PER_SERVER],
            picked: 0,
            picked_at: None,
            stream: None,
        }
    }

    /// No plan names it any more: nothing is held against it should one do so
    /// again. Gives its sockets up.
    pub(super) fn forget(&mut self) -> impl Iterator<Item = u32> + use<> {
        self.health = Health::default();
        self.rtt = Rtt::default();
        self.latency = Latency::default();
        self.guard = Guard::new(self.guard.client_cookie);
        let udp = std::mem::take(&mut self.udp);
        udp.into_iter().chain([self.stream.take()]).flatten()
    }

    /// What its streams are.
    pub fn stream(&self) -> Transport {
        if self.tls.is_some() { Transport::Tls } else { Transport::Tcp }
    }
}
