//! From the daemon's flags to the draft of a configuration.

use super::Written;
use super::serve::Serve;
use super::values::{Missing, Order, Truncated};
use crate::config::{
    AdminAt, Behaviour, ConfigError, Draft, Endpoint, ForwardDraft, Identity, OnMissing, Policy,
    Settings, Shows, ZoneDraft, sample, words,
};
use std::num::NonZeroUsize;

impl Serve {
    /// Where it is written what is to be served, by these flags.
    pub(super) fn written(&self, matches: &clap::ArgMatches) -> Result<Written, ConfigError> {
        let draft = self.draft(matches)?;
        Ok(match &self.config {
            Some(path) => Written::File(path.clone(), draft.settings),
            None => Written::Flags(draft),
        })
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
        let admin = self
            .admin
            .iter()
            .map(|word| Ok(AdminAt { addr: words::admin("--admin", word)?, shows: Shows::All }));
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
            admin: admin.collect::<Result<_, ConfigError>>()?,
            lame_duck: self.lame_duck,
            take_over: self.take_over,
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
