//! `/status.json`: how things stand, for people and programs. The daemon writes
//! these types, `gathersrv top` and the page read them.
//!
//! Times are unix seconds. Rates are per second, over the last ten seconds.
//! Fields that a reader does not know are ignored, and those that are missing
//! have their default, so that neither side has to be the newer one.

use serde::{Deserialize, Serialize};

/// Everything at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// When this was written.
    pub now: f64,
    /// When the daemon started.
    pub started: f64,
    /// Its process.
    pub pid: u32,
    /// Worker threads.
    pub workers: u32,
    /// What `/ready` says.
    pub ready: bool,
    /// Where it serves.
    pub listen: Vec<Listener>,
    /// Where its configuration comes from.
    pub config: Config,
    /// Queries of all clients.
    pub rates: Rates,
    /// Queries that are not answered yet.
    pub in_flight: u64,
    /// Resident memory, in octets.
    pub memory: u64,
    /// From a query to its answer.
    pub latency: Latency,
    /// The last minutes.
    pub history: History,
    /// Zones behind which clusters are gathered.
    pub zones: Vec<Zone>,
    /// Names outside every zone.
    pub forwards: Vec<Forward>,
    /// What happened, newest first, at most a hundred.
    pub events: Vec<Event>,
}

/// A socket that clients reach.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listener {
    /// Address and port.
    pub addr: String,
    /// `udp+tcp` or `tls`.
    pub service: String,
}

/// What is known of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// `flags`, or the Corefile's path.
    pub source: String,
    /// When the one that is served was read.
    pub loaded: f64,
    /// How often another one was taken up since the start.
    pub reloads: u64,
    /// How often one was turned down.
    pub failures: u64,
    /// Why the last one was turned down, if it was.
    pub last_error: Option<String>,
}

/// Queries per second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rates {
    /// All of them.
    pub queries: f64,
    /// Those answered SERVFAIL.
    pub failed: f64,
    /// Those answered from memory.
    pub from_cache: f64,
}

/// Quantiles in seconds; null if there were no queries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// The median.
    pub p50: Option<f64>,
    /// Of ten queries nine are not slower.
    pub p90: Option<f64>,
    /// Of a hundred queries one is slower.
    pub p99: Option<f64>,
}

/// The last minutes, oldest first, at most 150 points.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// Seconds from one point to the next.
    pub step: f64,
    /// When the last point ends.
    pub end: f64,
    /// Queries per second.
    pub queries: Vec<f64>,
    /// Of them, answers that were stale or partial.
    pub incomplete: Vec<f64>,
    /// Of them, failures.
    pub failed: Vec<f64>,
    /// The 99th percentile in seconds; null where there were no queries.
    pub p99: Vec<Option<f64>>,
}

/// A zone that clients ask, and the clusters behind it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Zone {
    /// Its name, with the last dot.
    pub name: String,
    /// Queries per second.
    pub queries: f64,
    /// The worst answer of the last ten seconds.
    pub state: ZoneState,
    /// Answers of the last minute.
    pub answers: ZoneAnswers,
    /// Who is asked.
    pub clusters: Vec<Cluster>,
}

/// How complete a zone's answers are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ZoneState {
    /// Every cluster is in every answer.
    Whole,
    /// Last good answers filled in.
    Stale,
    /// Clusters were left out.
    Partial,
    /// There were failures.
    Failed,
    /// No gathered answer in the last ten seconds.
    #[default]
    #[serde(other)]
    Idle,
}

/// Answers of a zone, by how complete they were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ZoneAnswers {
    /// With every cluster.
    pub whole: u64,
    /// With a last good answer for some cluster.
    pub stale: u64,
    /// Without some cluster.
    pub partial: u64,
    /// SERVFAIL.
    pub failed: u64,
}

/// A cluster of a zone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cluster {
    /// Its own zone.
    pub suffix: String,
    /// What marks its names.
    pub prefix: String,
    /// Whether it can be asked.
    pub state: ClusterState,
    /// Since when; null if nothing is known.
    pub since: Option<f64>,
    /// Its part in the answers of the last minute.
    pub answers: ClusterAnswers,
    /// Age in seconds of the stale data that was given last, if any was in the last minute.
    pub stale_age: Option<f64>,
    /// Its DNS servers.
    pub servers: Vec<Server>,
}

/// How a cluster is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClusterState {
    /// No server is out.
    Up,
    /// Some server is out.
    Degraded,
    /// Every server is out.
    Down,
    /// Nothing was heard or missed yet.
    #[default]
    #[serde(other)]
    Unknown,
}

/// What a cluster gave to answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterAnswers {
    /// Its own answer.
    pub fresh: u64,
    /// Its last good answer.
    pub stale: u64,
    /// Nothing.
    pub missing: u64,
}

/// A DNS server of a cluster or a forward.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Server {
    /// Address and port.
    pub addr: String,
    /// `udp` or `tls`.
    pub transport: String,
    /// Whether it is asked.
    pub state: ServerState,
    /// Since when; null if nothing is known.
    pub since: Option<f64>,
    /// Smoothed round trip in seconds.
    pub rtt: Option<f64>,
    /// Sub-questions per second.
    pub queries: f64,
    /// Of them without a usable answer.
    pub failures: f64,
    /// Somebody guesses at its answers, so it is asked over TCP.
    pub besieged: bool,
    /// When it last answered.
    pub heard: Option<f64>,
}

/// How a server is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerState {
    /// It answers.
    Up,
    /// It is taken out, and probed.
    Out,
    /// Nothing was heard or missed yet.
    #[default]
    #[serde(other)]
    Unknown,
}

/// Servers for names outside every zone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Forward {
    /// The zone that is forwarded.
    pub name: String,
    /// Queries per second.
    pub queries: f64,
    /// Who is asked.
    pub servers: Vec<Server>,
}

/// Something that happened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// When.
    pub at: f64,
    /// How much it matters.
    pub level: Level,
    /// What, in a line.
    pub text: String,
}

/// How much an event matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Somebody should see to it.
    Warn,
    /// Something does not work.
    Error,
    /// Good to know.
    #[default]
    #[serde(other)]
    Info,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_or_older_daemon_can_be_read() {
        let text = r#"{"version":"9","weather":"fine","zones":[{"name":"z.","state":"whole",
            "clusters":[{"suffix":"a.","state":"molten","servers":[{"state":"out","since":null}]}]}]}"#;
        let status: Status = serde_json::from_str(text).unwrap();
        assert_eq!(status.zones[0].state, ZoneState::Whole);
        let cluster = &status.zones[0].clusters[0];
        assert_eq!(cluster.state, ClusterState::Unknown);
        assert_eq!(cluster.servers[0].state, ServerState::Out);
        let again = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&again).unwrap(), status);
    }
}
