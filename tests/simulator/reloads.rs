//! The configuration, and its changes in the middle.

use crate::common::plan;
use crate::laws::Rules;
use crate::names::prefix;
use crate::truth::Truths;
use crate::verdict::Policy;
use crate::weather::Weather;
use gathersrv::config::Plan;
use rand::RngExt;
use rand::rngs::StdRng;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What a reload changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A setting, or servers: the workers stay.
    Settings,
    /// The last cluster is new.
    Added,
    /// The cluster that had been added is gone.
    Removed,
    /// Other workers serve from now on, as when a listener changes.
    Workers,
}

/// What the operator has written.
#[derive(Debug, Clone)]
pub struct Config {
    flags: Vec<(&'static str, String)>,
    /// Servers of each cluster: the last octets of their addresses.
    clusters: Vec<Vec<u8>>,
    /// Clusters it began with.
    first: usize,
}

/// The most servers of a cluster; `World` has a place for each.
pub const MOST_SERVERS: usize = 8;

impl Config {
    pub fn new(weather: &Weather) -> Self {
        let mut flags = weather.flags.clone();
        flags.push(("--deadline", format!("{}ms", weather.deadline.as_millis())));
        flags.push(("--workers", weather.workers.to_string()));
        let clusters = weather.clusters.iter().map(|&servers| (1..=servers as u8).collect());
        Config { flags, clusters: clusters.collect(), first: weather.clusters.len() }
    }

    pub fn plan(&self) -> Arc<Plan> {
        let mut flags = vec!["--zone".to_string(), "Distributed.local.".into()];
        for (n, servers) in self.clusters.iter().enumerate() {
            let servers: Vec<String> = servers.iter().map(|s| format!("10.{n}.0.{s}")).collect();
            let words = format!("cluster.local. {} {}", prefix(n as u8), servers.join(" "));
            flags.extend(["--cluster".to_string(), words]);
        }
        for (name, value) in &self.flags {
            flags.extend([(*name).to_string(), value.clone()]);
        }
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        plan(&flags)
    }

    pub fn servers(&self) -> usize {
        self.clusters.iter().map(Vec::len).sum()
    }

    fn set(&mut self, name: &'static str, value: String) {
        self.flags.retain(|(known, _)| *known != name);
        self.flags.push((name, value));
    }

    /// Changes something.
    pub fn change(&mut self, rng: &mut StdRng) -> Change {
        let mut one_of = |choices: &[u64]| choices[rng.random_range(0..choices.len())];
        match one_of(&[0, 1, 2, 3, 4, 4, 5, 5, 6, 7, 7, 8]) {
            0 => self.set("--deadline", format!("{}ms", one_of(&[100, 700, 2000]))),
            1 => self.set("--max-fails", one_of(&[0, 1, 3]).to_string()),
            2 => self.set("--cache", one_of(&[0, 100, 5000]).to_string()),
            3 => self.set("--keep-on-empty", format!("{}s", one_of(&[0, 5, 60]))),
            4 => {
                let n = one_of(&[0, 1]) as usize % self.clusters.len();
                let servers = &mut self.clusters[n];
                if servers.len() < MOST_SERVERS / 2 {
                    servers.push(servers.len() as u8 + 1);
                }
            }
            5 => {
                let n = one_of(&[0, 1]) as usize % self.clusters.len();
                self.clusters[n].reverse();
            }
            6 => return Change::Workers,
            _ if self.clusters.len() > self.first => {
                self.clusters.pop();
                return Change::Removed;
            }
            _ => {
                self.clusters.push(vec![1]);
                return Change::Added;
            }
        }
        Change::Settings
    }

    pub fn rules(&self, plan: &Plan, truths: Truths, ttl: u32) -> Rc<Rules> {
        let behaviour = &plan.zones[0].behaviour;
        Rc::new(Rules {
            truths,
            clusters: self.clusters.len() as u8,
            deadline: behaviour.deadline,
            ttl: Duration::from_secs(ttl.into()),
            keep_for: behaviour.keep_for,
            keep_on_empty: behaviour.keep_on_empty,
            policy: Policy {
                on_missing: behaviour.on_missing,
                min_clusters: behaviour.min_clusters,
            },
        })
    }
}
