//! Clusters that fail on command and a client that keeps asking: what
//! `scripts/faulttest` runs against the daemon, one story at a time. Prints one
//! JSON object.
//!
//!     faults STORY DAEMON:PORT RATE CLUSTER:PORT...
//!
//! Every cluster answers any question for an address with one of its own,
//! whose last octet says how often the cluster has come back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use domain::base::Message;
use domain::base::iana::Rcode;
use domain::base::opt::ExtendedError;
use domain::rdata::A;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Names that are asked for again and again.
const NAMES: u64 = 200;

/// Late is later than any answer that was on time.
const PATIENCE: Duration = Duration::from_millis(1500);

const WELL: u8 = 0;
const SILENT: u8 = 1;
/// Every tenth packet is lost, each way.
const LOSSY: u8 = 2;
/// Answers after 50 ms, so that what is asked at once is in flight at once.
const SLOW: u8 = 3;

/// A cluster's DNS.
struct Cluster {
    mood: AtomicU8,
    epoch: AtomicU8,
    asked: AtomicU64,
}

/// A tenth of all numbers, in no order.
fn unlucky(n: u64) -> bool {
    let mut x = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x ^= x >> 32;
    x.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 32 & 0xFFFF < 6554
}

impl Cluster {
    fn start(addr: SocketAddr, number: u8) -> Arc<Self> {
        let socket = UdpSocket::bind(addr).expect("a free port");
        let cluster = Arc::new(Cluster {
            mood: AtomicU8::new(WELL),
            epoch: AtomicU8::new(1),
            asked: AtomicU64::new(0),
        });
        let own = cluster.clone();
        std::thread::spawn(move || own.serve(&socket, number));
        cluster
    }

