//! T5: whatever the network does, each of thousands of interleaved queries
//! gets exactly one answer, in time, with its own records, and nothing is left.
//!
//! The network is a heap of packets with the moments they arrive. Loss, delay,
//! copies and order come from a seed, which a failure prints:
//! `GATHERSRV_STORM_SEED=N cargo test storm` runs that one again.

use crate::actors::{DEADLINE, address, addresses_in, ask, rcode, truncated};
use crate::common::text::shown;
use crate::common::{Asked, Lab, plan};
use domain::base::iana::Rcode;
use gathersrv::engine::{LinkId, LinkState, Time};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// How bad the network is, in percent.
#[derive(Clone, Copy)]
struct Weather {
    lost: u32,
    copied: u32,
    truncated: u32,
    servfail: u32,
    /// Events that strike a socket.
    struck: u32,
    slowest_ms: u64,
}

const FAIR: Weather =
    Weather { lost: 0, copied: 5, truncated: 2, servfail: 0, struck: 0, slowest_ms: 20 };

const ROUGH: Weather =
    Weather { lost: 10, copied: 10, truncated: 5, servfail: 0, struck: 0, slowest_ms: 60 };

const FOUL: Weather =
    Weather { lost: 40, copied: 20, truncated: 10, servfail: 20, struck: 2, slowest_ms: 900 };

enum Event {
    Query(u64),
    Reply(LinkId, Vec<u8>),
    Strike(LinkId, LinkState),
}

struct Storm {
    lab: Lab,
    rng: StdRng,
    weather: Weather,
    /// By moment, and for the same moment by order of coming.
    events: BTreeMap<(Time, u64), Event>,
    number: u64,
    asked_at: HashMap<u64, Time>,
}

const CLUSTERS: [&str; 10] = [
    "--zone",
    "distributed.local.",
    "--cluster",
    "cluster.local. a- 10.8.0.1 10.8.0.2",
    "--cluster",
    "cluster.local. b- 10.9.0.1",
    "--cluster",
    "cluster.local. c- 10.10.0.1 10.10.0.2 10.10.0.3",
    "--max-udp-payload",
    "1232",
];

/// The name client `n` asks for; it tells `n % 250`.
fn name(n: u64) -> String {
    let prefix = ["", "", "b-", "_x._tcp.", "c-"][(n % 5) as usize];
    format!("{prefix}n{}.distributed.local.", n % 250)
}

/// The number in a sub-question's name.
fn number_of(asked: &Asked) -> u8 {
    let text = String::from_utf8_lossy(crate::actors::question(&asked.packet)).into_owned();
    let digits = text.split('n').find_map(|part| {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..end].parse().ok()
    });
    digits.expect("a number in the name")
}

impl Storm {
    fn at(&mut self, time: Time, event: Event) {
        self.number += 1;
        self.events.insert((time, self.number), event);
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn delay(&mut self) -> Duration {
        // Mostly quick, now and then as slow as it gets.
        let slowest = self.weather.slowest_ms * 1000;
        let cap = if self.chance(80) { slowest / 8 } else { slowest };
        Duration::from_micros(self.rng.random_range(200..=cap.max(201)))
    }

    fn carry(&mut self, asked: &Asked) {
        if self.chance(self.weather.struck) {
            let state = if self.chance(50) { LinkState::Refused } else { LinkState::Closed };
            let time = self.lab.now + self.delay();
            self.at(time, Event::Strike(asked.link, state));
        }
        let copies = if self.chance(self.weather.copied) { 2 } else { 1 };
        for _ in 0..copies {
            // A stream repeats what is lost.
            let udp = asked.transport == gathersrv::engine::Transport::Udp;
            if udp && self.chance(self.weather.lost) {
                continue;
            }
            let reply = if udp && self.chance(self.weather.truncated) {
                truncated(asked)
            } else if self.chance(self.weather.servfail) {
                rcode(asked, Rcode::SERVFAIL)
            } else {
                address(asked, number_of(asked))
            };
            let time = self.lab.now + self.delay();
            self.at(time, Event::Reply(asked.link, reply));
        }
    }

    fn settle(&mut self) -> Vec<(u64, bool)> {
        for asked in self.lab.take_asked() {
            self.carry(&asked);
        }
        let mut outcomes = Vec::new();
        for answer in self.lab.take_answers() {
            let client = answer.client.socket;
            let asked_at = self.asked_at.remove(&client).expect("one answer to each");
            assert!(answer.at <= asked_at + DEADLINE, "late");
            let good = shown(&answer.packet)[0].starts_with("=> NOERROR");
            if good {
                let numbers = addresses_in(&answer.packet);
                assert!(!numbers.is_empty());
                assert!(numbers.iter().all(|&n| u64::from(n) == client % 250), "another's");
            }
            outcomes.push((client, good));
        }
        outcomes
    }

    /// Runs it all; how many of the answers were positive.
    fn run(&mut self, queries: u64) -> u64 {
        for n in 0..queries {
            let time = self.lab.now + Duration::from_micros(self.rng.random_range(0..1_500_000));
            self.at(time, Event::Query(n));
        }
        let mut good = 0;
        let mut all = 0;
        while let Some(((time, _), event)) = self.events.pop_first() {
            self.lab.pass(time.since(self.lab.now));
            match event {
                Event::Query(n) => {
                    self.asked_at.insert(n, self.lab.now);
                    ask(&mut self.lab, n, &name(n));
                }
                Event::Reply(link, packet) => self.lab.reply(link, &packet),
                Event::Strike(link, state) => self.lab.link(link, state),
            }
            let outcomes = self.settle();
            all += outcomes.len() as u64;
            good += outcomes.iter().filter(|(_, good)| *good).count() as u64;
        }
        self.lab.pass(DEADLINE);
        let outcomes = self.settle();
        all += outcomes.len() as u64;
        good += outcomes.iter().filter(|(_, good)| *good).count() as u64;
        assert_eq!(all, queries, "one answer to each");
        // What was sent at the very end is answered into the void.
        while let Some(((time, _), event)) = self.events.pop_first() {
            self.lab.pass(time.since(self.lab.now));
            if let Event::Reply(link, packet) = event {
                self.lab.reply(link, &packet);
            }
            assert!(self.settle().is_empty());
        }
        self.lab.assert_idle();
        good
    }
}

/// Says which seed it was when a test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("again with GATHERSRV_STORM_SEED={}", self.0);
        }
    }
}

fn storm(weather: Weather, queries: u64, at_least: u64) {
    let given = std::env::var("GATHERSRV_STORM_SEED").ok().map(|seed| seed.parse().unwrap());
    for seed in given.map_or(1..4, |seed: u64| seed..seed + 1) {
        let _seed = Seed(seed);
        let lab = Lab::with_plan(plan(&CLUSTERS), [seed as u8; 32]);
        let mut storm = Storm {
            lab,
            rng: StdRng::seed_from_u64(seed),
            weather,
            events: BTreeMap::new(),
            number: 0,
            asked_at: HashMap::new(),
        };
        let good = storm.run(queries);
        assert!(good >= at_least, "{good} of {queries} answers were good");
    }
}

#[test]
fn t5_storm_of_a_fair_day() {
    storm(FAIR, 2000, 2000);
}

#[test]
fn t5_storm_of_a_rough_day() {
    storm(ROUGH, 2000, 1990);
}

#[test]
fn t5_storm_of_a_foul_day() {
    storm(FOUL, 2000, 1);
}
