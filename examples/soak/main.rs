//! What `scripts/soak` and the siege of `tests/real` run against the daemon:
//! mixed load and faults in turn for as long as wanted, with a judgement of
//! every answer; and only those who are in the way. Prints a JSON object a
//! line. A rate of 0 is half the highest.
//!
//!     soak run DAEMON:PORT SECONDS RATE A:PORT B:PORT FORWARD:PORT [FAULT]
//!     soak besiege DAEMON:PORT SLOW_CLIENTS MALFORMED_PER_SECOND SECONDS
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;
mod clusters;
mod hecklers;
mod questions;
mod sockets;
mod streams;
mod stretches;

use client::{Book, Client, PATIENCE};
use clusters::Cluster;
use hecklers::Counts;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use stretches::{Stretch, Tally, plan};

/// How long the highest rate is looked for, and how many queries are in flight
/// meanwhile. It includes the time in which everything is cold.
const TRIAL: Duration = Duration::from_secs(6);
const WINDOW: u64 = 256;

/// How often what was counted so far is told.
const TELL: Duration = Duration::from_secs(10);

/// One query in so many goes over TCP, and there is a malformed datagram for
/// as many valid ones.
const TCP_SHARE: u64 = 50;
const MALFORMED_SHARE: u64 = 10;

const SLOW_CLIENTS: usize = 50;

/// What a client that was held up makes good, in parts of a second: more would
/// be another load than the one that is meant.
const CATCH_UP: u64 = 20;

fn addr(word: &str) -> SocketAddr {
    word.parse().unwrap_or_else(|_| panic!("'{word}' is no ADDR:PORT"))
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| panic!("'{word}' is no number"))
}

struct Soak {
    book: Arc<Book>,
    client: Arc<Client>,
    clusters: Vec<Arc<Cluster>>,
    stretches: Vec<Stretch>,
    began: Instant,
    counts: Arc<Counts>,
    /// The next question's number.
    next: u64,
    /// The longest that a sleep of a millisecond took: what the machine adds.
    hiccup: Duration,
}

impl Soak {
    /// As fast as answers come; queries in a second.
    fn highest_rate(&mut self) -> u64 {
        let began = Instant::now();
        let mut before = (Duration::ZERO, 0);
        while began.elapsed() < TRIAL {
            let (sent, over) = (self.book.sent.load(Relaxed), self.book.over.load(Relaxed));
            if sent - over < WINDOW {
                self.client.ask(self.next);
                self.next += 1;
            } else {
                self.client.expire();
                std::thread::sleep(Duration::from_micros(100));
            }
            // The first third is for getting warm.
            if before.1 == 0 && began.elapsed() > TRIAL / 3 {
                before = (began.elapsed(), over);
            }
        }
        let done = self.book.over.load(Relaxed) - before.1;
        (done as f64 / (began.elapsed() - before.0).as_secs_f64()) as u64
    }

    fn nap(&mut self) {
        let began = Instant::now();
        std::thread::sleep(Duration::from_millis(1));
        self.hiccup = self.hiccup.max(began.elapsed());
    }

    /// All stretches, at that rate.
    fn run(&mut self, rate: u64) {
        let mut end = Duration::ZERO;
        self.began = Instant::now();
        let (mut told, mut due) = (Duration::ZERO, 0);
        for n in 0..self.stretches.len() {
            let Stretch { name, moods, time } = self.stretches[n];
            // The first tally is the trial's.
            self.book.stretch.store(n + 1, Relaxed);
            self.book.faults.begin(self.book.now(), moods, &self.clusters);
            let asked = self.asked();
            end += time;
            while self.began.elapsed() < end {
                let elapsed = self.began.elapsed();
                let until = (elapsed.as_secs_f64() * rate as f64) as u64;
                due = due.max(until.saturating_sub(rate / CATCH_UP));
                while due < until {
                    self.client.ask(self.next);
                    self.next += 1;
                    due += 1;
                }
                self.nap();
                if elapsed - told >= TELL {
                    told = elapsed;
                    self.client.expire();
                    self.tell("so far", json!({ "stretch": name }));
                }
            }
            let asked: Vec<u64> =
                self.asked().iter().zip(asked).map(|(now, then)| now - then).collect();
            let told = json!({ "told": "stretch", "name": name, "asked": asked });
            println!("{told}");
        }
    }

