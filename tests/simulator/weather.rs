//! How bad things are in one world: what the operator configured, what the
//! network does to packets, what becomes of servers and clusters.

use crate::names::{Kind, Name};
use crate::truth::TYPES;
use domain::base::iana::Rtype;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

/// What a cluster does for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It says nothing.
    Silent,
    /// It says SERVFAIL or REFUSED.
    Refusing,
    /// Its endpoints are gone: it denies its services, with NXDOMAIN or NODATA.
    Emptied { nxdomain: bool },
}

/// A flood of names never asked before.
#[derive(Debug, Clone, Copy)]
pub struct Flood {
    pub names: u16,
    /// Names that exist in every cluster.
    pub existing: bool,
    /// Its share of the whole time, from its middle on.
    pub at: f64,
}

/// One world's conditions; chances are in percent.
#[derive(Debug, Clone)]
pub struct Weather {
    pub flags: Vec<(&'static str, String)>,
    pub workers: usize,
    pub deadline: Duration,
    /// Servers of each cluster.
    pub clusters: Vec<usize>,
    pub queries: u64,
    /// The time over which they come.
    pub over: Duration,
    /// Services there are.
    pub names: u16,
    /// Questions that are asked again and again; any, if there are none.
    pub favourites: usize,
    /// How long a cluster says the same.
    pub epoch: Duration,
    /// TTL of all records, in seconds.
    pub ttl: u32,
    pub lost: u32,
    pub copied: u32,
    pub truncated: u32,
    /// Replies with an rcode that says nothing about the name.
    pub servfail: u32,
    /// The servers of this number of clusters do not understand OPT.
    pub old: u8,
    /// Replies preceded by one that cannot be read.
    pub rubbish: u32,
    /// Replies preceded by a forger's guess.
    pub forged: u32,
    /// Questions that strike their socket.
    pub struck: u32,
    /// Times each server dies.
    pub deaths: u64,
    /// Times a cluster as a whole fails.
    pub outages: u64,
    /// How long that takes at the most, in percent of the whole time.
    pub outage: u64,
    /// Of those, so many begin with its endpoints gone.
    pub emptied: u32,
    /// Services with many members.
    pub large: u8,
    /// Clients over streams; and with a small EDNS size, or none.
    pub streams: u32,
    pub small: u32,
    /// Times the configuration changes.
    pub reloads: u64,
    pub floods: Vec<Flood>,
    /// Entries of last good answers, and of answers that are given again.
    pub keep: usize,
    pub slowest: Duration,
}

impl Weather {
    /// A fair day: everything arrives, soon.
    pub fn fair(seed: u64) -> Self {
        Weather {
            flags: Vec::new(),
            workers: 1,
            deadline: Duration::from_millis(800),
            clusters: vec![1; 1 + seed as usize % 4],
            queries: 100,
            over: Duration::from_secs(5),
            names: 8,
            favourites: 0,
            epoch: Duration::from_secs(2),
            ttl: 1,
            lost: 0,
            copied: 10,
            truncated: 0,
            servfail: 0,
            old: 0,
            rubbish: 0,
            forged: 0,
            struck: 0,
            deaths: 0,
            outages: 0,
            outage: 0,
            emptied: 0,
            large: 10,
            streams: 20,
            small: 30,
            reloads: 0,
            floods: Vec::new(),
            keep: 10_000,
            slowest: Duration::from_millis(20),
        }
    }

    /// Every tenth packet is lost, each way.
    pub fn lossy(seed: u64) -> Self {
        let flags = vec![("--cache", "0".into()), ("--keep", "0".into())];
        let slowest = Duration::from_millis(5);
        Weather { lost: 10, flags, slowest, queries: 1000, large: 0, keep: 0, ..Self::fair(seed) }
    }