    fn serve(&self, socket: &UdpSocket, number: u8) {
        let mut packet = [0; 2048];
        let mut coin = u64::from(number) << 48;
        while let Ok((len, from)) = socket.recv_from(&mut packet) {
            let n = self.asked.fetch_add(1, Relaxed);
            let mood = self.mood.load(Relaxed);
            coin += 2;
            if mood == SILENT || mood == LOSSY && (unlucky(coin) || unlucky(coin + 1)) {
                continue;
            }
            if mood == SLOW && n == 0 {
                std::thread::sleep(Duration::from_millis(50));
            }
            let mut end = 12;
            while packet[..len].get(end).is_some_and(|&label| label != 0) {
                end += 1 + usize::from(packet[end]);
            }
            let Some(question) = packet[..len].get(12..end + 5) else { continue };
            let mut out = packet[..2].to_vec();
            out.extend([0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
            out.extend(question);
            out.extend(b"\xC0\x0C\0\x01\0\x01\0\0\0\x1E\0\x04");
            out.extend([10, number, 0, self.epoch.load(Relaxed)]);
            let _ = socket.send_to(&out, from);
        }
    }
}

/// What became of a query.
#[derive(Clone, Copy)]
struct Outcome {
    /// When it was sent, from the beginning of the story.
    at: Duration,
    /// How long its answer took; `None` without one.
    took: Option<Duration>,
    /// Addresses in it, and the oldest epoch among them.
    members: u8,
    epoch: u8,
    rcode: Rcode,
    /// EDE 3, and any of 22 and 23.
    stale: bool,
    missing: bool,
}

impl Outcome {
    fn is_whole(&self, clusters: u8) -> bool {
        self.members == clusters && !self.stale && !self.missing
    }
}

/// A client that asks at a steady rate.
struct Client {
    socket: UdpSocket,
    start: Instant,
    outcomes: Mutex<Vec<Outcome>>,
    /// By ID, the latest query that has it.
    waiting: Mutex<Vec<usize>>,
    /// Answers to nothing that was asked: there should be none.
    strays: AtomicU64,
}

fn query(id: u16, name: u64) -> Vec<u8> {
    let mut out = id.to_be_bytes().to_vec();
    out.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    let label = format!("n{name}");
    for label in [label.as_str(), "default", "svc", "distributed", "local"] {
        out.push(label.len() as u8);
        out.extend(label.bytes());
    }
    out.extend(b"\0\0\x01\0\x01\0\0\x29\x04\xD0\0\0\0\0\0\0");
    out
}

impl Client {
    fn start(daemon: SocketAddr) -> Arc<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(daemon).unwrap();
        let waiting = Mutex::new(vec![usize::MAX; 1 << 16]);
        let outcomes = Mutex::new(Vec::new());
        let client = Arc::new(Client {
            socket,
            start: Instant::now(),
            outcomes,
            waiting,
            strays: AtomicU64::new(0),
        });
        let own = client.clone();
        std::thread::spawn(move || own.listen());
        client
    }

    fn listen(&self) {
        let mut packet = [0; 4096];
        while let Ok(len) = self.socket.recv(&mut packet) {
            let now = self.start.elapsed();
            let message = Message::from_octets(&packet[..len]).expect("a header");
            let id = usize::from(message.header().id());
            let n = std::mem::replace(&mut self.waiting.lock().unwrap()[id], usize::MAX);
            let mut outcomes = self.outcomes.lock().unwrap();
            let Some(outcome) = outcomes.get_mut(n) else {
                self.strays.fetch_add(1, Relaxed);
                continue;
            };
            outcome.took = Some(now - outcome.at);
            outcome.rcode = message.header().rcode();
            for record in message.answer().expect("an answer section").limit_to::<A>() {
                let [_, _, _, epoch] = record.expect("a record").data().addr().octets();
                outcome.epoch = if outcome.members == 0 { epoch } else { outcome.epoch.min(epoch) };
                outcome.members += 1;
            }
            for error in message.opt().unwrap().opt().iter::<ExtendedError<_>>() {
                match error.expect("an EDE option").code().to_int() {
                    3 => outcome.stale = true,
                    22 | 23 => outcome.missing = true,
                    _ => {}
                }
            }
        }
    }

    fn ask(&self, name: u64) {
        let at = self.start.elapsed();
        let mut outcomes = self.outcomes.lock().unwrap();
        let n = outcomes.len();
        outcomes.push(Outcome {
            at,
            took: None,
            members: 0,
            epoch: 0,
            rcode: Rcode::NOERROR,
            stale: false,
            missing: false,
        });
        drop(outcomes);
        self.waiting.lock().unwrap()[n & 0xFFFF] = n;
        let _ = self.socket.send(&query(n as u16, name));
    }

    /// Asks `rate` times a second for so long, for names from `first` on.
    fn keep_asking(&self, rate: u64, time: Duration, first: u64) {
        let begin = Instant::now();
        let mut sent = 0;
        while begin.elapsed() < time {
            let due = begin.elapsed().as_micros() as u64 * rate / 1_000_000;
            while sent < due {
                self.ask(first + sent % NAMES);
                sent += 1;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn done(&self) -> Vec<Outcome> {
        std::thread::sleep(PATIENCE);
        assert_eq!(self.strays.load(Relaxed), 0, "answers to no question");
        self.outcomes.lock().unwrap().clone()
    }
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// The median of each half second's p99: one hiccup of the machine counts once.
fn usual_p99(outcomes: &[Outcome]) -> Option<Duration> {
    let mut parts = std::collections::BTreeMap::<u128, Vec<Duration>>::new();
    for outcome in outcomes {
        parts.entry(outcome.at.as_millis() / 500).or_default().extend(outcome.took);
    }
    let mut ranks: Vec<Duration> = parts
        .into_values()
        .filter_map(|mut took| {
            took.sort();
            took.get(took.len() * 99 / 100).copied()
        })
        .collect();
    ranks.sort();
    ranks.get(ranks.len() / 2).copied()
}

/// Figures about some of the queries.
fn about(outcomes: &[Outcome], clusters: u8) -> serde_json::Value {
    let mut took: Vec<Duration> = outcomes.iter().filter_map(|o| o.took).collect();
    took.sort();
    let rank = |part: f64| took.get((took.len() as f64 * part) as usize).copied().map(millis);
    let count = |what: &dyn Fn(&Outcome) -> bool| outcomes.iter().filter(|o| what(o)).count();
    serde_json::json!({
        "queries": outcomes.len(),
        "unanswered": count(&|o| o.took.is_none()),
        "whole": count(&|o| o.is_whole(clusters)),
        "stale": count(&|o| o.stale),
        "all_members": count(&|o| o.members == clusters),
        "servfail": count(&|o| o.rcode == Rcode::SERVFAIL),
        "servfail_unexplained": count(&|o| o.rcode == Rcode::SERVFAIL && !o.missing),
        "p50_ms": rank(0.5),
        "p99_ms": rank(0.99),
        "usual_p99_ms": usual_p99(outcomes).map(millis),
        "slowest_ms": took.last().copied().map(millis),
    })
}

fn between(outcomes: &[Outcome], from: Duration, until: Duration) -> Vec<Outcome> {
    outcomes.iter().filter(|o| (from..until).contains(&o.at)).copied().collect()
}

/// One cluster is silent for a while; when it comes back, all addresses are new.
fn silent(client: &Client, rate: u64, clusters: &[Arc<Cluster>], deadline: Duration) {
    let all = clusters.len() as u8;
    let part = Duration::from_secs(6);
    // Everything has been asked for before the healthy stretch begins.
    client.keep_asking(rate, Duration::from_secs(1), 0);
    let healthy = client.start.elapsed();
    client.keep_asking(rate, part, 0);
    let fault = client.start.elapsed();
    clusters[1].mood.store(SILENT, Relaxed);
    client.keep_asking(rate, part, 0);
    clusters.iter().for_each(|cluster| cluster.epoch.store(2, Relaxed));
    clusters[1].mood.store(WELL, Relaxed);
    let back = client.start.elapsed();
    client.keep_asking(rate, part, 0);
    let outcomes = client.done();
    // Noticed: from then on nobody waits for the silent one.
    let waited = |o: &&Outcome| o.took.is_none_or(|took| took > deadline / 4);
    let during = between(&outcomes, fault, back);
    let noticed = during.iter().filter(waited).map(|o| o.at).max().unwrap_or(fault);
    // Back: from then on everything is whole, and what the clusters say now.
    let lacking = |o: &&Outcome| !o.is_whole(all) || o.epoch != 2;
    let fresh = between(&outcomes, back, Duration::MAX);
    let whole_at = fresh.iter().filter(lacking).map(|o| o.at).max().unwrap_or(back);
    let told = serde_json::json!({
        "healthy": about(&between(&outcomes, healthy, fault), all),
        "noticing_ms": millis(noticed - fault),
        "while_noticing": about(&between(&outcomes, fault, noticed), all),
        "noticed": about(&between(&outcomes, noticed + Duration::from_millis(1), back), all),
        "return_ms": millis(whole_at - back),
        "all": about(&outcomes, all),
    });
    println!("{told}");
}

/// Every tenth packet is lost, each way, at both clusters.
fn lossy(client: &Client, rate: u64, clusters: &[Arc<Cluster>]) {
    client.keep_asking(rate, Duration::from_secs(1), 0);
    clusters.iter().for_each(|cluster| cluster.mood.store(LOSSY, Relaxed));
    let from = client.start.elapsed();
    client.keep_asking(rate, Duration::from_secs(20), 0);
    let outcomes = between(&client.done(), from, Duration::MAX);
    println!("{}", about(&outcomes, clusters.len() as u8));
}

/// All clusters are silent; names that were asked for, then others.
fn all_silent(client: &Client, rate: u64, clusters: &[Arc<Cluster>]) {
    client.keep_asking(rate, Duration::from_secs(1), 0);
    let known = client.start.elapsed();
    clusters.iter().for_each(|cluster| cluster.mood.store(SILENT, Relaxed));
    client.keep_asking(rate, Duration::from_secs(5), 0);
    let unknown = client.start.elapsed();
    client.keep_asking(rate, Duration::from_secs(3), NAMES);
    let outcomes = client.done();
    let all = clusters.len() as u8;
    let told = serde_json::json!({
        "known": about(&between(&outcomes, known, unknown), all),
        "unknown": about(&between(&outcomes, unknown, Duration::MAX), all),
    });
    println!("{told}");
}

/// A thousand equal questions at once, each from a client of its own.
fn equal(daemon: SocketAddr, clusters: &[Arc<Cluster>]) {
    clusters.iter().for_each(|cluster| cluster.mood.store(SLOW, Relaxed));
    let sockets: Vec<UdpSocket> = (0..1000)
        .map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(daemon).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        })
        .collect();
    for (n, socket) in sockets.iter().enumerate() {
        socket.send(&query(n as u16, 7)).unwrap();
    }
    let mut packet = [0; 4096];
    let answered = sockets.iter().filter(|socket| socket.recv(&mut packet).is_ok()).count();
    let asked: Vec<u64> = clusters.iter().map(|cluster| cluster.asked.load(Relaxed)).collect();
    println!("{}", serde_json::json!({ "answered": answered, "asked": asked }));
}

/// Each name once, as fast as answers come, a window at a time.
fn once_each(client: &Client, names: u64, clusters: &[Arc<Cluster>]) {
    const WINDOW: u64 = 256;
    let mut answered = 0;
    for from in (0..names).step_by(WINDOW as usize) {
        client.outcomes.lock().unwrap().clear();
        let until = (from + WINDOW).min(names);
        (from..until).for_each(|name| client.ask(name));
        let end = Instant::now() + PATIENCE;
        let count = || client.outcomes.lock().unwrap().iter().filter(|o| o.took.is_some()).count();
        while count() < (until - from) as usize && Instant::now() < end {
            std::thread::sleep(Duration::from_micros(200));
        }
        answered += client.outcomes.lock().unwrap().iter().filter(|o| o.members > 0).count();
    }
    let asked: Vec<u64> = clusters.iter().map(|cluster| cluster.asked.load(Relaxed)).collect();
    println!("{}", serde_json::json!({ "names": names, "answered": answered, "asked": asked }));
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [story, daemon, rate, addresses @ ..] = &words[..] else {
        panic!("faults STORY DAEMON:PORT RATE CLUSTER:PORT...")
    };
    let daemon: SocketAddr = daemon.parse().expect("an address");
    let rate: u64 = rate.parse().expect("a number");
    let clusters: Vec<Arc<Cluster>> = (0..)
        .zip(addresses)
        .map(|(n, addr)| Cluster::start(addr.parse().expect("an address"), n))
        .collect();
    let client = Client::start(daemon);
    let deadline = Duration::from_millis(800);
    match story.as_str() {
        "silent" => silent(&client, rate, &clusters, deadline),
        "lossy" => lossy(&client, rate, &clusters),
        "all-silent" => all_silent(&client, rate, &clusters),
        "equal" => equal(daemon, &clusters),
        "once-each" => once_each(&client, rate, &clusters),
        other => panic!("no story is called {other}"),
    }
}
