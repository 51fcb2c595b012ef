//! `/metrics`: the ledger in the text format of Prometheus. Every label value is
//! configured or one of a fixed set; nothing that strangers choose is one.

use super::Sources;
use super::accounts::{Account, ClusterName};
use super::board::{Pinned, unix};
use super::ledger::Ledger;
use crate::engine::meters::{AGES, Ages, Latency, RCODES};
use crate::engine::{Holding, State};
use crate::tap::TapCounts;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fmt;

/// The zone that questions for none are counted under.
const NO_ZONE: &str = "none";

/// The rcode of a sub-question that was not answered.
const NO_RCODE: &str = "none";

/// All that is exposed, at one time.
#[derive(Debug)]
struct Exposition {
    ledger: Ledger,
    pinned: Pinned,
    taps: TapCounts,
    process: Option<Process>,
}

/// What the system knows of the process.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    /// Octets of memory that are resident.
    pub memory: u64,
    cpu_seconds: f64,
    open_files: u64,
    max_files: u64,
}

impl Process {
    /// This process, as it is now; nothing where the system does not say.
    pub fn this() -> Option<Self> {
        let own = procfs::process::Process::myself().ok()?;
        let stat = own.stat().ok()?;
        let ticks = procfs::ticks_per_second();
        let most = rlimit::Resource::NOFILE.get().map_or(0, |(soft, _)| soft);
        Some(Process {
            memory: stat.rss * procfs::page_size(),
            cpu_seconds: (stat.utime + stat.stime) as f64 / ticks as f64,
            open_files: own.fd_count().ok()? as u64,
            max_files: most,
        })
    }
}

/// The text.
pub fn text(sources: &Sources, ledger: Ledger) -> Result<String, fmt::Error> {
    let (pinned, taps) = (sources.board.read(), sources.taps.clone());
    let process = Process::this();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Exposition { ledger, pinned, taps, process }));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry)?;
    Ok(text)
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

/// A family of counts whose samples are added up where their labels are equal.
struct Sums<'a>(BTreeMap<Labels<'a>, u64>);

impl<'a> Sums<'a> {
    fn new() -> Self {
        Sums(BTreeMap::new())
    }

    fn add(&mut self, labels: Labels<'a>, count: u64) {
        *self.0.entry(labels).or_default() += count;
    }

    fn write(
        self,
        out: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        kind: MetricType,
    ) -> fmt::Result {
        let mut family = out.encode_descriptor(name, help, None, kind)?;
        for (labels, count) in self.0 {
            let mut metric = family.encode_family(&labels)?;
            match kind {
                MetricType::Counter => {
                    metric.encode_counter::<NoLabelSet, u64, f64>(&count, None)?
                }
                _ => metric.encode_gauge(&i64::try_from(count).unwrap_or(i64::MAX))?,
            }
        }
        Ok(())
    }
}

fn counter(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, count: u64) -> fmt::Result {
    let mut metric = out.encode_descriptor(name, help, None, MetricType::Counter)?;
    metric.encode_counter::<NoLabelSet, u64, f64>(&count, None)
}

