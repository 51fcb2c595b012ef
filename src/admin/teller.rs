//! `/status.json`: ledger, history and board in the form of [`super::status`].

use super::accounts::Account;
use super::asked::ServerAccount;
use super::board::{Pinned, unix};
use super::history::{Brief, History, LATELY, MINUTE, Moment, STEP};
use super::ledger::Ledger;
use super::metrics::Process;
use super::status::{
    Cluster, ClusterAnswers, Config, Forward, History as Chart, Latency, Listener, Rates, Server,
    ServerState, Status, Zone, ZoneAnswers, ZoneState,
};
use super::watch::Watch;
use crate::engine::State;
use crate::net::Service;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

/// Everything that is told from.
pub struct Told<'a> {
    /// The sums.
    pub ledger: &'a Ledger,
    /// The last minutes.
    pub history: &'a History,
    /// Who is how, since when.
    pub watch: &'a Watch,
    /// What the main thread says.
    pub pinned: Pinned,
    /// Where clients are served.
    pub places: Vec<(SocketAddr, Service)>,
    /// Queries are taken.
    pub ready: bool,
    /// The time since the last minutes began to be kept.
    pub at: Duration,
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// What one moment has more than another, a second.
struct Between {
    now: Moment,
    before: Moment,
}

impl Between {
    fn per_second(&self, now: u64, before: u64) -> f64 {
        let span = seconds(self.now.at.saturating_sub(self.before.at));
        if span > 0.0 { now.saturating_sub(before) as f64 / span } else { 0.0 }
    }

    /// The same zone or forward at both times.
    fn briefs(&self, account: &Account) -> (Brief, Brief) {
        let key = account.subject();
        let at = |moment: &Moment| moment.briefs.get(&key).cloned().unwrap_or_default();
        (at(&self.now), at(&self.before))
    }
}

