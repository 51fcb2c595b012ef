//! The plan: everything the daemon needs to know about what it serves, checked
//! and immutable. Workers share it and never ask anything else.

use super::admin_at::AdminAt;
use super::index::NameIndex;
use super::server::Server;
use super::taps::Endpoint;
use crate::wire::name::{FlatName, Suffix};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

/// What is done about a cluster that is missing from a positive answer (M6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnMissing {
    /// Its last good answer fills in where one is held; else as `Partial`.
    #[default]
    Stale,
    /// The answer goes out without it, and says so (EDE 23).
    Partial,
    /// SERVFAIL: no answer is better than half of one.
    Fail,
}

/// Which of a cluster's servers is asked first (U3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// The first that is not out; the others when it fails.
    #[default]
    Sequential,
    /// Each in turn.
    RoundRobin,
    /// Any.
    Random,
}

/// What a truncated answer carries (T1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Truncated {
    /// The whole records that fit.
    #[default]
    Records,
    /// None: the client has to ask again over TCP anyway.
    Empty,
}

/// The deadlines that make sense: shorter than a cluster's round trip, or longer
/// than any client waits, is a mistake.
pub const DEADLINES: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(60);

/// The longest time to go on after the daemon was told to stop: longer than any
/// orchestrator waits is a mistake.
pub const LAME_DUCKS: Duration = Duration::from_secs(600);

/// How the questions for one zone or forward are dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    /// Every query is answered this long after it came, at the latest.
    pub deadline: Duration,
    /// What is done about missing clusters.
    pub on_missing: OnMissing,
    /// Fewer clusters than this make a positive answer SERVFAIL.
    pub min_clusters: usize,
    /// For how long a cluster that had records is not believed when it says it
    /// has none.
    pub keep_on_empty: Duration,
    /// How old a last good answer may be.
    pub keep_for: Duration,
    /// The longest time an answer is given again, whatever its TTLs;
    /// 0 for not at all.
    pub cache_for: Duration,
    /// Which server is asked first.
    pub policy: Policy,
}

impl Default for Behaviour {
    fn default() -> Self {
        Behaviour {
            // HAProxy and the JVM's resolver give up after one second (T5).
            deadline: Duration::from_millis(800),
            on_missing: OnMissing::default(),
            min_clusters: 0,
            // RFC 8767, 5, allows a day; the services this is for move faster.
            cache_for: Duration::from_secs(3600),
            keep_for: Duration::from_secs(86_400),
            keep_on_empty: Duration::ZERO,
            policy: Policy::default(),
        }
    }
}

/// The certificate and key that TLS clients are shown: files in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and those between it and its authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What holds for all that is served together.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What zones and forwards do that say nothing else.
    pub behaviour: Behaviour,
    /// Where UDP and TCP are served.
    pub listen: Vec<SocketAddr>,
    /// Where TLS is served (RFC 7858).
    pub listen_tls: Vec<SocketAddr>,
    /// Who we are there.
    pub identity: Option<Identity>,
    /// Where the admin server is reached, over HTTP; it is off if nowhere.
    pub admin: Vec<AdminAt>,
    /// For so long everything goes on after the daemon was told to stop, but that
    /// it says that it is not ready.
    pub lame_duck: Duration,
    /// Who may ask; everybody if nobody is named.
    pub allow: Vec<IpNet>,
    /// UDP answers a second to one client network; 0 for no limit.
    pub answer_rate: u32,
    /// UDP queries a second from all clients that have no cookie; more of them
    /// have to get one, or come over TCP. 0 for no limit.
    pub cookies_above: u32,
    /// TCP and TLS connections of clients in all.
    pub max_tcp: usize,
    /// The same of one client address.
    pub max_tcp_per_client: usize,
    /// Workers: threads, each with sockets of its own.
    pub workers: NonZeroUsize,
    /// The largest UDP message sent to a client, in octets, 512 to 4096.
    pub max_udp_payload: u16,
    /// The longest TTL, in seconds, in an answer that lacks a cluster.
    pub incomplete_ttl: u32,
    /// What a truncated answer carries.
    pub truncated: Truncated,
    /// Merged answers kept for giving again, over all workers; 0 for none.
    pub cache: usize,
    /// Last good answers kept for when a cluster is missing, over all workers;
    /// 0 for none.
    pub keep: usize,
    /// Queries in flight, over all workers; more are answered SERVFAIL.
    pub max_queries: usize,
    /// Queries in flight from one client address; 0 for no limit.
    pub max_queries_per_client: usize,
    /// Questions a server may leave unanswered in a row before it is taken
    /// out; 0 never takes it out.
    pub max_fails: u32,
    /// Listeners are shared with a process that serves there now, and will stop.
    pub take_over: bool,
    /// One of so many answers is logged; none if there is no number.
    pub query_log: Option<NonZeroU32>,
    /// Who gets a copy of every packet.
    pub dnstap: Option<Endpoint>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            behaviour: Behaviour::default(),
            listen: Vec::new(),
            listen_tls: Vec::new(),
            identity: None,
            admin: Vec::new(),
            lame_duck: Duration::ZERO,
            allow: Vec::new(),
            answer_rate: 0,
            cookies_above: 0,
            // A connection costs some ten kilobytes, one over TLS forty.
            max_tcp: 1024,
            // A resolver pool behind one address needs a few, and eight
            // addresses have to gang up to shut others out.
            max_tcp_per_client: 128,
            workers: NonZeroUsize::MIN,
            max_udp_payload: crate::wire::edns::DEFAULT_PAYLOAD,
            // Long enough to be of use, short enough to be gone soon (M6).
            incomplete_ttl: 5,
            truncated: Truncated::default(),
            cache: 10_000,
            keep: 10_000,
            // One deadline's worth of 80,000 queries a second, all of them
            // waiting for a cluster that is silent.
            max_queries: 65_536,
            max_queries_per_client: 0,
            max_fails: 2,
            take_over: false,
            query_log: None,
            dnstap: None,
        }
    }
}

