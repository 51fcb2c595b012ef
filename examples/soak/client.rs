//! The client: asks over UDP from several sockets, reads every answer, and
//! knows at the end of each query whether it was answered once, in time, and
//! with what is right.

use super::questions::{Question, Verdict};
use super::sockets::{Standing, standing};
use super::stretches::{Faults, Tally};
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Sockets, so that all of the daemon's workers have something to do.
const LANES: u64 = 8;

/// An answer that took longer than this is none: several times the deadline.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// Later than this is late: the deadline, a timer, and a busy machine.
const LATE: Duration = Duration::from_millis(825);

/// So many may wait to be read: answers of a few hundred milliseconds.
const BUFFER: usize = 4 << 20;

/// More than this unread, a few milliseconds of answers, and the client is
/// behind; how often that is looked at.
const BEHIND: u64 = 64 << 10;
const LOOK: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, PartialEq)]
enum State {
    Free,
    Waiting,
    Answered,
}

#[derive(Clone, Copy)]
struct Slot {
    n: u64,
    at: u64,
    stretch: usize,
    state: State,
}

/// The queries of one socket by ID, in the order in which they were sent.
struct Ring {
    slots: Vec<Slot>,
    head: u64,
    tail: u64,
}

struct Lane {
    socket: UdpSocket,
    ring: Mutex<Ring>,
}

/// What the client knows, shared by all who ask.
pub struct Book {
    start: Instant,
    pub tallies: Vec<Tally>,
    /// The stretch that is on.
    pub stretch: AtomicUsize,
    pub faults: Faults,
    /// What is wrong with wrong answers, with a packet of each kind.
    pub wrong: Mutex<BTreeMap<&'static str, (u64, String)>>,
    /// More than one answer to a query; an answer to none, or after all patience.
    pub twice: AtomicU64,
    pub strays: AtomicU64,
    /// Queries the kernel did not take from us: none of the daemon's business.
    pub unsent: AtomicU64,
    /// Answers wait at our own sockets: when they came is not known.
    pub behind: AtomicBool,
    /// The most that ever waited, in octets.
    pub most_behind: AtomicU64,
    /// All that were sent over UDP, and those of them that are over.
    pub sent: AtomicU64,
    pub over: AtomicU64,
}

impl Book {
    pub fn new(stretches: usize) -> Self {
        Book {
            start: Instant::now(),
            tallies: (0..stretches).map(|_| Tally::default()).collect(),
            stretch: 0.into(),
            faults: Faults::default(),
            wrong: Mutex::default(),
            twice: 0.into(),
            strays: 0.into(),
            unsent: 0.into(),
            behind: false.into(),
            most_behind: 0.into(),
            sent: 0.into(),
            over: 0.into(),
        }
    }

    /// Microseconds since the beginning.
    pub fn now(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    /// An answer came to what was asked at `asked`.
    pub fn answered(&self, question: &Question, packet: &[u8], asked: u64, stretch: usize) {
        let tally = &self.tallies[stretch];
        let took = self.now() - asked;
        tally.latest.fetch_max(took, Relaxed);
        if took > LATE.as_micros() as u64 {
            let behind = self.behind.load(Relaxed);
            let late = if behind { &tally.read_late } else { &tally.late };
            late.fetch_add(1, Relaxed);
        }
        let count = match question.judge(packet, asked, &self.faults) {
            Verdict::Whole => &tally.whole,
            Verdict::Noted => &tally.noted,
            Verdict::Failed => &tally.failed,
            Verdict::Wrong(why) => {
                let mut wrong = self.wrong.lock().expect("nobody panics with it");
                let known = wrong.entry(why).or_insert_with(|| {
                    let hex: String = packet.iter().map(|octet| format!("{octet:02x}")).collect();
                    (0, format!("second {}: {hex}", asked / 1_000_000))
                });
                known.0 += 1;
                &tally.wrong
            }
        };
        count.fetch_add(1, Relaxed);
    }
}

pub struct Client {
    lanes: Vec<Lane>,
    book: Arc<Book>,
}

impl Client {
    pub fn start(daemon: SocketAddr, book: &Arc<Book>) -> Arc<Self> {
        let lanes = (0..LANES).map(|_| Lane::new(daemon)).collect();
        let client = Arc::new(Client { lanes, book: book.clone() });
        for n in 0..client.lanes.len() {
            let own = client.clone();
            std::thread::spawn(move || own.listen(n));
        }
        let own = client.clone();
        std::thread::spawn(move || own.watch());
        client
    }

