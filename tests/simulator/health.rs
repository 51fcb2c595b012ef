//! Law 9: which servers are up, as each worker has to know it (U5).
//!
//! A server goes down by questions left unanswered and is then asked nothing but
//! health checks, at exact times; its first reply brings it back.

use crate::round_trips::RoundTrips;
use crate::tally::Tally;
use gathersrv::config::Plan;
use gathersrv::engine::{Notice, SIEGE, State, Time, Vitals};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Time to the first health check; each next is twice as long, ...
const FIRST_CHECK: Duration = Duration::from_millis(250);

/// ... up to this.
const LONGEST: Duration = Duration::from_secs(1);

/// Questions that a reload or another server's answer may have taken from the count.
const SPARE: u32 = 2;

/// What one worker knows of one server.
#[derive(Debug, Clone, Default)]
struct Server {
    round_trips: RoundTrips,
    heard: Option<Time>,
    /// Replies whose time was measured, and their sum.
    measured: (u64, Duration),
    /// When the next health check is due, and how long it was waited for; set
    /// while it is down.
    check: Option<(Time, Duration)>,
    /// When it went down or was first heard or came back.
    since: Option<Time>,
    /// Questions that it surely left unanswered until their deadline.
    missed: u32,
    besieged: Option<Time>,
    /// It has been taken out of the configuration. Once it is in it again, late
    /// replies may have told the worker of it meanwhile.
    gone: bool,
}

/// The servers of all workers.
#[derive(Default)]
pub struct Servers {
    all: HashMap<(usize, SocketAddr), Server>,
}

impl Servers {
    fn of(&mut self, worker: usize, server: SocketAddr) -> &mut Server {
        self.all.entry((worker, server)).or_default()
    }

    pub fn is_down(&self, worker: usize, server: SocketAddr) -> bool {
        self.all.get(&(worker, server)).is_some_and(|server| server.check.is_some())
    }

    pub fn round_trips(&self, worker: usize, server: SocketAddr) -> RoundTrips {
        self.all.get(&(worker, server)).map_or(RoundTrips::default(), |known| known.round_trips)
    }

    pub fn is_besieged(&self, worker: usize, server: SocketAddr, now: Time) -> bool {
        let since = self.all.get(&(worker, server)).and_then(|server| server.besieged);
        since.is_some_and(|since| now.since(since) < SIEGE)
    }

    /// A reply that counts: who answers is up.
    pub fn heard(&mut self, worker: usize, server: SocketAddr, now: Time, notices: &[Notice]) {
        let known = self.of(worker, server);
        let was_down = known.check.take().is_some();
        let back = notices.contains(&Notice::Back(server));
        assert_eq!(back, was_down, "{server} is back");
        if was_down || known.heard.is_none() {
            known.since = Some(now);
        }
        (known.heard, known.missed) = (Some(now), 0);
    }

    /// An answer came after this time; `usual` if it counts for retransmissions.
    pub fn measured(&mut self, worker: usize, server: SocketAddr, took: Duration, usual: bool) {
        let known = self.of(worker, server);
        known.measured.0 += 1;
        known.measured.1 += took;
        if usual {
            known.round_trips.measured(took);
        }
    }

    /// What a worker has told of its servers.
    pub fn told(
        &mut self,
        worker: usize,
        notices: &[Notice],
        (max_fails, patience): (u32, Duration),
        now: Time,
        tally: &mut Tally,
    ) {
        for notice in notices {
            match *notice {
                Notice::Out { server, missed, silence } => {
                    let known = self.of(worker, server);
                    assert!(max_fails > 0 && missed >= max_fails, "{server} is down too soon");
                    let heard = known.heard.map(|at| now.since(at));
                    assert_eq!(silence, heard, "silence of {server}");
                    assert!(silence.is_none_or(|time| time >= patience), "it was just heard");
                    assert!(known.check.is_none(), "{server} is down already");
                    known.check = Some(((now + FIRST_CHECK).floor(), FIRST_CHECK));
                    known.since = Some(now);
                    tally.taken_out += 1;
                }
                Notice::Back(server) => {
                    assert!(self.of(worker, server).heard == Some(now), "{server} is not back");
                    tally.came_back += 1;
                }
                Notice::Besieged(server) => self.of(worker, server).besieged = Some(now),
                Notice::Loop => panic!("nobody asks itself here"),
            }
        }
    }

    /// A health check goes out.
    pub fn checked(&mut self, worker: usize, server: SocketAddr, now: Time, tally: &mut Tally) {
        let known = self.of(worker, server);
        let Some((due, waited)) = known.check else { panic!("{server} is up, and checked") };
        assert_eq!(now, due, "a health check of {server} at another time");
        let wait = (waited * 2).min(LONGEST);
        known.check = Some(((now + wait).floor(), wait));
        tally.health_checks += 1;
    }

    /// No health check is overdue.
    pub fn are_checked(&self, worker: usize, now: Time) {
        let of_it = self.all.iter().filter(|((known, _), _)| *known == worker);
        for ((_, address), server) in of_it {
            let due = server.check.is_none_or(|(due, _)| now <= due);
            assert!(due, "no health check of {address} at {:?}", server.check);
        }
    }

    /// A server was silent about a question until its deadline: after `max_fails` of
    /// these, and [`SPARE`] more, it has to be down, if it has not been heard for the
    /// time `patience`.
    pub fn silent(
        &mut self,
        worker: usize,
        server: SocketAddr,
        (max_fails, patience): (u32, Duration),
        now: Time,
    ) {
        let known = self.of(worker, server);
        known.missed += 1;
        let lately = known.heard.is_some_and(|at| now.since(at) < patience);
        assert!(
            max_fails == 0 || known.missed < max_fails + SPARE || lately || known.check.is_some(),
            "{server} left {} questions unanswered and is up",
            known.missed
        );
    }

    /// The configuration has changed: servers that are no longer in it are forgotten.
    pub fn reloaded(&mut self, worker: usize, plan: &Plan) {
        for ((_, address), server) in self.all.iter_mut().filter(|((w, _), _)| *w == worker) {
            server.missed = 0;
            if !plan.servers.iter().any(|named| named.addr == *address) {
                *server = Server { gone: true, ..Server::default() };
            }
        }
    }

    /// What a worker says of its servers is what is known of them.
    pub fn compare(&self, worker: usize, vitals: &Vitals, now: Time, tally: &mut Tally) {
        for (named, server) in vitals.plan.servers.iter().zip(&vitals.servers) {
            let known = self.all.get(&(worker, named.addr)).cloned().unwrap_or_default();
            if known.gone {
                continue;
            }
            let state = match (known.check, known.heard) {
                (Some(_), _) => State::Out,
                (None, Some(_)) => State::Up,
                (None, None) => State::Unknown,
            };
            assert_eq!(server.state, state, "{}", named.addr);
            assert_eq!(server.heard, known.heard.map(|at| now.since(at)), "{}", named.addr);
            assert_eq!(server.since, known.since.map(|at| now.since(at)), "{}", named.addr);
            let (count, sum) = known.measured;
            let measured = (server.latency.buckets.iter().sum::<u64>(), server.latency.micros);
            let as_seen = measured == (count, sum.as_micros() as u64)
                && server.rtt == known.round_trips.mean();
            tally.astray += u64::from(!as_seen);
        }
    }
}
