//! The faults and when each has its turn, and what was counted meanwhile.

use super::clusters::{Cluster, Mood};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The faults: a name and what the two clusters do. Who is named can be
/// missing from answers meanwhile; late, truncating and babbling clusters
/// can not: all they say arrives before the deadline.
const FAULTS: [(&str, [Mood; 2]); 9] = [
    ("a silent", [Mood::Silent, Mood::Well]),
    ("b silent", [Mood::Well, Mood::Silent]),
    ("both silent", [Mood::Silent, Mood::Silent]),
    ("10 % loss", [Mood::Lossy, Mood::Lossy]),
    ("100 ms late", [Mood::Late, Mood::Late]),
    ("b SERVFAIL", [Mood::Well, Mood::Servfail]),
    ("a truncated", [Mood::Truncating, Mood::Well]),
    ("rubbish", [Mood::Rubbish, Mood::Rubbish]),
    ("b refused", [Mood::Well, Mood::Refusing]),
];

/// About how long all faults take once.
const ROUND: u64 = 360;

/// After a fault everything is well again within two seconds; what is counted
/// as healthy begins a little later.
const SETTLING: Duration = Duration::from_secs(3);

pub struct Stretch {
    pub name: &'static str,
    pub moods: [Mood; 2],
    pub time: Duration,
}

/// All faults in turn, as often as there is time, with healthy stretches
/// between them: two thirds of the time something is wrong. Or one fault alone,
/// nine times in each round, to look at it closely.
pub fn plan(seconds: u64, only: Option<&str>) -> Vec<Stretch> {
    let wanted = only.map(|only| {
        *FAULTS.iter().find(|(name, _)| *name == only).unwrap_or_else(|| {
            panic!("no fault is called '{only}'; there are {:?}", FAULTS.map(|(name, _)| name))
        })
    });
    let rounds = ((seconds + ROUND / 2) / ROUND).max(1);
    let turn = Duration::from_secs(seconds) / rounds as u32 / FAULTS.len() as u32;
    let fault = turn * 2 / 3;
    let well = [Mood::Well, Mood::Well];
    let settling = SETTLING.min(turn - fault);
    (0..rounds)
        .flat_map(|_| FAULTS)
        .map(|each| wanted.unwrap_or(each))
        .flat_map(|(name, moods)| {
            [
                Stretch { name: "healthy", moods: well, time: turn - fault - settling },
                Stretch { name, moods, time: fault },
                Stretch { name: "settling", moods: well, time: settling },
            ]
        })
        .collect()
}

/// Which clusters may be missing from answers, and until when.
#[derive(Default)]
pub struct Faults {
    /// Microseconds; 0: never was, the greatest number: it is now.
    ended: [AtomicU64; 2],
}

impl Faults {
    /// A stretch begins.
    pub fn begin(&self, now: u64, moods: [Mood; 2], clusters: &[Arc<Cluster>]) {
        for ((ended, mood), cluster) in self.ended.iter().zip(moods).zip(clusters) {
            let failing =
                matches!(mood, Mood::Silent | Mood::Lossy | Mood::Servfail | Mood::Refusing);
            if failing {
                ended.store(u64::MAX, Relaxed);
            } else if ended.load(Relaxed) == u64::MAX {
                ended.store(now, Relaxed);
            }
            cluster.be(mood);
        }
    }

    /// The clusters, as bits, that an answer to what was asked then may lack.
    pub fn failing(&self, asked: u64, grace: u64) -> u8 {
        let mut bits = 0;
        for (n, ended) in self.ended.iter().enumerate() {
            let ended = ended.load(Relaxed);
            if ended != 0 && asked <= ended.saturating_add(grace) {
                bits |= 1 << n;
            }
        }
        bits
    }
}

/// What became of the queries of one stretch.
#[derive(Default)]
pub struct Tally {
    pub sent: AtomicU64,
    pub whole: AtomicU64,
    pub noted: AtomicU64,
    pub failed: AtomicU64,
    pub wrong: AtomicU64,
    pub unanswered: AtomicU64,
    /// Later than deadline and slack.
    pub late: AtomicU64,
    /// The same, but while answers waited for us to read them.
    pub read_late: AtomicU64,
    /// Microseconds.
    pub latest: AtomicU64,
}

impl Tally {
    pub fn add(&self, sum: &Tally) {
        for (own, more) in self.counts().into_iter().zip(sum.counts()) {
            own.fetch_add(more.load(Relaxed), Relaxed);
        }
        self.latest.fetch_max(sum.latest.load(Relaxed), Relaxed);
    }

    fn counts(&self) -> [&AtomicU64; 8] {
        [
            &self.sent,
            &self.whole,
            &self.noted,
            &self.failed,
            &self.wrong,
            &self.unanswered,
            &self.late,
            &self.read_late,
        ]
    }

    pub fn json(&self) -> serde_json::Value {
        let [sent, whole, noted, failed, wrong, unanswered, late, read_late] =
            self.counts().map(|count| count.load(Relaxed));
        serde_json::json!({
            "sent": sent, "whole": whole, "noted": noted, "failed": failed, "wrong": wrong,
            "unanswered": unanswered, "late": late, "read_late": read_late,
            "latest_ms": self.latest.load(Relaxed) as f64 / 1e3,
        })
    }
}
