//! Clusters that fail in turn. Each is a thread with a UDP socket and one that
//! accepts TCP; what they say follows from the question alone, so that whoever
//! asked can tell whether an answer is right:
//!
//! - `s...` is a service: an A, an AAAA, a TXT or an SRV record of its own;
//! - `m...` does not exist;
//! - everything else exists and has no records.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// How a cluster behaves.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Mood {
    Well,
    Silent,
    /// Every tenth packet is lost, each way.
    Lossy,
    /// Every answer comes 100 ms later.
    Late,
    Servfail,
    /// Over UDP it says no more than that TCP is to be used.
    Truncating,
    /// In front of every good answer comes one that is none.
    Rubbish,
    /// Its UDP socket is closed.
    Refusing,
}

const ALL: [Mood; 8] = [
    Mood::Well,
    Mood::Silent,
    Mood::Lossy,
    Mood::Late,
    Mood::Servfail,
    Mood::Truncating,
    Mood::Rubbish,
    Mood::Refusing,
];

const LATENESS: Duration = Duration::from_millis(100);

/// How often a thread looks whether it should be doing something else.
const GLANCE: Duration = Duration::from_millis(20);

/// A connection of the daemon on which nothing moves for so long is left.
const IDLE: Duration = Duration::from_secs(60);

/// What a port that was its own may take to be free again.
const REBIND_TRIES: u32 = 500;

/// A cluster's DNS.
pub struct Cluster {
    mood: AtomicU64,
    /// Questions that came, over UDP and TCP, answered or not.
    asked: AtomicU64,
    number: u8,
}

impl Cluster {
    pub fn start(addr: SocketAddr, number: u8) -> Arc<Self> {
        let socket = bind(addr);
        let listener = TcpListener::bind(addr).expect("the port is free for TCP");
        let cluster = Arc::new(Cluster { mood: 0.into(), asked: 0.into(), number });
        let own = cluster.clone();
        std::thread::spawn(move || own.serve(socket, addr));
        let own = cluster.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = own.clone();
                std::thread::spawn(move || own.converse(stream));
            }
        });
        cluster
    }

    pub fn be(&self, mood: Mood) {
        let number = ALL.iter().position(|&known| known == mood).unwrap_or(0);
        self.mood.store(number as u64, Relaxed);
    }

    fn mood(&self) -> Mood {
        ALL[self.mood.load(Relaxed) as usize]
    }

    pub fn asked(&self) -> u64 {
        self.asked.load(Relaxed)
    }

    fn serve(&self, mut socket: UdpSocket, addr: SocketAddr) {
        let mut late = delayer(&socket);
        let mut packet = [0; 2048];
        let mut coin = u64::from(self.number) << 48;
        loop {
            if self.mood() == Mood::Refusing {
                // Both handles have to go, the delaying thread's too.
                drop((socket, late));
                while self.mood() == Mood::Refusing {
                    std::thread::sleep(GLANCE);
                }
                socket = bind(addr);
                late = delayer(&socket);
            }
            let Ok((len, from)) = socket.recv_from(&mut packet) else { continue };
            self.asked.fetch_add(1, Relaxed);
            let mood = self.mood();
            coin += 2;
            let lost = mood == Mood::Lossy && (unlucky(coin) || unlucky(coin + 1));
            if mood == Mood::Silent || lost {
                continue;
            }
            let Some(answer) = answer(&packet[..len], self.number, mood, false) else { continue };
            match mood {
                Mood::Late => {
                    let _ = late.send((Instant::now() + LATENESS, answer, from));
                    continue;
                }
                Mood::Rubbish => {
                    let _ = socket.send_to(&rubbish(&answer, coin / 2), from);
                }
                _ => {}
            }
            let _ = socket.send_to(&answer, from);
        }
    }

    /// Answers what comes over one connection.
    fn converse(&self, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(IDLE));
        let mut frame = [0; 2048];
        loop {
            let mut length = [0; 2];
            if stream.read_exact(&mut length).is_err() {
                return;
            }
            let len = usize::from(u16::from_be_bytes(length));
            if len > frame.len() || stream.read_exact(&mut frame[..len]).is_err() {
                return;
            }
            self.asked.fetch_add(1, Relaxed);
            let Some(answer) = answer(&frame[..len], self.number, self.mood(), true) else {
                return;
            };
            let mut out = (answer.len() as u16).to_be_bytes().to_vec();
            out.extend(answer);
            if stream.write_all(&out).is_err() {
                return;
            }
        }
    }
}