/// A cluster's DNS as one zone sees it.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The zone the cluster's own names are under.
    pub suffix: Suffix,
    /// What marks the cluster in our names: 1 to 62 octets of one label.
    pub prefix: Box<[u8]>,
    /// Its servers, as indices into [`Plan::servers`]; at least one.
    pub servers: Vec<usize>,
    /// How operators and EDE texts call it: suffix and prefix as configured.
    pub label: String,
    /// Its questions' letters change their case at random (0x20).
    pub random_case: bool,
}

/// A distributed zone: asked of every cluster, answered as one.
#[derive(Debug, Clone)]
pub struct Zone {
    /// The zone's name, as configured.
    pub name: Suffix,
    /// The clusters behind it, in the order of their answers (M1).
    pub clusters: Vec<Cluster>,
    /// RDATA names of the synthesised SOA and NS (Q8).
    pub primary: Suffix,
    /// The mailbox of the synthesised SOA.
    pub mailbox: Suffix,
    /// How its questions are dealt with.
    pub behaviour: Behaviour,
}

impl Zone {
    /// The cluster that a name in a reply of the cluster `answering` belongs to
    /// (R2), and how many labels the name has in front of its suffix: the
    /// answering one, else that with the closest suffix, of equal ones the first.
    pub fn owner_of(&self, name: &FlatName, answering: usize) -> Option<(usize, usize)> {
        if name.labels() == 0 {
            // The root says "nothing" in RDATA, also where it is a suffix.
            return None;
        }
        if let Some(kept) = name.under(&self.clusters[answering].suffix) {
            return Some((kept, answering));
        }
        let clusters = self.clusters.iter().enumerate();
        let others = clusters.filter_map(|(n, other)| Some((name.under(&other.suffix)?, n)));
        others.min_by_key(|&(kept, _)| kept)
    }
}

/// Servers for names outside every zone (Q7).
#[derive(Debug, Clone)]
pub struct Forward {
    /// Names at or under this one are forwarded.
    pub name: Suffix,
    /// Indices into [`Plan::servers`], in order of preference; at least one.
    pub servers: Vec<usize>,
    /// How its questions are dealt with.
    pub behaviour: Behaviour,
    /// Its questions' letters change their case at random (0x20).
    pub random_case: bool,
}

/// Where a question goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// To the zone with this index.
    Zone(usize),
    /// To the forward with this index.
    Forward(usize),
}

/// Everything there is to know, checked.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What holds for all zones.
    pub settings: Settings,
    /// The distributed zones.
    pub zones: Vec<Zone>,
    /// The forwards.
    pub forwards: Vec<Forward>,
    /// Every server named anywhere, once.
    pub servers: Vec<Server>,
    /// What the operator should know but need not mend.
    pub warnings: Vec<String>,
    zone_index: NameIndex,
    forward_index: NameIndex,
    /// Zones, and clusters' suffixes.
    ours: NameIndex,
}

impl Plan {
    pub(super) fn new(
        settings: Settings,
        zones: Vec<Zone>,
        forwards: Vec<Forward>,
        servers: Vec<Server>,
        warnings: Vec<String>,
    ) -> Self {
        let zone_index = NameIndex::new(zones.iter().map(|zone| &zone.name));
        let forward_index = NameIndex::new(forwards.iter().map(|forward| &forward.name));
        let suffixes = zones.iter().flat_map(|zone| &zone.clusters).map(|cluster| &cluster.suffix);
        // Under the root is everything, and it says nothing about any name.
        let suffixes = suffixes.filter(|suffix| suffix.labels() > 0);
        let ours = NameIndex::new(zones.iter().map(|zone| &zone.name).chain(suffixes));
        Plan { settings, zones, forwards, servers, warnings, zone_index, forward_index, ours }
    }

    /// Whether a name, in lower case, is in any zone, or under the suffix of a
    /// cluster of any zone.
    pub fn is_ours(&self, name: &FlatName) -> bool {
        self.ours.longest(name).is_some()
    }

    /// Where a name, in lower case, is routed; `None` if we do not serve it.
    pub fn route(&self, name: &FlatName) -> Option<Route> {
        let zone = self.zone_index.longest(name).map(Route::Zone);
        zone.or_else(|| self.forward_index.longest(name).map(Route::Forward))
    }

    /// How the questions of a route are dealt with.
    pub fn behaviour(&self, route: Route) -> &Behaviour {
        match route {
            Route::Zone(zone) => &self.zones[zone].behaviour,
            Route::Forward(forward) => &self.forwards[forward].behaviour,
        }
    }

    /// The files it names: certificates and keys.
    pub fn files(&self) -> Vec<PathBuf> {
        let identity = self.settings.identity.iter();
        let own = identity.flat_map(|identity| [identity.cert.clone(), identity.key.clone()]);
        let servers = self.servers.iter().filter_map(|server| server.tls.as_ref()?.ca.clone());
        own.chain(servers).collect()
    }

    /// Whether a client may ask.
    pub fn allows(&self, client: IpAddr) -> bool {
        let allow = &self.settings.allow;
        allow.is_empty() || allow.iter().any(|net| net.contains(&client.to_canonical()))
    }

    /// The longest time any query may take.
    pub fn longest_deadline(&self) -> Duration {
        let zones = self.zones.iter().map(|zone| &zone.behaviour);
        let all = zones.chain(self.forwards.iter().map(|forward| &forward.behaviour));
        all.map(|behaviour| behaviour.deadline).max().unwrap_or_default()
    }
}
