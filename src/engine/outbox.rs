//! What the engine wants done: packets to send, sockets to open and close,
//! things worth telling an operator.
//!
//! The caller owns it, hands it to every call, does what is in it and clears
//! it. All packets are written one behind the other into one buffer, straight
//! to where the kernel will read them.

use super::links::LinkId;
use super::time::Time;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

/// How a client's packet came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A datagram: answers are bounded by what the client takes (T1).
    Udp,
    /// A stream: answers go up to 65,535 octets (T4).
    Tcp,
    /// A stream inside TLS (RFC 7858).
    Tls,
}

impl Transport {
    /// Packets come one behind the other, whole, and from whom they say.
    pub fn is_stream(self) -> bool {
        self != Transport::Udp
    }
}

/// Who asked, and where its answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The client's address.
    pub addr: SocketAddr,
    /// The address it asked, if the socket listens on all: answers must come
    /// from there.
    pub local: Option<IpAddr>,
    /// How it asked.
    pub transport: Transport,
    /// The caller's number for the socket or connection it asked on.
    pub socket: u64,
    /// It has shown that it is where it says.
    pub proven: bool,
}

/// An answer to a client.
#[derive(Debug)]
pub struct Answer {
    /// Where it goes.
    pub client: Client,
    /// When the query came.
    pub came: Time,
    /// No cluster was asked for it: it had been kept.
    pub kept: bool,
    /// Its octets in the outbox.
    pub octets: Range<usize>,
}

/// A sub-question to a cluster.
#[derive(Debug)]
pub struct Send {
    /// The link it goes out on.
    pub link: LinkId,
    /// Its octets in the outbox.
    pub octets: Range<usize>,
}

/// A socket to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// What the engine calls it from now on.
    pub link: LinkId,
    /// The server to connect to.
    pub server: SocketAddr,
    /// A datagram socket or a stream.
    pub transport: Transport,
}

/// Something an operator should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A server has been taken out: it leaves questions unanswered (U5).
    Out {
        /// Which.
        server: SocketAddr,
        /// Questions it left unanswered since it was last heard.
        missed: u32,
        /// How long ago that was, if it ever was.
        silence: Option<Duration>,
    },
    /// A server that was out has answered.
    Back(SocketAddr),
    /// Somebody guesses at the answers of a server: it is asked over TCP for a
    /// while.
    Besieged(SocketAddr),
    /// A question of our own came back to us as a client's.
    Loop,
}

/// What is due. Opens come before sends, and closes after both.
#[derive(Default)]
pub struct Outbox {
    /// All packets.
    pub octets: Vec<u8>,
    /// Sockets to open.
    pub opens: Vec<Open>,
    /// Packets to clusters.
    pub sends: Vec<Send>,
    /// Packets to clients.
    pub answers: Vec<Answer>,
    /// Sockets to close.
    pub closes: Vec<LinkId>,
    /// News for the log.
    pub notices: Vec<Notice>,
}

impl Outbox {
    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.opens.clear();
        self.sends.clear();
        self.answers.clear();
        self.closes.clear();
        self.notices.clear();
    }

    /// Nothing is due.
    pub fn is_empty(&self) -> bool {
        self.opens.is_empty()
            && self.sends.is_empty()
            && self.answers.is_empty()
            && self.closes.is_empty()
            && self.notices.is_empty()
    }

    /// An answer to a query that came then has been written from `start` on.
    pub(super) fn answer(&mut self, client: Client, came: Time, start: usize) {
        let octets = start..self.octets.len();
        self.answers.push(Answer { client, came, kept: false, octets });
    }

    /// The same with one that had been kept.
    pub(super) fn answer_kept(&mut self, client: Client, came: Time, start: usize) {
        let octets = start..self.octets.len();
        self.answers.push(Answer { client, came, kept: true, octets });
    }

    /// A sub-question has been written from `start` on.
    pub(super) fn send(&mut self, link: LinkId, start: usize) {
        self.sends.push(Send { link, octets: start..self.octets.len() });
    }
}