fn gauge(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> fmt::Result {
    let mut metric = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
    metric.encode_gauge(&value)
}

/// Buckets with their bounds in seconds, the last without.
fn latency_buckets(latency: &Latency) -> Vec<(f64, u64)> {
    let bounds = Latency::bounds().map(|bound| bound.as_secs_f64());
    bounds.chain(std::iter::once(f64::INFINITY)).zip(latency.buckets).collect()
}

impl Exposition {
    /// Zones and forwards, by the name they are counted under, with what they had
    /// counted before they were changed: no sum becomes smaller by that.
    fn accounts(&self) -> impl Iterator<Item = (&str, &Account)> {
        let accounts = self.ledger.accounts.iter().chain(&self.ledger.past);
        accounts.map(|account| (account.name.as_str(), account))
    }

    fn clusters(&self) -> impl Iterator<Item = (Labels<'_>, &Account, usize, &ClusterName)> {
        self.accounts().flat_map(|(zone, account)| {
            account.clusters.iter().enumerate().map(move |(n, cluster)| {
                let labels = vec![
                    ("zone", zone),
                    ("cluster", cluster.suffix.as_str()),
                    ("prefix", cluster.prefix.as_str()),
                ];
                (labels, account, n, cluster)
            })
        })
    }

    fn queries(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut queries = Sums::new();
        let meters = self.accounts().map(|(zone, account)| (zone, &account.meter));
        for (zone, meter) in meters.chain(std::iter::once((NO_ZONE, &self.ledger.stray))) {
            for ([qtype, transport, rcode], count) in meter.queries() {
                let labels = vec![
                    ("zone", zone),
                    ("type", qtype),
                    ("transport", transport),
                    ("rcode", rcode),
                ];
                queries.add(labels, count);
            }
        }
        let help = "Answers to clients, by the zone or forward that the name belongs to";
        queries.write(out, "gathersrv_queries", help, MetricType::Counter)?;
        let help = "From a query's coming to its answer";
        let name = "gathersrv_query_duration_seconds";
        let mut family = out.encode_descriptor(name, help, None, MetricType::Histogram)?;
        let mut by_zone: BTreeMap<&str, Latency> = BTreeMap::new();
        for (zone, account) in self.accounts() {
            let own = by_zone.entry(zone).or_default();
            own.add_between(&Latency::default(), &account.meter.latency);
        }
        for (zone, latency) in by_zone {
            let labels = [("zone", zone)];
            let count = latency.buckets.iter().sum();
            let sum = latency.micros as f64 / 1e6;
            let buckets = latency_buckets(&latency);
            family
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        let mut answers = Sums::new();
        for (zone, account) in self.accounts().filter(|(_, account)| !account.is_forward) {
            let names = ["whole", "stale", "partial", "failed"];
            for (name, count) in names.into_iter().zip(account.meter.completeness) {
                answers.add(vec![("zone", zone), ("completeness", name)], count);
            }
        }
        let help = "Gathered answers, by whether every cluster is in them";
        answers.write(out, "gathersrv_answers", help, MetricType::Counter)
    }

    fn of_clusters(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (mut outcomes, mut up, mut asked) = (Sums::new(), BTreeMap::new(), Sums::new());
        let mut ages: BTreeMap<Labels<'_>, Ages> = BTreeMap::new();
        for (labels, account, n, cluster) in self.clusters() {
            let meter = &account.meter.clusters[n];
            for (server, counts) in cluster.servers.iter().zip(&meter.servers) {
                let rcodes = RCODES.iter().map(|(_, name)| *name).chain(std::iter::once(NO_RCODE));
                for (rcode, &count) in rcodes.zip(counts).filter(|(_, count)| **count > 0) {
                    let mut labels = labels.clone();
                    labels.extend([("server", server.as_str()), ("rcode", rcode)]);
                    asked.add(labels, count);
                }
            }
            if account.is_forward {
                continue;
            }
            let names = ["fresh", "stale", "missing"];
            for (name, count) in names.into_iter().zip([meter.fresh, meter.stale, meter.missing]) {
                let mut labels = labels.clone();
                labels.push(("outcome", name));
                outcomes.add(labels, count);
            }
            let mut states = self.ledger.servers_of(cluster).map(|server| server.state);
            let alive = states.any(|state| state != State::Out);
            // Blocks that share the names share the series: it is down if one is.
            let up = up.entry(labels.clone()).or_insert(1);
            *up = u64::from(alive).min(*up);
            ages.entry(labels).or_default().add_between(&Ages::default(), &meter.ages);
        }
        let help = "What a cluster gave to gathered answers";
        outcomes.write(out, "gathersrv_cluster_answers", help, MetricType::Counter)?;
        let help = "How old the last good answers were that filled in for a cluster";
        let name = "gathersrv_cluster_stale_age_seconds";
        let mut family = out.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, ages) in ages {
            let bounds = AGES.iter().map(|&bound| bound as f64);
            let buckets: Vec<(f64, u64)> =
                bounds.chain(std::iter::once(f64::INFINITY)).zip(ages.buckets).collect();
            let count = ages.buckets.iter().sum();
            let sum = ages.seconds as f64;
            family
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        let help = "Whether a server of the cluster can be asked: 0 if all are out";
        Sums(up).write(out, "gathersrv_cluster_up", help, MetricType::Gauge)?;
        let help = "What sub-questions came to; rcode none: no answer";
        asked.write(out, "gathersrv_subqueries", help, MetricType::Counter)
    }

    fn of_servers(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let servers: BTreeMap<_, _> = self.ledger.servers.iter().collect();
        let (mut up, mut besieged) = (Sums::new(), Sums::new());
        for (name, server) in &servers {
            up.add(vec![("server", name)], u64::from(server.state != State::Out));
            besieged.add(vec![("server", name)], u64::from(server.besieged));
        }
        let help = "Whether the server is asked: 0 if it left questions unanswered";
        up.write(out, "gathersrv_server_up", help, MetricType::Gauge)?;
        let help = "Whether it is asked over TCP because somebody guesses at its answers";
        besieged.write(out, "gathersrv_server_besieged", help, MetricType::Gauge)?;
        let help = "How long a server's answers took, to questions that were sent once";
        let name = "gathersrv_server_rtt_seconds";
        let mut family = out.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (name, server) in servers {
            let labels = [("server", name.as_str())];
            let count = server.latency.buckets.iter().sum();
            let sum = server.latency.micros as f64 / 1e6;
            let buckets = latency_buckets(&server.latency);
            family
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn counters(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let c = &self.ledger.counters;
        for (name, help, count) in [
            ("cache_hits", "Queries answered from memory", c.hits),
            ("cache_refreshes", "Questions asked again ahead of time", c.refreshed),
            ("cache_evictions", "Kept answers that made room for others", self.ledger.evictions),
            ("unchanged", "Answers not merged anew: all clusters said what they had", c.unchanged),
            ("coalesced", "Queries that joined an equal one in flight", c.shared),
            ("truncated", "Answers that did not fit their datagram", c.truncated),
            (
                "truncated_replies",
                "Clusters' truncated replies, asked again over TCP",
                c.truncated_replies,
            ),
            ("subqueries_sent", "Sub-questions sent, repeats included", c.asked),
            ("retransmitted", "Sub-questions sent again for want of an answer", c.retransmitted),
            ("failed_subqueries", "Sub-questions that no server answered properly", c.failed),
            ("exhausted", "Sub-questions not sent because every ID was taken", c.exhausted),
            ("unexpected", "Replies to no question in flight: late, or forged", c.unexpected),
            ("mismatched", "Replies with the right ID and the wrong rest", c.mismatched),
            ("suspect", "Replies that only a forger sends", c.suspect),
            ("sieges", "Times a server came to be asked over TCP because of forgers", c.sieges),
            ("malformed", "Replies that break the wire format", c.malformed),
            (
                "refused",
                "Queries refused: class, transfer, client, or no zone for the name",
                c.refused,
            ),
            ("unreadable", "Queries answered FORMERR, NOTIMP or BADVERS", c.unreadable),
            ("not_queries", "Packets of clients that were no queries", c.not_queries),
            ("loops", "Questions of our own that came back", c.loops),
            ("rate_limited", "Answers not given because a network had too many", c.rate_limited),
            ("unproven", "Queries whose client had to get a cookie or come over TCP", c.unproven),
            ("overloaded", "Queries refused: too many were in flight in all", c.overloaded),
            (
                "client_limited",
                "Queries refused: their client had too many in flight",
                c.client_limited,
            ),
            (
                "cut_over_stream",
                "Answers over TCP or TLS with records left out: larger than 65535 octets",
                c.cut_over_stream,
            ),
            ("too_long", "Records left out because a rewritten name was too long", c.too_long),
            (
                "foreign",
                "Records left out: about a name their cluster does not speak for",
                c.foreign,
            ),
            ("servers_taken_out", "Times a server was taken out", c.taken_out),
            ("probes", "Probes of servers that are out or idle", c.probes),
            (
                "unsent",
                "Answers over UDP that could not be sent: no room, or no way to the client",
                self.ledger.unsent,
            ),
            (
                "connections_turned_away",
                "Connections closed at once: too many",
                self.ledger.turned_away,
            ),
            ("reloads", "Configurations taken up since the start", self.pinned.reloads),
            ("reload_failures", "Configurations turned down since the start", self.pinned.failures),
        ] {
            counter(out, &format!("gathersrv_{name}"), help, count)?;
        }
        Ok(())
    }

    /// Last good answers.
    fn holding(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let holding = &self.ledger.holding;
        let (mut entries, mut octets, mut evictions) = (Sums::new(), Sums::new(), Sums::new());
        for (n, kind) in Holding::KINDS.into_iter().enumerate() {
            let labels = || vec![("kind", kind)];
            entries.add(labels(), holding.entries[n] as u64);
            octets.add(labels(), holding.octets[n] as u64);
            evictions.add(labels(), holding.evictions[n]);
        }
        let help = "What is held of clusters for when they are missing";
        entries.write(out, "gathersrv_last_good_entries", help, MetricType::Gauge)?;
        let help = "Octets of what is held of clusters for when they are missing";
        octets.write(out, "gathersrv_last_good_bytes", help, MetricType::Gauge)?;
        let help = "What was held of clusters and made room for others";
        evictions.write(out, "gathersrv_last_good_evictions", help, MetricType::Counter)
    }

    fn gauges(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let g = &self.ledger.gauges;
        let good = u64::from(self.pinned.last_error.is_none());
        for (name, help, value) in [
            ("workers", "Worker threads", g.workers as u64),
            (
                "in_flight_queries",
                "Queries that wait for clusters; equal ones are one",
                g.queries_in_flight as u64,
            ),
            ("in_flight_subqueries", "Sub-questions not settled yet", g.questions_in_flight as u64),
            ("cache_entries", "Questions whose answers are kept", g.kept_entries as u64),
            ("cache_bytes", "Octets of kept answers", g.kept_octets as u64),
            (
                "config_last_reload_successful",
                "Whether the configuration as written is served",
                good,
            ),
        ] {
            gauge(out, &format!("gathersrv_{name}"), help, value as f64)?;
        }
        self.holding(out)?;
        let name = "gathersrv_config_last_reload_success_timestamp_seconds";
        gauge(
            out,
            name,
            "When the configuration that is served was read",
            unix(self.pinned.loaded),
        )?;
        let mut connections = Sums::new();
        for (transport, count) in ["tcp", "tls"].into_iter().zip(g.connections) {
            connections.add(vec![("transport", transport)], count as u64);
        }
        let help = "Clients' connections that are open";
        connections.write(out, "gathersrv_connections", help, MetricType::Gauge)?;
        let mut build = Sums::new();
        build.add(vec![("version", env!("CARGO_PKG_VERSION"))], 1);
        build.write(out, "gathersrv_build_info", "1, labelled with the version", MetricType::Gauge)
    }

    fn of_taps(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let taps = [("query_log", &self.taps.query_log), ("dnstap", &self.taps.dnstap)];
        let (mut written, mut dropped) = (Sums::new(), Sums::new());
        for (tap, counts) in taps {
            written.add(vec![("tap", tap)], counts.written());
            dropped.add(vec![("tap", tap)], counts.dropped());
        }
        let help = "Entries written to the query log and to dnstap";
        written.write(out, "gathersrv_tap_entries", help, MetricType::Counter)?;
        let help = "Entries that were dropped because their reader was too slow or away";
        dropped.write(out, "gathersrv_tap_entries_dropped", help, MetricType::Counter)
    }

    fn process(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let started = unix(self.pinned.started);
        gauge(out, "process_start_time_seconds", "When the process started", started)?;
        let Some(process) = self.process else { return Ok(()) };
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Octets of resident memory", process.memory),
            ("process_open_fds", "Files that are open", process.open_files),
            ("process_max_fds", "Files that may be open", process.max_files),
        ] {
            gauge(out, name, help, value as f64)?;
        }
        let help = "Time on a processor, in user space and in the kernel";
        let mut metric =
            out.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, f64, f64>(&process.cpu_seconds, None)
    }
}

impl Collector for Exposition {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> fmt::Result {
        self.queries(&mut out)?;
        self.of_clusters(&mut out)?;
        self.of_servers(&mut out)?;
        self.counters(&mut out)?;
        self.gauges(&mut out)?;
        self.of_taps(&mut out)?;
        self.process(&mut out)
    }
}

#[cfg(test)]
mod tests;
