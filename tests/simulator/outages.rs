//! When servers are dead, and what clusters as a whole are up to.

use crate::names::{Kind, Name};
use crate::truth::Truth;
use crate::weather::{Mood, Weather};
use gathersrv::engine::Time;
use rand::RngExt;
use rand::rngs::StdRng;
use std::time::Duration;

struct Spell<W> {
    who: W,
    from: Time,
    until: Time,
    mood: Mood,
}

/// What is wrong, and when.
#[derive(Default)]
pub struct Outages {
    /// By cluster and the last octet of the address.
    servers: Vec<Spell<(u8, u8)>>,
    clusters: Vec<Spell<u8>>,
}

impl<W: PartialEq> Spell<W> {
    fn is_on(&self, who: &W, now: Time) -> bool {
        self.who == *who && self.from <= now && now < self.until
    }
}

/// A moment within this share of the time from `now` on.
fn within(rng: &mut StdRng, time: Duration, percent: std::ops::Range<u64>) -> Duration {
    let micros = time.as_micros() as u64;
    Duration::from_micros(micros / 100 * rng.random_range(percent))
}

impl Outages {
    /// What will happen from `now` on.
    pub fn plan(weather: &Weather, now: Time, rng: &mut StdRng) -> Self {
        let mut all = Outages::default();
        let over = weather.over;
        for (cluster, &servers) in weather.clusters.iter().enumerate() {
            for server in 1..=servers as u8 {
                for _ in 0..weather.deaths {
                    let from = now + within(rng, over, 0..100);
                    let until = from + within(rng, over, 0..50);
                    let (who, mood) = ((cluster as u8, server), Mood::Silent);
                    all.servers.push(Spell { who, from, until, mood });
                }
            }
        }
        for _ in 0..weather.outages {
            let who = rng.random_range(0..weather.clusters.len()) as u8;
            let from = now + within(rng, over, 25..65);
            let until = from + within(rng, over, 0..weather.outage + 1);
            let mood = if rng.random_range(0..100) < 75 { Mood::Silent } else { Mood::Refusing };
            all.clusters.push(Spell { who, from, until, mood });
            if rng.random_range(0..100) < weather.emptied {
                // A dying cluster loses its endpoints first.
                let before = within(rng, over, 1..20);
                let start = now + from.since(now).saturating_sub(before);
                let mood = Mood::Emptied { nxdomain: rng.random_range(0..2) == 0 };
                all.clusters.push(Spell { who, from: start, until: from, mood });
            }
        }
        all
    }

    pub fn is_silent(&self, cluster: u8, server: u8, now: Time) -> bool {
        self.servers.iter().any(|spell| spell.is_on(&(cluster, server), now))
            || self.mood(cluster, now) == Some(Mood::Silent)
    }

    pub fn is_refusing(&self, cluster: u8, now: Time) -> bool {
        self.mood(cluster, now) == Some(Mood::Refusing)
    }

    fn mood(&self, cluster: u8, now: Time) -> Option<Mood> {
        let mut on = self.clusters.iter().filter(|spell| spell.is_on(&cluster, now));
        on.next().map(|spell| spell.mood)
    }

    /// What a cluster says whose truth it is not if its endpoints are gone.
    pub fn bend(&self, truth: Truth, cluster: u8, name: Name, now: Time) -> Truth {
        let Some(Mood::Emptied { nxdomain }) = self.mood(cluster, now) else { return truth };
        match name.kind {
            Kind::Domain | Kind::Made | Kind::Absent | Kind::Apex => truth,
            _ if truth == Truth::NxDomain => truth,
            Kind::Service | Kind::Thing if !nxdomain => Truth::NoData,
            _ => Truth::NxDomain,
        }
    }
}
