//! Who is in the way: TCP clients that are slow on purpose, and senders of
//! datagrams that are no queries. Both come from addresses of their own, so
//! that limits for each address hold for them and for nobody else.

use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Slow clients from one address at the most: the daemon takes 128 from each.
const FROM_ONE_ADDRESS: usize = 40;

/// How often each slow client does something.
const STEP: Duration = Duration::from_millis(200);

/// A slow client leaves after this many steps at the most and comes again.
const STAY: u64 = 150;

/// The smallest receive buffer there is, so that what is not read fills it soon.
const UNREAD: usize = 2048;

/// Datagrams sent before the others have a turn; each sender's own sleep.
const BURST: u64 = 64;
const NAP: Duration = Duration::from_micros(500);

/// What came of it.
#[derive(Default)]
pub struct Counts {
    pub malformed: AtomicU64,
    pub opened: AtomicU64,
    /// Connections the daemon ended.
    pub closed: AtomicU64,
    /// Sums over all steps: steps, and connections that were open.
    pub steps: AtomicU64,
    pub open: AtomicU64,
}

impl Counts {
    pub fn json(&self) -> serde_json::Value {
        let steps = self.steps.load(Relaxed).max(1);
        serde_json::json!({
            "malformed": self.malformed.load(Relaxed),
            "opened": self.opened.load(Relaxed),
            "closed": self.closed.load(Relaxed),
            "open": self.open.load(Relaxed) as f64 / steps as f64,
        })
    }
}

/// What a slow client does.
#[derive(Clone, Copy)]
enum Manner {
    /// Says nothing.
    Idle,
    /// Says an octet of a query now and then.
    Dribbling,
    /// Says half a query, and no more.
    Breaking,
    /// Asks and asks, and reads no answer.
    Deaf,
}

struct Slow {
    stream: Option<TcpStream>,
    manner: Manner,
    from: Ipv4Addr,
    /// Octets said.
    said: usize,
    steps_left: u64,
}

/// Queries a client that reads no answers sends in one step.
const DEAF: usize = 8;

/// A query for an address of a service, behind its length.
fn frame() -> Vec<u8> {
    let query = super::questions::Question::new(0).packet(7);
    [&(query.len() as u16).to_be_bytes()[..], &query].concat()
}

impl Slow {
    fn new(n: usize) -> Self {
        let manners = [Manner::Idle, Manner::Dribbling, Manner::Breaking, Manner::Deaf];
        let from = Ipv4Addr::new(127, 0, 0, 2 + (n / FROM_ONE_ADDRESS) as u8);
        Slow { stream: None, manner: manners[n % 4], from, said: 0, steps_left: 0 }
    }

    fn open(&self, daemon: SocketAddr) -> std::io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_recv_buffer_size(UNREAD)?;
        socket.bind(&SocketAddr::from((self.from, 0)).into())?;
        socket.set_nonblocking(true)?;
        match socket.connect(&daemon.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            _ => Ok(socket.into()),
        }
    }

    fn step(&mut self, daemon: SocketAddr, frame: &[u8], coin: u64, counts: &Counts) {
        let Some(stream) = &mut self.stream else {
            self.stream = self.open(daemon).ok();
            self.said = 0;
            self.steps_left = 1 + coin % STAY;
            counts.opened.fetch_add(1, Relaxed);
            return;
        };
        counts.open.fetch_add(1, Relaxed);
        let mut answers = [0; 4096];
        let many = frame.repeat(if matches!(self.manner, Manner::Deaf) { DEAF } else { 0 });
        let wanted: &[u8] = match self.manner {
            Manner::Idle => &[],
            Manner::Dribbling => &frame[self.said % frame.len()..][..1],
            Manner::Breaking if self.said == 0 => &frame[..frame.len() / 2],
            Manner::Breaking => &[],
            Manner::Deaf => &many[self.said % frame.len()..],
        };
        let mut result = if wanted.is_empty() { Ok(0) } else { stream.write(wanted) };
        self.said += *result.as_ref().unwrap_or(&0);
        if result.is_ok() && !matches!(self.manner, Manner::Deaf) {
            result = match stream.read(&mut answers) {
                Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
                other => other,
            };
        }
        self.steps_left -= 1;
        match result {
            // Not now, or not connected yet.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == ErrorKind::NotConnected => {}
            Err(_) => {
                counts.closed.fetch_add(1, Relaxed);
                self.stream = None;
            }
            Ok(_) => {}
        }
        if self.steps_left == 0 {
            self.stream = None;
        }
    }
}

/// So many slow clients; whoever is closed comes again.
pub fn slow(daemon: SocketAddr, clients: usize, counts: &Arc<Counts>, stop: &Arc<AtomicBool>) {
    let (counts, stop) = (counts.clone(), stop.clone());
    std::thread::spawn(move || {
        let frame = frame();
        let mut all: Vec<Slow> = (0..clients).map(Slow::new).collect();
        let mut coin = 0;
        while !stop.load(Relaxed) {
            let began = Instant::now();
            for client in &mut all {
                coin += 1;
                client.step(daemon, &frame, super::questions::mix(coin), &counts);
            }
            counts.steps.fetch_add(1, Relaxed);
            std::thread::sleep(STEP.saturating_sub(began.elapsed()));
        }
    });
}

/// Datagrams that no server can take for a query.
fn malformed() -> Vec<Vec<u8>> {
    let good = super::questions::Question::new(0).packet(9);
    let header = &good[..12];
    let changed = |at: usize, octet: u8| {
        let mut out = good.clone();
        out[at] = octet;
        out
    };
    vec![
        header.to_vec(),
        good[..20].to_vec(),
        [header, &[0x40; 80]].concat(),
        [header, &[0xC0, 12, 0, 1, 0, 1]].concat(),
        [header, &[0xC0, 200, 0, 1, 0, 1]].concat(),
        // Two questions, records where none may be, an answer.
        changed(5, 2),
        changed(7, 3),
        changed(2, 0x80),
        good[..11].to_vec(),
        Vec::new(),
        vec![0xFF; 1400],
        [&changed(11, 2)[..], b"\0\0\x29\x04\xD0\0\0\0\0\xFF\xFFx"].concat(),
    ]
}

/// That many malformed datagrams a second.
pub fn flood(daemon: SocketAddr, rate: u64, counts: &Arc<Counts>, stop: &Arc<AtomicBool>) {
    let (counts, stop) = (counts.clone(), stop.clone());
    std::thread::spawn(move || {
        // Several sockets, so that each of the daemon's workers has its share.
        // What it answers is not read, and dropped by the kernel.
        let sockets: Vec<UdpSocket> = (0..4)
            .map(|_| {
                let socket = UdpSocket::bind("127.0.0.200:0").expect("a socket");
                socket.connect(daemon).expect("an address");
                socket
            })
            .collect();
        let datagrams = malformed();
        let began = Instant::now();
        let mut sent = 0;
        while !stop.load(Relaxed) {
            let due = (began.elapsed().as_secs_f64() * rate as f64) as u64;
            for _ in 0..due.saturating_sub(sent).min(BURST) {
                let socket = &sockets[(sent % 4) as usize];
                let datagram = &datagrams[(sent / 4) as usize % datagrams.len()];
                if socket.send(datagram).is_ok() {
                    counts.malformed.fetch_add(1, Relaxed);
                }
                sent += 1;
            }
            std::thread::sleep(NAP);
        }
    });
}
