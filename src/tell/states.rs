//! Which servers are out, over all workers, and which clusters are missing for
//! that: each change once, with its reason.
//!
//! Workers find out one by one, and not at the same moment. A server is out from
//! when the first says so, and back when none says so any more. Who pulls and
//! plugs a cable can make it change often; what is told of one server or cluster
//! is limited, and it ends with the state that is true.

use super::limited::Allowance;
use super::{Line, said};
use crate::config::Plan;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Level;

/// Clusters and forwards told at once; of more the number is enough.
const TOLD_AT_ONCE: usize = 10;

/// One server or cluster that has been out.
struct State {
    out: bool,
    told: bool,
    since: Instant,
    allowance: Allowance,
    /// Changes that were not told.
    silent: u64,
}

impl State {
    fn new(now: Instant) -> Self {
        State { out: false, told: false, since: now, allowance: Allowance::new(now), silent: 0 }
    }

    /// It changed; tells how long it was as it was before.
    fn turn(&mut self, now: Instant, out: bool) -> Duration {
        self.out = out;
        let lasted = now.saturating_duration_since(self.since);
        self.since = now;
        lasted
    }

    /// Whether to tell, and what number of changes were not told.
    fn may_tell(&mut self, now: Instant) -> Option<u64> {
        if self.allowance.take(now) {
            self.told = self.out;
            return Some(std::mem::take(&mut self.silent));
        }
        self.silent += 1;
        None
    }

    /// What was told last is not so any more.
    fn is_untold(&self) -> bool {
        self.out != self.told
    }
}

/// A cluster of a zone, or a forward, and where its servers are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    /// The zone's name, or the forward's.
    zone: String,
    /// Suffix and prefix; nothing for a forward.
    cluster: Option<String>,
    servers: Vec<SocketAddr>,
}

impl Place {
    fn called(&self) -> String {
        match &self.cluster {
            Some(cluster) => format!("cluster {cluster} of {}", self.zone),
            None => format!("forward {}", self.zone),
        }
    }

    fn line(&self, level: Level, event: &'static str, text: String) -> Line {
        let (zone, cluster) = (Some(self.zone.clone()), self.cluster.clone());
        Line { zone, cluster, ..Line::new(level, event, text) }
    }
}

/// All that is known.
#[derive(Default)]
pub struct States {
    /// Who says that a server is out.
    out: HashMap<SocketAddr, HashSet<usize>>,
    servers: BTreeMap<SocketAddr, State>,
    clusters: BTreeMap<Place, State>,
    /// Who asks a server, and what for.
    places: HashMap<SocketAddr, Vec<Arc<Place>>>,
    /// Which servers a worker asks.
    workers: HashMap<usize, Arc<HashSet<SocketAddr>>>,
}

fn places(plan: &Plan) -> Vec<Place> {
    let addrs = |servers: &[usize]| servers.iter().map(|&n| plan.servers[n].addr).collect();
    let clusters = plan.zones.iter().flat_map(|zone| {
        zone.clusters.iter().map(move |cluster| Place {
            zone: zone.name.to_string(),
            cluster: Some(cluster.label.clone()),
            servers: addrs(&cluster.servers),
        })
    });
    let forwards = plan.forwards.iter().map(|forward| Place {
        zone: forward.name.to_string(),
        cluster: None,
        servers: addrs(&forward.servers),
    });
    clusters.chain(forwards).collect()
}

fn and_more(text: String, more: u64) -> String {
    match more {
        0 => text,
        n => format!("{text} (it changed {n} times more since this was last told)"),
    }
}

