//! The floor: a program that moves the packets gathering takes and does
//! nothing else. One datagram in, one to each upstream, one back from each,
//! one out, in batches, on one thread per core; no name is read, nothing is
//! checked but the ID, every packet is prepared. What the daemon costs above
//! this is the daemon's own; what this costs is the kernel's.
//!
//!     floor LISTEN:PORT ANSWER_OCTETS [QUESTION_NAME@UPSTREAM:PORT...]
//!
//! Without upstreams it answers at once: the floor of an answer from memory.
//! Every question to an upstream asks for the SRV records of its fixed name.
//! The answer has the client's ID and question, and one record of zeroes that
//! makes it as long as the daemon's.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use gathersrv::net::batch::{BATCH, Inbox, Outlet, Parcel};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};

/// The listener; upstream n is `Token(n + 1)`.
const LISTENER: Token = Token(0);

/// Queries in flight, one for each ID.
const SLOTS: usize = 1 << 16;

/// The longest question there is: name, type and class.
const MAX_QUESTION: usize = 259;

/// A query in flight.
#[derive(Clone, Copy)]
struct Slot {
    from: Option<SocketAddr>,
    id: [u8; 2],
    question_len: u16,
    question: [u8; MAX_QUESTION],
    waiting: u16,
}

struct Upstream {
    socket: UdpSocket,
    question: Vec<u8>,
    /// The questions of one batch, one behind the other.
    out: Vec<u8>,
}

fn open(local: SocketAddr, shared: bool) -> UdpSocket {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, None).unwrap();
    socket.set_reuse_port(shared).unwrap();
    socket.set_nonblocking(true).unwrap();
    let _ = socket.set_recv_buffer_size(4 << 20);
    let _ = socket.set_send_buffer_size(4 << 20);
    socket.bind(&local.into()).unwrap();
    socket.into()
}

/// A question for the SRV records of `name`, with OPT, as the daemon sends it.
fn question(name: &str) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(label.len() as u8);
        out.extend(label.bytes());
    }
    out.extend([0, 0, 33, 0, 1]);
    out.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    out
}

/// Where the question of a query ends.
fn question_end(packet: &[u8]) -> Option<usize> {
    let mut at = 12;
    while *packet.get(at)? != 0 {
        at += 1 + packet[at] as usize;
    }
    (at + 5 <= packet.len() && at + 5 <= 12 + MAX_QUESTION).then_some(at + 5)
}

/// The answers of one batch.
#[derive(Default)]
struct Answers {
    octets: Vec<u8>,
    parcels: Vec<Parcel>,
}

impl Answers {
    fn push(&mut self, slot: &Slot, size: usize) {
        let start = self.octets.len();
        answer(&mut self.octets, slot, size);
        let octets = start..self.octets.len();
        self.parcels.push(Parcel { octets, to: slot.from, from: None });
    }

    fn send(&mut self, socket: &UdpSocket, outlet: &mut Outlet) {
        if !self.parcels.is_empty() {
            outlet.send(socket.as_fd(), &self.octets, self.parcels.drain(..));
            self.octets.clear();
        }
    }
}