    fn ports(&self) -> Vec<u16> {
        let ports = self.lanes.iter().map(|lane| lane.socket.local_addr());
        ports.map(|addr| addr.expect("a bound socket").port()).collect()
    }

    /// Answers that came and were lost at our own sockets.
    pub fn dropped(&self) -> u64 {
        standing(&self.ports()).dropped
    }

    /// On a machine that has more to do than it can, an answer may wait for us
    /// longer than its query did for the daemon.
    fn watch(&self) {
        let ports = self.ports();
        loop {
            let Standing { unread, .. } = standing(&ports);
            self.book.behind.store(unread > BEHIND, Relaxed);
            self.book.most_behind.fetch_max(unread, Relaxed);
            std::thread::sleep(LOOK);
        }
    }

    pub fn ask(&self, n: u64) {
        let lane = &self.lanes[(n % LANES) as usize];
        let stretch = self.book.stretch.load(Relaxed);
        let question = Question::new(n);
        let id = {
            let mut ring = lane.ring.lock().expect("nobody panics with it");
            if ring.head - ring.tail == ring.slots.len() as u64 {
                self.end_oldest(&mut ring);
            }
            let id = ring.head as u16;
            let at = self.book.now();
            ring.slots[usize::from(id)] = Slot { n, at, stretch, state: State::Waiting };
            ring.head += 1;
            id
        };
        self.book.tallies[stretch].sent.fetch_add(1, Relaxed);
        self.book.sent.fetch_add(1, Relaxed);
        if lane.socket.send(&question.packet(id)).is_err() {
            self.book.unsent.fetch_add(1, Relaxed);
        }
    }

    /// Ends what was waited for long enough.
    pub fn expire(&self) {
        let patience = PATIENCE.as_micros() as u64;
        for lane in &self.lanes {
            let mut ring = lane.ring.lock().expect("nobody panics with it");
            let now = self.book.now();
            while ring.tail < ring.head {
                let oldest = ring.slots[usize::from(ring.tail as u16)];
                if oldest.state == State::Waiting && oldest.at + patience > now {
                    break;
                }
                self.end_oldest(&mut ring);
            }
        }
    }

    fn end_oldest(&self, ring: &mut Ring) {
        let slot = &mut ring.slots[usize::from(ring.tail as u16)];
        if slot.state == State::Waiting {
            slot.state = State::Free;
            self.book.tallies[slot.stretch].unanswered.fetch_add(1, Relaxed);
            self.book.over.fetch_add(1, Relaxed);
        }
        ring.tail += 1;
    }

    fn listen(&self, lane: usize) {
        let lane = &self.lanes[lane];
        let mut packet = [0; 4096];
        loop {
            // An ICMP error is no answer, and no reason to stop.
            let Ok(len @ 12..) = lane.socket.recv(&mut packet) else { continue };
            let id = usize::from(u16::from_be_bytes([packet[0], packet[1]]));
            let slot = {
                let mut ring = lane.ring.lock().expect("nobody panics with it");
                let known = ring.slots[id];
                if known.state == State::Waiting {
                    ring.slots[id].state = State::Answered;
                }
                known
            };
            match slot.state {
                State::Waiting => {
                    let question = Question::new(slot.n);
                    self.book.answered(&question, &packet[..len], slot.at, slot.stretch);
                    self.book.over.fetch_add(1, Relaxed);
                }
                State::Answered => {
                    self.book.twice.fetch_add(1, Relaxed);
                }
                State::Free => {
                    self.book.strays.fetch_add(1, Relaxed);
                }
            }
        }
    }
}

impl Lane {
    fn new(daemon: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(daemon).expect("an address");
        let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(BUFFER);
        let free = Slot { n: 0, at: 0, stretch: 0, state: State::Free };
        let ring = Mutex::new(Ring { slots: vec![free; 1 << 16], head: 0, tail: 0 });
        Lane { socket, ring }
    }
}
