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
#[cfg(test)]
mod tests {
    use crate::cli::plan;

    const ONE: [&str; 4] = ["--zone", "z.", "--cluster", "k. a- 10.8.0.1"];

    fn policies(flags: &[&str]) -> Vec<String> {
        plan(&[&ONE[..], flags].concat()).policies()
    }

    #[test]
    fn what_is_served_is_told_line_by_line() {
        let flags = [
            "--cluster",
            "k. b- 10.9.0.1 10.9.0.2:5353",
            "--zone",
            "y.",
            "--cluster",
            "l. c- tls://10.10.0.1#dns.l",
            "--forward",
            ". 192.0.2.53",
            "--listen",
            "127.0.0.1:1053",
            "--listen",
            "[::1]:1053",
        ];
        let wanted = [
            "zone z. from 2 clusters on 127.0.0.1:1053 (UDP and TCP), [::1]:1053 (UDP and TCP)",
            "  cluster k. prefix a- at 10.8.0.1:53",
            "  cluster k. prefix b- at 10.9.0.1:53, 10.9.0.2:5353",
            "zone y. from 1 cluster on 127.0.0.1:1053 (UDP and TCP), [::1]:1053 (UDP and TCP)",
            "  cluster l. prefix c- at tls://10.10.0.1:853#dns.l",
            "forward . to 192.0.2.53:53",
        ];
        assert_eq!(plan(&[&ONE[..], &flags].concat()).summary(), wanted);
    }

    #[test]
    fn what_holds_by_default_is_told() {
        let wanted = [
            "zone z.:",
            "  every query is answered within 800ms",
            "  the first server is asked, and the next when it fails",
            "  for a missing cluster its last good answer fills in, up to 1day old",
            "  answers are given again, for 1h at most",
            "forward f.:",
            "  every query is answered within 800ms",
            "  the first server is asked, and the next when it fails",
            "UDP answers have 1232 octets at most",
        ];
        let told = policies(&["--forward", "f. 192.0.2.53"]);
        assert_eq!(told[..wanted.len()], wanted);
        let rest = &told[wanted.len()..];
        assert!(rest[0].starts_with("a server that leaves ") && rest[0].ends_with("is taken out"));
        assert!(rest[1].starts_with("more than ") && rest[1].ends_with("in flight are SERVFAIL"));
        assert_eq!(rest.len(), 2, "{rest:?}");
    }

    #[test]
    fn every_setting_changes_what_is_told() {
        for (flags, told) in [
            (["--policy", "round-robin"], "  each server is asked in turn"),
            (["--policy", "random"], "  any server is asked"),
            (["--on-missing", "partial"], "  a missing cluster is left out"),
            (["--keep", "0"], "  a missing cluster is left out"),
            (["--on-missing", "fail"], "  a missing cluster makes the answer SERVFAIL"),
            (["--min-clusters", "1"], "  an answer that has not 1 clusters is SERVFAIL"),
            (
                ["--keep-on-empty", "2m"],
                "  a cluster that suddenly has nothing is not believed for 2m",
            ),
            (["--cache", "0"], "  no answer is given again"),
            (["--cache-for", "0s"], "  no answer is given again"),
            (["--cache-for", "1m"], "  answers are given again, for 1m at most"),
            (["--max-fails", "0"], "no server is ever taken out"),
            (["--max-fails", "7"], "a server that leaves 7 questions unanswered is taken out"),
            (["--allow", "10.0.0.0/8"], "only 10.0.0.0/8 may ask"),
            (["--rate-limit", "9"], "a client network gets 9 UDP answers a second at most"),
            (
                ["--require-cookies-above", "8"],
                "of more than 8 UDP queries a second without a cookie the rest has to get one",
            ),
            (["--query-log", "1"], "every query is logged"),
            (["--query-log", "1/100"], "one query of 100 is logged"),
            (["--dnstap", "tcp:127.0.0.1:6000"], "dnstap goes to tcp:127.0.0.1:6000"),
        ] {
            let (without, with) = (policies(&[]), policies(&flags));
            assert!(with.iter().any(|line| line == told), "{flags:?}: {with:#?}");
            assert!(!without.iter().any(|line| line == told), "{flags:?}");
        }
    }
}
