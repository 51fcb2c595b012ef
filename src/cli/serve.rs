//! The flags of the daemon, and the draft of a configuration they make.

use super::Written;
use crate::config::{
    Behaviour, ConfigError, DEADLINES, Draft, Endpoint, ForwardDraft, Identity, OnMissing, Policy,
    Settings, ZoneDraft, sample, words,
};
use crate::log::{Log, LogFormat, LogLevel};
use crate::wire::edns::DEFAULT_PAYLOAD;
use clap::{Args, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Flags of the daemon.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// A Corefile, in place of the flags for zones, clusters, forwards and listeners
    #[arg(long, value_name = "FILE", conflicts_with_all = ["listen", "listen_tls", "tls_cert", "tls_key", "zone", "cluster", "forward"])]
    config: Option<PathBuf>,
    /// Where to listen, UDP and TCP; repeatable [default: 127.0.0.1:53 and [::1]:53]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Vec<String>,
    /// Where to listen for DNS over TLS; repeatable; needs --tls-cert and --tls-key
    #[arg(long, value_name = "ADDR:PORT", requires_all = ["tls_cert", "tls_key"])]
    listen_tls: Vec<String>,
    /// The certificate for TLS clients, and those above it, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// A distributed zone; the clusters that follow are behind it; repeatable
    #[arg(long, value_name = "NAME")]
    zone: Vec<String>,
    /// A cluster of the zone: 'SUFFIX PREFIX SERVER... [ca=FILE] [case=random]'; repeatable
    #[arg(long, value_name = "WORDS")]
    cluster: Vec<String>,
    /// Servers for names outside every zone: 'ZONE SERVER...'; repeatable
    #[arg(long, value_name = "WORDS")]
    forward: Vec<String>,
    /// Answer every query within this time
    #[arg(long, value_name = "TIME", default_value = "800ms", value_parser = deadline)]
    deadline: Duration,
    /// What to do when a cluster does not answer
    #[arg(long, value_name = "POLICY", default_value = "stale")]
    on_missing: Missing,
    /// Answer SERVFAIL when fewer clusters than this have answered
    #[arg(long, value_name = "N", default_value_t = 0)]
    min_clusters: usize,
    /// Which server of a cluster to ask first
    #[arg(long, value_name = "POLICY", default_value = "sequential")]
    policy: Order,
    /// Take a server out after it left this many questions unanswered; 0: never
    #[arg(long, value_name = "N", default_value_t = 2)]
    max_fails: u32,
    /// Merged answers to keep and give again; 0: none
    #[arg(long, value_name = "ENTRIES", default_value_t = Settings::default().cache)]
    cache: usize,
    /// Longest time to give an answer again, whatever its TTLs; at most 1h
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = cache_for)]
    cache_for: Duration,
    /// Last good answers to keep for when a cluster is missing; 0: none
    #[arg(long, value_name = "ENTRIES", default_value_t = Settings::default().keep)]
    keep: usize,
    /// How old a last good answer may be
    #[arg(long, value_name = "TIME", default_value = "1day", value_parser = span)]
    keep_for: Duration,
    /// How long not to believe a cluster that had records and says it has none
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = span)]
    keep_on_empty: Duration,
    /// Queries in flight; more are answered SERVFAIL
    #[arg(long, value_name = "N", default_value_t = Settings::default().max_queries)]
    max_queries: usize,
    /// Queries in flight from one client address; 0: no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    max_queries_per_client: usize,
    /// A network that may ask [default: whoever reaches a listener]; repeatable
    #[arg(long, value_name = "NET")]
    allow: Vec<String>,
    /// UDP answers a second to one client network (IPv4 /24, IPv6 /56); 0: no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    rate_limit: u32,
    /// UDP queries a second to answer without a DNS cookie; others need one, or TCP; 0: all
    #[arg(long, value_name = "N", default_value_t = 0)]
    require_cookies_above: u32,
    /// Connections of clients, TCP and TLS
    #[arg(long, value_name = "N", default_value_t = Settings::default().max_tcp)]
    max_tcp: usize,
    /// Connections of one client address
    #[arg(long, value_name = "N", default_value_t = Settings::default().max_tcp_per_client)]
    max_tcp_per_client: usize,
    /// Worker threads [default: the cores]
    #[arg(long, value_name = "N", value_parser = workers)]
    workers: Option<NonZeroUsize>,
    /// Largest UDP answer in octets, 512 to 4096
    #[arg(long, value_name = "OCTETS", default_value_t = DEFAULT_PAYLOAD,
          value_parser = clap::value_parser!(u16).range(512..=4096))]
    max_udp_payload: u16,
    /// What a truncated answer carries: the records that fit, or none
    #[arg(long, value_name = "WHAT", default_value = "records")]
    truncated: Truncated,
    /// What to log, on standard error
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log: LogLevel,
    /// What a line of the log looks like
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// Log queries as they are answered: 1 for every one, 1/100 for one of a hundred, at random
    #[arg(long, value_name = "RATE")]
    query_log: Option<String>,
    /// Send every packet to a collector of dnstap: unix:PATH or tcp:ADDR:PORT
    #[arg(long, value_name = "ENDPOINT")]
    dnstap: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Missing {
    /// Fill in the cluster's last good answer, else leave it out
    Stale,
    /// Answer without it, and say so
    Partial,
    /// Answer SERVFAIL
    Fail,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Order {
    /// The first, and the others when it fails
    Sequential,
    /// Each in turn
    RoundRobin,
    /// Any
    Random,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Truncated {
    /// The whole records that fit
    Records,
    /// None
    Empty,
}

impl Serve {
    /// Where it is written what is to be served, by these flags.
    pub(super) fn written(&self, matches: &clap::ArgMatches) -> Result<Written, ConfigError> {
        let draft = self.draft(matches)?;
        Ok(match &self.config {
            Some(path) => Written::File(path.clone(), draft.settings),
            None => Written::Flags(draft),
        })
    }

    /// What is logged, and how.
    pub(super) fn log(&self) -> Log {
        Log { level: self.log, format: self.log_format }
    }

    fn draft(&self, matches: &clap::ArgMatches) -> Result<Draft, ConfigError> {
        let listen = self.listen.iter().map(|word| words::listen("--listen", word));
        let workers = self.workers.or_else(|| std::thread::available_parallelism().ok());
        let behaviour = Behaviour {
            deadline: self.deadline,
            min_clusters: self.min_clusters,
            cache_for: self.cache_for,
            keep_for: self.keep_for,
            keep_on_empty: self.keep_on_empty,
            on_missing: match self.on_missing {
                Missing::Stale => OnMissing::Stale,
                Missing::Partial => OnMissing::Partial,
                Missing::Fail => OnMissing::Fail,
            },
            policy: match self.policy {
                Order::Sequential => Policy::Sequential,
                Order::RoundRobin => Policy::RoundRobin,
                Order::Random => Policy::Random,
            },
        };
        let listen_tls = self.listen_tls.iter();
        let listen_tls = listen_tls.map(|word| words::listen_tls("--listen-tls", word));
        let allow = self.allow.iter().map(|word| words::network("--allow", word));
        let query_log = self.query_log.as_ref();
        let query_log = query_log.map(|word| sample("--query-log", word)).transpose()?;
        let dnstap = self.dnstap.as_ref();
        let dnstap = dnstap.map(|word| Endpoint::read("--dnstap", word)).transpose()?;
        let identity = self.tls_cert.clone().zip(self.tls_key.clone());
        let settings = Settings {
            behaviour,
            listen: listen.collect::<Result<_, _>>()?,
            listen_tls: listen_tls.collect::<Result<_, _>>()?,
            identity: identity.map(|(cert, key)| Identity { cert, key }),
            allow: allow.collect::<Result<_, _>>()?,
            answer_rate: self.rate_limit,
            cookies_above: self.require_cookies_above,
            max_tcp: self.max_tcp,
            max_tcp_per_client: self.max_tcp_per_client,
            workers: workers.unwrap_or(NonZeroUsize::MIN),
            max_udp_payload: self.max_udp_payload,
            max_fails: self.max_fails,
            query_log,
            dnstap,
            cache: self.cache,
            keep: self.keep,
            max_queries: self.max_queries,
            max_queries_per_client: self.max_queries_per_client,
            truncated: match self.truncated {
                Truncated::Records => crate::config::Truncated::Records,
                Truncated::Empty => crate::config::Truncated::Empty,
            },
            ..Settings::default()
        };
        let mut zones: Vec<ZoneDraft> = self
            .zone
            .iter()
            .map(|name| ZoneDraft {
                place: format!("--zone {name}"),
                name: name.clone(),
                clusters: Vec::new(),
                behaviour: None,
            })
            .collect();
        let places = |id| matches.indices_of(id).map(Iterator::collect::<Vec<_>>);
        let zone_places = places("zone").unwrap_or_default();
        let cluster_places = places("cluster").unwrap_or_default();
        for (line, place) in self.cluster.iter().zip(cluster_places) {
            // With one zone the order of the flags does not matter.
            let before = zone_places.iter().filter(|&&zone| zone < place).count();
            let owner = if zones.len() == 1 { Some(0) } else { before.checked_sub(1) };
            let Some(zone) = owner.and_then(|n| zones.get_mut(n)) else {
                return Err(ConfigError {
                    place: format!("--cluster '{line}'"),
                    wrong: "no --zone stands in front of it".into(),
                    remedy: "name the zone first, such as --zone distributed.local.".into(),
                });
            };
            zone.clusters.push(("--cluster".into(), line.clone()));
        }
        let forwards = self
            .forward
            .iter()
            .map(|words| ForwardDraft {
                place: "--forward".into(),
                words: words.clone(),
                behaviour: None,
            })
            .collect();
        Ok(Draft { settings, zones, forwards })
    }
}

fn deadline(word: &str) -> Result<Duration, String> {
    let remedy = "write a time such as '800ms', between 10ms and 60s";
    let time = humantime::parse_duration(word).map_err(|error| format!("{error}; {remedy}"))?;
    if DEADLINES.contains(&time) { Ok(time) } else { Err(remedy.into()) }
}

fn cache_for(word: &str) -> Result<Duration, String> {
    let most = Behaviour::default().cache_for;
    let time = span(word)?;
    if time <= most { Ok(time) } else { Err("write a time up to '1h'".into()) }
}

fn span(word: &str) -> Result<Duration, String> {
    humantime::parse_duration(word).map_err(|error| format!("{error}; write a time such as '30s'"))
}

fn workers(word: &str) -> Result<NonZeroUsize, String> {
    /// More threads than any machine this is for has cores.
    const MOST: usize = 1024;
    let number = word.parse::<usize>().ok().filter(|&n| n <= MOST).and_then(NonZeroUsize::new);
    number.ok_or_else(|| format!("write a number from 1 to {MOST}"))
}
