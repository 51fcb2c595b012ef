//! What is counted, and under which names: a zone or a forward, and its clusters.

use crate::config::Plan;
use crate::engine::meters::Meter;
use std::sync::Arc;

/// A cluster of a zone, by its names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClusterName {
    /// Its own zone, as configured.
    pub suffix: String,
    /// What marks its names.
    pub prefix: String,
    /// Its servers' names: keys of [`Ledger::servers`].
    pub servers: Vec<String>,
}

/// What is counted of a zone or forward.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name, as configured.
    pub name: String,
    /// It is a forward, whose only cluster is itself.
    pub is_forward: bool,
    /// The clusters, in the order of the meter's.
    pub clusters: Arc<[ClusterName]>,
    /// The counts.
    pub meter: Meter,
}

/// What a zone's or forward's counts are about: its name, whether it is a
/// forward, its clusters. Two server blocks may have one of the same name.
pub type Subject = (String, bool, Arc<[ClusterName]>);

impl Account {
    /// What it is about: no other account has the same.
    pub fn subject(&self) -> Subject {
        (self.name.clone(), self.is_forward, self.clusters.clone())
    }
}

/// What is counted of a plan: its zones and then its forwards, as their meters
/// are in the engine.
pub fn subjects_of(plan: &Plan) -> Vec<Subject> {
    let named = |servers: &[usize]| servers.iter().map(|&n| plan.servers[n].to_string()).collect();
    let zones = plan.zones.iter().map(|zone| {
        let clusters = zone.clusters.iter().map(|cluster| ClusterName {
            suffix: cluster.suffix.to_string(),
            prefix: String::from_utf8_lossy(&cluster.prefix).into_owned(),
            servers: named(&cluster.servers),
        });
        (zone.name.to_string(), false, clusters.collect())
    });
    let forwards = plan.forwards.iter().map(|forward| {
        let name = forward.name.to_string();
        let servers = named(&forward.servers);
        let itself = ClusterName { suffix: name.clone(), prefix: String::new(), servers };
        (name, true, Arc::from([itself]))
    });
    zones.chain(forwards).collect()
}
