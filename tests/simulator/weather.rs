//! How bad things are in one world: what the operator configured, what the
//! network does to packets, and what the servers do to questions.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

/// One world's conditions; chances are in percent.
#[derive(Debug, Clone)]
pub struct Weather {
    pub flags: Vec<String>,
    pub deadline: Duration,
    /// Servers of each cluster.
    pub clusters: Vec<usize>,
    pub queries: u64,
    /// The time over which they come.
    pub over: Duration,
    /// Names that are asked for.
    pub names: u8,
    /// How long a cluster says the same.
    pub epoch: Duration,
    /// TTL of all records, in seconds.
    pub ttl: u32,
    pub lost: u32,
    pub copied: u32,
    pub truncated: u32,
    /// Replies with an rcode that says nothing about the name.
    pub servfail: u32,
    /// Replies preceded by one that cannot be read.
    pub rubbish: u32,
    /// Replies preceded by a forger's guess.
    pub forged: u32,
    /// Questions that strike their socket.
    pub struck: u32,
    /// Times each server dies.
    pub deaths: u64,
    pub slowest: Duration,
}

impl Weather {
    /// A fair day: everything arrives, soon.
    pub fn fair(seed: u64) -> Self {
        Weather {
            flags: Vec::new(),
            deadline: Duration::from_millis(800),
            clusters: vec![1; 1 + seed as usize % 4],
            queries: 100,
            over: Duration::from_secs(5),
            names: 8,
            epoch: Duration::from_secs(2),
            ttl: 1,
            lost: 0,
            copied: 10,
            truncated: 0,
            servfail: 0,
            rubbish: 0,
            forged: 0,
            struck: 0,
            deaths: 0,
            slowest: Duration::from_millis(20),
        }
    }

    /// Every tenth packet is lost, each way.
    pub fn lossy(seed: u64) -> Self {
        let flags = ["--cache", "0", "--keep", "0"].map(String::from).to_vec();
        let slowest = Duration::from_millis(5);
        Weather { lost: 10, flags, slowest, queries: 1000, ..Self::fair(seed) }
    }

    /// Anything may be bad, and often nothing is.
    pub fn any(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut one_of = |choices: &[u64]| choices[rng.random_range(0..choices.len())];
        let deadline = Duration::from_millis(one_of(&[100, 800, 2000]));
        let clusters = (0..one_of(&[1, 2, 2, 3, 5])).map(|_| one_of(&[1, 1, 2, 3]) as usize);
        let clusters = clusters.collect();
        let over = one_of(&[1, 5, 20, 60]);
        let mut flags = Vec::new();
        let mut flag = |name: &str, value: String| flags.extend([name.to_string(), value]);
        flag("--deadline", format!("{}ms", deadline.as_millis()));
        flag("--cache", one_of(&[0, 4, 10_000]).to_string());
        flag("--keep", one_of(&[0, 3, 10_000]).to_string());
        flag("--keep-for", format!("{}s", one_of(&[5, 86_400])));
        flag("--keep-on-empty", format!("{}s", one_of(&[0, 0, 5])));
        flag("--max-fails", one_of(&[0, 1, 2, 5]).to_string());
        flag("--max-queries", one_of(&[5, 65_536, 65_536]).to_string());
        let choice = |n: u64, words: &[&str]| words[n as usize % words.len()].to_string();
        flag("--on-missing", choice(one_of(&[0, 0, 1, 2]), &["stale", "partial", "fail"]));
        flag("--policy", choice(one_of(&[0, 1, 2]), &["sequential", "round-robin", "random"]));
        Weather {
            flags,
            deadline,
            clusters,
            queries: 40,
            over: Duration::from_secs(over),
            names: one_of(&[1, 3, 10]) as u8,
            epoch: Duration::from_secs(one_of(&[1, 7, 30])),
            ttl: one_of(&[0, 1, 5, 30]) as u32,
            lost: one_of(&[0, 0, 10, 40]) as u32,
            copied: one_of(&[0, 10, 30]) as u32,
            truncated: one_of(&[0, 0, 10]) as u32,
            servfail: one_of(&[0, 0, 5, 30]) as u32,
            rubbish: one_of(&[0, 0, 20]) as u32,
            forged: one_of(&[0, 0, 20]) as u32,
            struck: one_of(&[0, 0, 5]) as u32,
            deaths: one_of(&[0, 0, 1, 3]),
            slowest: Duration::from_millis(one_of(&[5, 50, 300, 3000])),
        }
    }
}