impl States {
    /// What is served from now on, and by whom. What concerns nobody any more is
    /// forgotten.
    pub fn serving(&mut self, plans: Vec<(Vec<usize>, Arc<Plan>)>) {
        self.workers.clear();
        self.places.clear();
        let mut all = HashSet::new();
        for (workers, plan) in plans {
            let servers: HashSet<_> = plan.servers.iter().map(|server| server.addr).collect();
            let servers = Arc::new(servers);
            self.workers.extend(workers.into_iter().map(|worker| (worker, servers.clone())));
            // Several sets of workers may serve the same.
            all.extend(places(&plan));
        }
        for place in all.iter().cloned().map(Arc::new) {
            for server in place.servers.iter().collect::<HashSet<_>>() {
                self.places.entry(*server).or_default().push(place.clone());
            }
        }
        let workers = &self.workers;
        for (server, who) in &mut self.out {
            who.retain(|worker| workers.get(worker).is_some_and(|asks| asks.contains(server)));
        }
        self.out.retain(|_, who| !who.is_empty());
        let out = &self.out;
        let places = &self.places;
        self.servers.retain(|server, state| {
            places.contains_key(server) && (!state.out || out.contains_key(server))
        });
        self.clusters.retain(|place, _| all.contains(place));
        for (place, state) in &mut self.clusters {
            if !place.servers.iter().all(|server| out.contains_key(server)) {
                // Its servers are others now, or nobody asks them.
                (state.out, state.told) = (false, false);
            }
        }
    }

    /// A worker says that a server is out.
    pub fn out(
        &mut self,
        now: Instant,
        worker: usize,
        server: SocketAddr,
        missed: u32,
        silence: Option<Duration>,
    ) -> Vec<Line> {
        // It may have said so before it heard of another plan.
        let asks = self.workers.get(&worker).is_some_and(|asks| asks.contains(&server));
        let who = self.out.entry(server).or_default();
        let first = who.is_empty();
        if asks {
            who.insert(worker);
        }
        if who.is_empty() {
            self.out.remove(&server);
        }
        if !asks || !first {
            return Vec::new();
        }
        let state = self.servers.entry(server).or_insert_with(|| State::new(now));
        state.turn(now, true);
        let told = state.may_tell(now).map(|more| {
            let questions = if missed == 1 { "question" } else { "questions" };
            let heard = match silence {
                Some(silence) => format!("and was last heard {} ago", said(silence)),
                None => "and was never heard".into(),
            };
            let text =
                format!("server {server} is out: it left {missed} {questions} unanswered, {heard}");
            Line {
                server: Some(server.to_string()),
                questions: Some(missed.into()),
                seconds: silence.map(|silence| silence.as_secs_f64()),
                more: Some(more),
                ..Line::new(Level::WARN, "server_out", and_more(text, more))
            }
        });
        let mut lines: Vec<Line> = told.into_iter().collect();
        let missing = self.places_of(server, |place| self.is_missing(place));
        lines.extend(self.turn_all(now, &missing, true));
        lines
    }

    /// A worker says that a server is back.
    pub fn back(&mut self, now: Instant, worker: usize, server: SocketAddr) -> Vec<Line> {
        let Some(who) = self.out.get_mut(&server) else { return Vec::new() };
        who.remove(&worker);
        if !who.is_empty() {
            return Vec::new();
        }
        // Before it is taken from the list: what it was missing for.
        let missing = self.places_of(server, |place| self.is_missing(place));
        self.out.remove(&server);
        let state = self.servers.entry(server).or_insert_with(|| State::new(now));
        let lasted = state.turn(now, false);
        let told = state.may_tell(now).map(|more| Line {
            server: Some(server.to_string()),
            seconds: Some(lasted.as_secs_f64()),
            more: Some(more),
            ..Line::new(
                Level::INFO,
                "server_back",
                and_more(format!("server {server} is back after {}", said(lasted)), more),
            )
        });
        let mut lines: Vec<Line> = told.into_iter().collect();
        lines.extend(self.turn_all(now, &missing, false));
        lines
    }

    /// Something has changed that was not told.
    pub fn has_untold(&self) -> bool {
        self.servers.values().any(State::is_untold) || self.clusters.values().any(State::is_untold)
    }