    /// Anything may be bad, and often nothing is.
    pub fn any(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut one_of = |choices: &[u64]| choices[rng.random_range(0..choices.len())];
        let deadline = Duration::from_millis(one_of(&[100, 800, 2000]));
        let clusters = (0..one_of(&[1, 2, 2, 3, 5])).map(|_| one_of(&[1, 1, 2, 3]) as usize);
        let clusters: Vec<usize> = clusters.collect();
        let over = one_of(&[1, 5, 20, 60, 60, 60]);
        let keep = one_of(&[0, 3, 10_000, 10_000, 10_000]) as usize;
        let mut flags = Vec::new();
        let mut flag = |name: &'static str, value: String| flags.push((name, value));
        flag("--cache", one_of(&[0, 4, 10_000]).to_string());
        flag("--keep", keep.to_string());
        flag("--keep-for", format!("{}s", one_of(&[5, 86_400, 86_400])));
        flag("--keep-on-empty", format!("{}s", one_of(&[0, 0, 0, 5])));
        flag("--max-fails", one_of(&[0, 1, 2, 5]).to_string());
        flag("--max-queries", one_of(&[5, 65_536, 65_536, 65_536]).to_string());
        let choice = |n: u64, words: &[&str]| words[n as usize % words.len()].to_string();
        flag("--on-missing", choice(one_of(&[0, 0, 0, 0, 1, 2]), &["stale", "partial", "fail"]));
        flag("--policy", choice(one_of(&[0, 1, 2]), &["sequential", "round-robin", "random"]));
        let least = one_of(&[0, 0, 0, 0, 1, 2]).min(clusters.len() as u64);
        flag("--min-clusters", least.to_string());
        Weather {
            flags,
            workers: one_of(&[1, 1, 2, 4]) as usize,
            deadline,
            clusters,
            queries: 50,
            over: Duration::from_secs(over),
            names: one_of(&[1, 3, 10]) as u16,
            favourites: one_of(&[0, 3, 8, 8]) as usize,
            epoch: Duration::from_secs(one_of(&[1, 7, 30, 300])),
            ttl: one_of(&[0, 1, 5, 30]) as u32,
            lost: one_of(&[0, 0, 10, 40]) as u32,
            copied: one_of(&[0, 10, 30]) as u32,
            truncated: one_of(&[0, 0, 10]) as u32,
            servfail: one_of(&[0, 0, 5, 30]) as u32,
            rubbish: one_of(&[0, 0, 20]) as u32,
            forged: one_of(&[0, 0, 20]) as u32,
            struck: one_of(&[0, 0, 5]) as u32,
            deaths: one_of(&[0, 0, 1, 3]),
            outages: one_of(&[0, 1, 2]),
            outage: one_of(&[10, 40, 80]),
            emptied: one_of(&[0, 50]) as u32,
            large: one_of(&[0, 10]) as u8,
            streams: 25,
            small: one_of(&[0, 40]) as u32,
            reloads: one_of(&[0, 0, 1, 3]),
            floods: Vec::new(),
            keep,
            slowest: Duration::from_millis(one_of(&[5, 50, 300, 3000])),
            old: one_of(&[0, 0, 0, 0, 0, 1]) as u8,
        }
    }

