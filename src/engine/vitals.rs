//! How an engine and its servers are doing, in a copy that others may have:
//! what operators are shown is made of it.

use super::Engine;
use super::counters::Counters;
use super::meters::{Latency, Meter};
use super::time::Time;
use super::{Holding, Kept, Outbox};
use crate::config::Plan;
use std::sync::Arc;
use std::time::Duration;

/// What an engine knows of whether a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has said nothing yet, and not been silent for long.
    Unknown,
    /// It answers.
    Up,
    /// It leaves questions unanswered, and is not asked by queries (U5).
    Out,
}

/// How a server is doing. Times are how long ago something was.
#[derive(Debug, Clone)]
pub struct ServerVitals {
    /// What is known of it.
    pub state: State,
    /// When that began; nothing if it is unknown.
    pub since: Option<Duration>,
    /// When something last came from it.
    pub heard: Option<Duration>,
    /// Its smoothed round-trip time.
    pub rtt: Option<Duration>,
    /// Somebody guesses at its answers: it is asked over TCP.
    pub besieged: bool,
    /// How long its answers took, of questions that were sent once.
    pub latency: Latency,
}

/// How an engine is doing.
#[derive(Debug, Clone)]
pub struct Vitals {
    /// What it serves.
    pub plan: Arc<Plan>,
    /// What happened so far.
    pub counters: Counters,
    /// What is kept of earlier answers.
    pub kept: Kept,
    /// What all engines of the daemon together hold for when a cluster is
    /// missing.
    pub holding: Holding,
    /// Queries not answered yet.
    pub queries_in_flight: usize,
    /// IDs in flight towards clusters.
    pub questions_in_flight: usize,
    /// What is counted of each of the plan's zones, and behind them of each
    /// forward.
    pub meters: Vec<Meter>,
    /// What is counted of questions for neither.
    pub stray: Meter,
    /// The plan's servers, in its order.
    pub servers: Vec<ServerVitals>,
}

impl Engine {
    /// How it is doing at the moment.
    pub fn vitals(&self, now: Time) -> Vitals {
        let plan = &self.plan;
        let meters = plan.meters.iter().map(|meter| meter.borrow().clone());
        Vitals {
            plan: plan.plan.clone(),
            counters: self.counters(),
            kept: self.kept(),
            holding: self.holding(),
            queries_in_flight: self.queries_in_flight(),
            questions_in_flight: self.questions_in_flight(),
            meters: meters.collect(),
            stray: self.stray.clone(),
            servers: plan.servers.iter().map(|&server| self.server_vitals(now, server)).collect(),
        }
    }

    fn server_vitals(&self, now: Time, server: usize) -> ServerVitals {
        let server = &self.links.servers[server];
        let health = &server.health;
        let state = match health.heard_at() {
            _ if health.is_out() => State::Out,
            Some(_) => State::Up,
            None => State::Unknown,
        };
        ServerVitals {
            state,
            since: health.since().map(|at| now.since(at)),
            heard: health.heard_at().map(|at| now.since(at)),
            rtt: server.rtt.mean(),
            besieged: server.guard.is_besieged(now),
            latency: server.latency,
        }
    }

    /// Asks servers that nothing has been heard of for the time `idle` whether
    /// they are there, so that its vitals say what is so even where nobody asks.
    /// One that leaves this unanswered is taken out like any other.
    pub fn check_idle(&mut self, now: Time, idle: Duration, out: &mut Outbox) {
        let plan = self.plan.clone();
        for &server in &plan.servers {
            let known = &self.links.servers[server];
            if !known.health.is_out() && !known.health.was_heard(now, idle) {
                self.check(now, server, out);
            }
        }
    }
}
