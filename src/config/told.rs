//! A plan in words: the lines at the start, and what `check` prints.

use super::plan::{Behaviour, OnMissing, Plan, Policy, Settings};
use ipnet::IpNet;
use std::num::NonZeroU32;
use std::time::Duration;

impl Plan {
    /// The start-up lines: what is served where.
    pub fn summary(&self) -> Vec<String> {
        let listed = |servers: &[usize]| {
            let all: Vec<String> = servers.iter().map(|&n| self.servers[n].to_string()).collect();
            all.join(", ")
        };
        let settings = &self.settings;
        let plain = settings.listen.iter().map(|addr| format!("{addr} (UDP and TCP)"));
        let secure = settings.listen_tls.iter().map(|addr| format!("{addr} (TLS)"));
        let listen: Vec<String> = plain.chain(secure).collect();
        let mut lines = Vec::new();
        for zone in &self.zones {
            lines.push(format!(
                "zone {} from {} {} on {}",
                zone.name,
                zone.clusters.len(),
                if zone.clusters.len() == 1 { "cluster" } else { "clusters" },
                listen.join(", ")
            ));
            for cluster in &zone.clusters {
                lines.push(format!(
                    "  cluster {} prefix {} at {}",
                    cluster.suffix,
                    String::from_utf8_lossy(&cluster.prefix),
                    listed(&cluster.servers)
                ));
            }
        }
        for forward in &self.forwards {
            lines.push(format!("forward {} to {}", forward.name, listed(&forward.servers)));
        }
        lines
    }

    /// How it is served, in words: line by line for each zone and forward, and
    /// then what holds for all.
    pub fn policies(&self) -> Vec<String> {
        let zones = self.zones.iter().map(|zone| (format!("zone {}", zone.name), &zone.behaviour));
        let forwards = self.forwards.iter();
        let forwards = forwards.map(|f| (format!("forward {}", f.name), &f.behaviour));
        let mut lines = Vec::new();
        for (name, behaviour) in zones.chain(forwards) {
            lines.push(format!("{name}:"));
            let told = behaviour.told(name.starts_with("zone"), &self.settings);
            lines.extend(told.into_iter().map(|line| format!("  {line}")));
        }
        let settings = &self.settings;
        lines.push(format!("UDP answers have {} octets at most", settings.max_udp_payload));
        lines.push(match settings.max_fails {
            0 => "no server is ever taken out".into(),
            n => format!("a server that leaves {n} questions unanswered is taken out"),
        });
        lines.push(format!("more than {} queries in flight are SERVFAIL", settings.max_queries));
        if !settings.allow.is_empty() {
            let allow: Vec<String> = settings.allow.iter().map(IpNet::to_string).collect();
            lines.push(format!("only {} may ask", allow.join(", ")));
        }
        if settings.answer_rate > 0 {
            let rate = settings.answer_rate;
            lines.push(format!("a client network gets {rate} UDP answers a second at most"));
        }
        if settings.cookies_above > 0 {
            let rate = settings.cookies_above;
            lines.push(format!(
                "of more than {rate} UDP queries a second without a cookie the rest has to get one"
            ));
        }
        match settings.query_log {
            None => {}
            Some(NonZeroU32::MIN) => lines.push("every query is logged".into()),
            Some(of) => lines.push(format!("one query of {of} is logged")),
        }
        if let Some(to) = &settings.dnstap {
            lines.push(format!("dnstap goes to {to}"));
        }
        lines
    }
}

impl Behaviour {
    fn told(&self, gathered: bool, settings: &Settings) -> Vec<String> {
        let time = humantime::format_duration;
        let mut lines = vec![format!("every query is answered within {}", time(self.deadline))];
        lines.push(match self.policy {
            Policy::Sequential => "the first server is asked, and the next when it fails".into(),
            Policy::RoundRobin => "each server is asked in turn".into(),
            Policy::Random => "any server is asked".into(),
        });
        if !gathered {
            return lines;
        }
        let stale = self.on_missing == OnMissing::Stale && settings.keep > 0;
        lines.push(match self.on_missing {
            _ if stale => format!(
                "for a missing cluster its last good answer fills in, up to {} old",
                time(self.keep_for)
            ),
            OnMissing::Stale | OnMissing::Partial => "a missing cluster is left out".into(),
            OnMissing::Fail => "a missing cluster makes the answer SERVFAIL".into(),
        });
        if self.min_clusters > 0 {
            lines
                .push(format!("an answer that has not {} clusters is SERVFAIL", self.min_clusters));
        }
        if self.keep_on_empty > Duration::ZERO {
            let patience = time(self.keep_on_empty);
            lines.push(format!(
                "a cluster that suddenly has nothing is not believed for {patience}"
            ));
        }
        lines.push(if settings.cache == 0 || self.cache_for.is_zero() {
            "no answer is given again".into()
        } else {
            format!("answers are given again, for {} at most", time(self.cache_for))
        });
        lines
    }
}