    /// Tells what is so now, where that is due.
    pub fn look_again(&mut self, now: Instant) -> Vec<Line> {
        let mut lines = Vec::new();
        for (server, state) in &mut self.servers {
            if state.is_untold() && state.allowance.take(now) {
                state.told = state.out;
                let more = std::mem::take(&mut state.silent);
                let (level, event, what) = match state.out {
                    true => (Level::WARN, "server_out", "out"),
                    false => (Level::INFO, "server_back", "back"),
                };
                let lasts = now.saturating_duration_since(state.since);
                let text = format!(
                    "server {server} has been {what} for {}; it changed {more} times before this \
                     was told",
                    said(lasts)
                );
                lines.push(Line {
                    server: Some(server.to_string()),
                    seconds: Some(lasts.as_secs_f64()),
                    more: Some(more),
                    ..Line::new(level, event, text)
                });
            }
        }
        for (place, state) in &mut self.clusters {
            if state.is_untold() && state.allowance.take(now) {
                state.told = state.out;
                let more = std::mem::take(&mut state.silent);
                lines.push(match state.out {
                    true => Line { more: Some(more), ..missing_line(place, more) },
                    false => {
                        let lasts = now.saturating_duration_since(state.since);
                        let text = format!("{} has been back for {}", place.called(), said(lasts));
                        let line = place.line(Level::INFO, "cluster_back", and_more(text, more));
                        Line { more: Some(more), ..line }
                    }
                });
            }
        }
        lines
    }

    /// As if everything had happened so much earlier.
    #[cfg(test)]
    pub fn age(&mut self, time: Duration) {
        for state in self.servers.values_mut().chain(self.clusters.values_mut()) {
            state.since -= time;
            state.allowance.age(time);
        }
    }

    fn places_of(&self, server: SocketAddr, which: impl Fn(&Place) -> bool) -> Vec<Arc<Place>> {
        let all = self.places.get(&server).into_iter().flatten();
        let mut found: Vec<_> = all.filter(|place| which(place)).cloned().collect();
        found.sort();
        found
    }

    fn is_missing(&self, place: &Place) -> bool {
        place.servers.iter().all(|server| self.out.contains_key(server))
    }

    fn turn_all(&mut self, now: Instant, places: &[Arc<Place>], out: bool) -> Vec<Line> {
        let mut lines = Vec::new();
        for place in places {
            let known = self.clusters.entry(Place::clone(place));
            let state = known.or_insert_with(|| State::new(now));
            if state.out == out {
                continue;
            }
            let lasted = state.turn(now, out);
            let Some(more) = state.may_tell(now) else { continue };
            let line = if out {
                missing_line(place, more)
            } else {
                let text = format!("{} is back after {}", place.called(), said(lasted));
                let line = place.line(Level::INFO, "cluster_back", and_more(text, more));
                Line { seconds: Some(lasted.as_secs_f64()), more: Some(more), ..line }
            };
            lines.push(line);
        }
        let beyond = lines.len().saturating_sub(TOLD_AT_ONCE);
        if beyond > 0 {
            lines.truncate(TOLD_AT_ONCE);
            let (level, what) = match out {
                true => (Level::WARN, "missing"),
                false => (Level::INFO, "back"),
            };
            let text = format!("and {beyond} clusters of zones more are {what} with that server");
            let event = if out { "cluster_missing" } else { "cluster_back" };
            lines.push(Line { more: Some(beyond as u64), ..Line::new(level, event, text) });
        }
        lines
    }
}

fn missing_line(place: &Place, more: u64) -> Line {
    let servers: Vec<String> = place.servers.iter().map(SocketAddr::to_string).collect();
    let all = if servers.len() == 1 { "its server is" } else { "all its servers are" };
    let text = format!("{} is missing: {all} out ({})", place.called(), servers.join(", "));
    let line = place.line(Level::WARN, "cluster_missing", and_more(text, more));
    Line { more: Some(more), ..line }
}

#[cfg(test)]
mod tests;