fn bind(addr: SocketAddr) -> UdpSocket {
    for _ in 0..REBIND_TRIES {
        if let Ok(socket) = UdpSocket::bind(addr) {
            let known = socket2::SockRef::from(&socket);
            let _ = known.set_recv_buffer_size(4 << 20);
            socket.set_read_timeout(Some(GLANCE)).expect("a timeout");
            return socket;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{addr} is not free");
}

/// A thread that sends each packet when its time has come.
fn delayer(socket: &UdpSocket) -> Sender<(Instant, Vec<u8>, SocketAddr)> {
    let (sender, packets) = channel::<(Instant, Vec<u8>, SocketAddr)>();
    let socket = socket.try_clone().expect("a second handle");
    std::thread::spawn(move || {
        while let Ok((due, packet, to)) = packets.recv() {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let _ = socket.send_to(&packet, to);
        }
    });
    sender
}

/// A tenth of all numbers, in no order.
fn unlucky(n: u64) -> bool {
    super::questions::mix(n).is_multiple_of(10)
}

/// What is no answer, in three kinds: another's ID, another's question, and the
/// right ones over records that end too soon.
fn rubbish(answer: &[u8], n: u64) -> Vec<u8> {
    let mut out = answer.to_vec();
    match n % 3 {
        0 => out[0] ^= 0x55,
        1 => out[13] ^= 0x01,
        _ => {
            out[7] = 9;
            out.truncate(answer.len() - 3);
        }
    }
    out
}

/// The question's labels, as places in the packet, and where it ends.
fn labels(packet: &[u8]) -> Option<(Vec<usize>, usize)> {
    let (mut places, mut at) = (Vec::new(), 12);
    while *packet.get(at)? != 0 {
        places.push(at);
        at += 1 + usize::from(packet[at]);
    }
    (at + 5 <= packet.len()).then_some((places, at + 5))
}

fn answer(packet: &[u8], number: u8, mood: Mood, tcp: bool) -> Option<Vec<u8>> {
    let (places, end) = labels(packet)?;
    let label = |at: usize| &packet[at + 1..at + 1 + usize::from(packet[at])];
    // Behind the labels of a service's protocol and a pod's name.
    let service = *places.iter().find(|&&at| label(at)[0] != b'_' && label(at) != b"pod")?;
    let rtype = u16::from_be_bytes([packet[end - 4], packet[end - 3]]);
    let mut out = packet[..2].to_vec();
    out.extend([0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    out.extend(&packet[12..end]);
    if mood == Mood::Servfail {
        out[3] = 2;
        return Some(out);
    }
    if mood == Mood::Truncating && !tcp {
        out[2] |= 2;
        return Some(out);
    }
    let kind = label(service)[0];
    // Some TTLs end soon, others are there for all of a stretch.
    let ttl = 3 + label(service).last().map_or(0, |octet| octet % 10) * 3;
    let mut record = |section: usize, owner: &[u8], rtype: u8, rdata: &[u8]| {
        out[section] += 1;
        out.extend(owner);
        out.extend([0, rtype, 0, 1, 0, 0, 0, ttl]);
        out.extend((rdata.len() as u16).to_be_bytes());
        out.extend(rdata);
    };
    let asked: &[u8] = &[0xC0, 12];
    match (kind, rtype) {
        (b's', 1) => record(7, asked, 1, &[10, number, 0, 1]),
        (b's', 28) => {
            let mut address = [0; 16];
            address[0] = 0xFD;
            address[3] = number;
            record(7, asked, 28, &address);
        }
        (b's', 16) => record(7, asked, 16, &[2, b'#', b'0' + number]),
        (b's', 33) => {
            let mut host = b"\x03pod".to_vec();
            host.extend(&packet[service..end - 4]);
            let mut rdata = vec![0, 0, 0, 1, 31, 144];
            rdata.extend(&host);
            record(7, asked, 33, &rdata);
            record(11, &host, 1, &[10, number, 0, 2]);
        }
        _ => {
            // The zone is the last two labels: its SOA, with names of its own.
            let zone = places.len().checked_sub(2).map_or(12, |n| places[n]);
            let mut rdata = [&b"\x02ns"[..], &packet[zone..end - 4]].concat();
            rdata.extend(&packet[zone..end - 4]);
            for number in [1_u32, 3600, 600, 86400, 5] {
                rdata.extend(number.to_be_bytes());
            }
            record(9, &[0xC0, zone as u8], 6, &rdata);
            if kind == b'm' {
                out[3] = 3;
            }
        }
    }
    Some(out)
}