    fn asked(&self) -> Vec<u64> {
        self.clusters.iter().map(|cluster| cluster.asked()).collect()
    }

    fn tell(&self, what: &str, more: serde_json::Value) {
        let all = Tally::default();
        self.book.tallies[1..].iter().for_each(|tally| all.add(tally));
        let book = &self.book;
        let wrong = book.wrong.lock().expect("nobody panics with it").clone();
        let told = json!({
            "told": what,
            "seconds": self.began.elapsed().as_secs_f64(),
            "all": all.json(),
            "wrong": wrong,
            "twice": book.twice.load(Relaxed),
            "strays": book.strays.load(Relaxed),
            "unsent": book.unsent.load(Relaxed),
            "dropped_by_client": self.client.dropped(),
            "most_behind_kib": book.most_behind.load(Relaxed) / 1024,
            "hiccup_ms": self.hiccup.as_secs_f64() * 1e3,
            "hecklers": self.counts.json(),
            "more": more,
        });
        println!("{told}");
    }
}

fn run(daemon: SocketAddr, stretches: Vec<Stretch>, rate: u64, addresses: &[String]) {
    let clusters: Vec<Arc<Cluster>> =
        (0..).zip(addresses).map(|(n, word)| Cluster::start(addr(word), n)).collect();
    let book = Arc::new(Book::new(stretches.len() + 1));
    let client = Client::start(daemon, &book);
    let counts = Arc::new(Counts::default());
    let stop = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let hiccup = Duration::ZERO;
    let mut soak = Soak {
        book: book.clone(),
        client,
        clusters,
        stretches,
        began,
        counts: counts.clone(),
        next: 0,
        hiccup,
    };
    let highest = soak.highest_rate();
    let rate = if rate > 0 { rate } else { highest / 2 };
    println!("{}", json!({ "told": "highest", "highest": highest, "rate": rate }));
    hecklers::slow(daemon, SLOW_CLIENTS, &counts, &stop);
    hecklers::flood(daemon, rate / MALFORMED_SHARE, &counts, &stop);
    streams::start(daemon, rate / TCP_SHARE, &book, &stop);
    soak.run(rate - rate / TCP_SHARE);
    stop.store(true, Relaxed);
    std::thread::sleep(PATIENCE + PATIENCE);
    soak.client.expire();
    let tallies: Vec<_> = book.tallies[1..].iter().map(Tally::json).collect();
    soak.tell("end", json!({ "tallies": tallies }));
}

fn besiege(daemon: SocketAddr, clients: u64, rate: u64, seconds: u64) {
    let (counts, stop) = (Arc::new(Counts::default()), Arc::new(AtomicBool::new(false)));
    hecklers::slow(daemon, clients as usize, &counts, &stop);
    hecklers::flood(daemon, rate, &counts, &stop);
    std::thread::sleep(Duration::from_secs(seconds));
    println!("{}", counts.json());
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let known: Vec<&str> = words.iter().map(String::as_str).collect();
    match &known[..] {
        ["run", daemon, seconds, rate, _, _, _, only @ ..] if only.len() < 2 => {
            let stretches = plan(number(seconds), only.first().copied());
            run(addr(daemon), stretches, number(rate), &words[4..7]);
        }
        ["besiege", daemon, clients, rate, seconds] => {
            besiege(addr(daemon), number(clients), number(rate), number(seconds));
        }
        _ => panic!(
            "soak run DAEMON SECONDS RATE A B FORWARD [FAULT], or besiege DAEMON CLIENTS RATE SECONDS"
        ),
    }
}