impl Told<'_> {
    /// How things stand.
    pub fn status(&self) -> Status {
        let between = |ago| Between {
            now: History::now(self.at, self.ledger),
            before: self.history.before(self.at, ago).cloned().unwrap_or_default(),
        };
        let (lately, minute) = (between(LATELY), between(MINUTE));
        let mut latency = crate::engine::meters::Latency::default();
        latency.add_between(&minute.before.totals.latency, &minute.now.totals.latency);
        let quantile = |share| latency.quantile(share).map(seconds);
        let rate = |of: fn(&Moment) -> u64| lately.per_second(of(&lately.now), of(&lately.before));
        let accounts = self.ledger.accounts.iter();
        let zones = accounts.clone().filter(|account| !account.is_forward);
        let forwards = accounts.filter(|account| account.is_forward);
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            now: unix(SystemTime::now()),
            started: unix(self.pinned.started),
            pid: std::process::id(),
            workers: self.ledger.gauges.workers as u32,
            ready: self.ready,
            listen: self.places.iter().map(listener).collect(),
            config: Config {
                source: self.pinned.source.clone(),
                loaded: unix(self.pinned.loaded),
                reloads: self.pinned.reloads,
                failures: self.pinned.failures,
                last_error: self.pinned.last_error.clone(),
            },
            rates: Rates {
                queries: rate(|moment| moment.answered[0]),
                failed: rate(|moment| moment.totals.failed),
                from_cache: rate(|moment| moment.answered[1]),
            },
            in_flight: self.ledger.gauges.queries_in_flight as u64,
            memory: Process::this().map_or(0, |process| process.memory),
            latency: Latency { p50: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99) },
            history: self.chart(),
            zones: zones.map(|account| self.zone(account, &lately, &minute)).collect(),
            forwards: forwards.map(|account| self.forward(account, &lately)).collect(),
            events: self.pinned.events.iter().cloned().collect(),
        }
    }

    fn chart(&self) -> Chart {
        let mut chart = Chart {
            step: STEP as f64,
            // The clock may have been set since the start.
            end: unix(SystemTime::now()) - seconds(self.at.saturating_sub(self.history.end())),
            ..Chart::default()
        };
        for point in self.history.points() {
            let span = seconds(point.span);
            chart.queries.push(point.answered as f64 / span);
            chart.incomplete.push(point.incomplete as f64 / span);
            chart.failed.push(point.failed as f64 / span);
            chart.p99.push(point.latency.quantile(0.99).map(seconds));
        }
        chart
    }

    fn zone(&self, account: &Account, lately: &Between, minute: &Between) -> Zone {
        let (now, before) = lately.briefs(account);
        let (_, minute_ago) = minute.briefs(account);
        let grown =
            |n: usize, before: &Brief| now.completeness[n].saturating_sub(before.completeness[n]);
        let worst = [(3, ZoneState::Failed), (2, ZoneState::Partial), (1, ZoneState::Stale)];
        let worst = worst.into_iter().chain([(0, ZoneState::Whole)]);
        let state = worst.into_iter().find(|(n, _)| grown(*n, &before) > 0);
        let clusters = account.clusters.iter().enumerate().map(|(n, cluster)| {
            let (state, since) = self.watch.cluster(account, cluster);
            let at = |brief: &Brief, kind: usize| brief.clusters.get(n).map_or(0, |c| c[kind]);
            let of = |kind: usize| at(&now, kind).saturating_sub(at(&minute_ago, kind));
            let stale = of(1);
            Cluster {
                suffix: cluster.suffix.clone(),
                prefix: cluster.prefix.clone(),
                state,
                since: since.map(unix),
                answers: ClusterAnswers { fresh: of(0), stale, missing: of(2) },
                stale_age: (stale > 0).then(|| account.meter.clusters[n].ages.last as f64),
                servers: self.servers(account, n, lately),
            }
        });
        Zone {
            name: account.name.clone(),
            queries: lately.per_second(now.queries, before.queries),
            state: state.map_or(ZoneState::Idle, |(_, state)| state),
            answers: ZoneAnswers {
                whole: grown(0, &minute_ago),
                stale: grown(1, &minute_ago),
                partial: grown(2, &minute_ago),
                failed: grown(3, &minute_ago),
            },
            clusters: clusters.collect(),
        }
    }

    fn forward(&self, account: &Account, lately: &Between) -> Forward {
        let (now, before) = lately.briefs(account);
        Forward {
            name: account.name.clone(),
            queries: lately.per_second(now.queries, before.queries),
            servers: self.servers(account, 0, lately),
        }
    }

    /// The servers of a cluster, with what this cluster asked of them.
    fn servers(&self, account: &Account, cluster: usize, lately: &Between) -> Vec<Server> {
        let (now, before) = lately.briefs(account);
        let first: usize = account.clusters[..cluster].iter().map(|c| c.servers.len()).sum();
        let names = account.clusters[cluster].servers.iter().enumerate();
        let servers = names.filter_map(|(n, name)| {
            let at = |brief: &Brief| brief.servers.get(first + n).copied().unwrap_or_default();
            let (now, before) = (at(&now), at(&before));
            let known = self.ledger.servers.get(name)?;
            Some(Server {
                queries: lately.per_second(now[0], before[0]),
                failures: lately.per_second(now[1], before[1]),
                ..server(known)
            })
        });
        servers.collect()
    }
}

fn listener((addr, service): &(SocketAddr, Service)) -> Listener {
    let service = match service {
        Service::Plain => "udp+tcp",
        Service::Tls => "tls",
    };
    Listener { addr: addr.to_string(), service: service.into() }
}

fn server(known: &ServerAccount) -> Server {
    Server {
        addr: known.server.addr.to_string(),
        transport: if known.server.tls.is_some() { "tls" } else { "udp" }.into(),
        state: match known.state {
            State::Up => ServerState::Up,
            State::Out => ServerState::Out,
            State::Unknown => ServerState::Unknown,
        },
        since: known.since.map(unix),
        rtt: known.rtt.map(seconds),
        besieged: known.besieged,
        heard: known.heard.map(unix),
        ..Server::default()
    }
}
#[cfg(test)]
mod tests;