    /// Only the clusters fail: what is held is what counts.
    pub fn outage(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x0u64.wrapping_sub(1));
        let mut one_of = |choices: &[u64]| choices[rng.random_range(0..choices.len())];
        // Five minutes and an hour are limits of the rules.
        let over = one_of(&[30, 30, 60, 900, 900, 14_400]);
        let clusters: Vec<usize> = vec![1; one_of(&[1, 2, 2, 2, 3]) as usize];
        let choice = |n: u64, words: &[&str]| words[n as usize % words.len()].to_string();
        let fails = if over > 60 { "0" } else { "2" };
        let flags = vec![
            ("--cache", one_of(&[0, 10_000]).to_string()),
            ("--keep", "10000".into()),
            ("--keep-for", choice(one_of(&[0, 0, 0, 1]), &["1d", "10m"])),
            ("--keep-on-empty", choice(one_of(&[0, 0, 0, 1]), &["0s", "1m"])),
            ("--max-fails", fails.into()),
            ("--on-missing", choice(one_of(&[0, 0, 0, 0, 0, 1, 2]), &["stale", "partial", "fail"])),
        ];
        Weather {
            flags,
            workers: one_of(&[1, 2, 2, 4]) as usize,
            clusters,
            queries: 60,
            over: Duration::from_secs(over),
            names: one_of(&[2, 4]) as u16,
            favourites: one_of(&[4, 8, 12]) as usize,
            epoch: Duration::from_secs(one_of(&[30, 300, 100_000]).max(over / 200)),
            ttl: one_of(&[0, 1, 5, 30]) as u32,
            copied: 0,
            outages: one_of(&[1, 2, 3]),
            outage: one_of(&[20, 60, 90]),
            emptied: one_of(&[0, 60]) as u32,
            reloads: one_of(&[0, 0, 1, 3]),
            ..Self::fair(seed)
        }
    }

    /// Names never asked before come in great numbers.
    pub fn flood(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x5EED);
        let mut one_of = |choices: &[u64]| choices[rng.random_range(0..choices.len())];
        let clusters: Vec<usize> = vec![1; one_of(&[1, 2, 2]) as usize];
        let keep = one_of(&[200, 400]) as usize;
        let flags = vec![
            ("--cache", one_of(&[0, keep as u64]).to_string()),
            ("--keep", keep.to_string()),
            ("--max-fails", "2".into()),
            ("--max-queries", "100000".into()),
        ];
        let names = keep as u16 * one_of(&[1, 3, 10]) as u16;
        let flood = |existing, at| Flood { names, existing, at };
        Weather {
            flags,
            keep,
            workers: one_of(&[1, 2, 4]) as usize,
            clusters,
            queries: 60,
            over: Duration::from_secs(60),
            names: 4,
            favourites: one_of(&[4, 8]) as usize,
            epoch: Duration::from_secs(one_of(&[30, 100_000])),
            ttl: one_of(&[0, 1, 5]) as u32,
            copied: 0,
            large: 0,
            outages: 1,
            outage: 90,
            floods: vec![flood(one_of(&[0, 1]) == 1, 0.3), flood(one_of(&[0, 1]) == 1, 0.4)],
            ..Self::fair(seed)
        }
    }

    /// The questions that are asked again and again.
    pub fn favourites(&self, rng: &mut StdRng) -> Vec<(Name, Rtype, bool)> {
        (0..self.favourites).map(|_| self.question(rng)).collect()
    }

    /// Any question.
    pub fn question(&self, rng: &mut StdRng) -> (Name, Rtype, bool) {
        let number = rng.random_range(0..self.names);
        let cluster = rng.random_range(0..self.clusters.len()) as u8;
        let name = |kind| Name::plain(kind, number);
        let mut rtype = Rtype::A;
        if rng.random_range(0..100) < 30 {
            rtype = TYPES[rng.random_range(0..TYPES.len())];
        }
        let name = match rng.random_range(0..100) {
            0..45 => name(Kind::Service),
            45..65 => {
                rtype = if rtype == Rtype::TXT { rtype } else { Rtype::SRV };
                name(Kind::Srv)
            }
            65..77 => {
                if rng.random_range(0..100) < 30 {
                    rtype = Rtype::AAAA;
                }
                name(Kind::Member(rng.random_range(0..3))).of(cluster)
            }
            77..85 => name(Kind::Thing).of((number % 2) as u8),
            85..90 => name(Kind::Service).of(cluster),
            90..95 => Name::plain(Kind::Domain, number % 2),
            _ => name(Kind::Tcp),
        };
        (name, rtype, rng.random_range(0..100) < 10)
    }
}