/// Appends an answer of `size` octets.
fn answer(out: &mut Vec<u8>, slot: &Slot, size: usize) {
    let start = out.len();
    out.extend_from_slice(&slot.id);
    out.extend_from_slice(&[0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
    out.extend_from_slice(&slot.question[..slot.question_len as usize]);
    // Of a type for private use, with the question's name.
    let rdata = size.saturating_sub(out.len() - start + 12);
    out.extend_from_slice(&[0xC0, 12, 0xFF, 0, 0, 1, 0, 0, 0, 30]);
    out.extend_from_slice(&(rdata as u16).to_be_bytes());
    out.resize(out.len() + rdata, 0);
}

struct Worker {
    listener: UdpSocket,
    upstreams: Vec<Upstream>,
    slots: Vec<Slot>,
    next: u16,
    size: usize,
    inbox: Inbox,
    outlet: Outlet,
    answers: Answers,
}

impl Worker {
    fn new(listen: SocketAddr, size: usize, upstreams: &[(String, SocketAddr)]) -> Self {
        let upstreams = upstreams.iter().map(|(name, addr)| {
            let socket = open("0.0.0.0:0".parse().unwrap(), false);
            socket.connect(addr).unwrap();
            Upstream { socket, question: question(name), out: Vec::new() }
        });
        let empty = Slot {
            from: None,
            id: [0; 2],
            question_len: 0,
            question: [0; MAX_QUESTION],
            waiting: 0,
        };
        Worker {
            listener: open(listen, true),
            upstreams: upstreams.collect(),
            slots: vec![empty; SLOTS],
            next: 0,
            size,
            inbox: Inbox::default(),
            outlet: Outlet::default(),
            answers: Answers::default(),
        }
    }

    fn run(mut self) {
        let mut poll = Poll::new().unwrap();
        let fd = self.listener.as_raw_fd();
        poll.registry().register(&mut SourceFd(&fd), LISTENER, Interest::READABLE).unwrap();
        for (n, upstream) in self.upstreams.iter().enumerate() {
            let fd = upstream.socket.as_raw_fd();
            poll.registry().register(&mut SourceFd(&fd), Token(n + 1), Interest::READABLE).unwrap();
        }
        let mut events = Events::with_capacity(64);
        loop {
            // A signal may end the wait early.
            let _ = poll.poll(&mut events, None);
            for event in &events {
                // Edges: a batch that is full may have left something behind.
                while match event.token() {
                    LISTENER => self.queries(),
                    Token(n) => self.replies(n - 1),
                } == BATCH
                {}
            }
        }
    }

    fn queries(&mut self) -> usize {
        let received = self.inbox.receive(self.listener.as_fd()).unwrap_or(0);
        for upstream in &mut self.upstreams {
            upstream.out.clear();
        }
        for n in 0..received {
            let Some(datagram) = self.inbox.get(n) else { break };
            let Some(end) = question_end(datagram.octets) else { continue };
            let slot = &mut self.slots[usize::from(self.next)];
            slot.from = datagram.from;
            slot.id.copy_from_slice(&datagram.octets[..2]);
            slot.question_len = (end - 12) as u16;
            slot.question[..end - 12].copy_from_slice(&datagram.octets[12..end]);
            slot.waiting = self.upstreams.len() as u16;
            if self.upstreams.is_empty() {
                self.answers.push(slot, self.size);
            }
            for upstream in &mut self.upstreams {
                let start = upstream.out.len();
                upstream.out.extend_from_slice(&upstream.question);
                upstream.out[start..start + 2].copy_from_slice(&self.next.to_be_bytes());
            }
            self.next = self.next.wrapping_add(1);
        }
        for upstream in &self.upstreams {
            let len = upstream.question.len();
            let parcels = (0..upstream.out.len() / len).map(|n| Parcel {
                octets: n * len..(n + 1) * len,
                to: None,
                from: None,
            });
            self.outlet.send(upstream.socket.as_fd(), &upstream.out, parcels);
        }
        self.answers.send(&self.listener, &mut self.outlet);
        received
    }

    fn replies(&mut self, n: usize) -> usize {
        let received = self.inbox.receive(self.upstreams[n].socket.as_fd()).unwrap_or(0);
        for n in 0..received {
            let Some(datagram) = self.inbox.get(n) else { break };
            let Some(&[high, low]) = datagram.octets.get(..2) else { continue };
            let slot = &mut self.slots[usize::from(high) << 8 | usize::from(low)];
            if slot.waiting == 0 {
                continue;
            }
            slot.waiting -= 1;
            if slot.waiting == 0 {
                self.answers.push(slot, self.size);
            }
        }
        self.answers.send(&self.listener, &mut self.outlet);
        received
    }
}

fn main() {
    let mut words = std::env::args().skip(1);
    let listen: SocketAddr = words.next().expect("LISTEN:PORT").parse().expect("an address");
    let size: usize = words.next().expect("ANSWER_OCTETS").parse().expect("a number");
    let upstreams: Vec<(String, SocketAddr)> = words
        .map(|word| {
            let (name, addr) = word.split_once('@').expect("NAME@ADDR:PORT");
            (name.to_string(), addr.parse().expect("an address"))
        })
        .collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers: Vec<_> = (0..cores)
        .map(|_| {
            let upstreams = upstreams.clone();
            std::thread::spawn(move || Worker::new(listen, size, &upstreams).run())
        })
        .collect();
    for worker in workers {
        let _ = worker.join();
    }
}
