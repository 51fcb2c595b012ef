//! What is counted, and under which names: a zone or a forward, and its clusters.

use crate::config::Plan;
use crate::engine::meters::{ClusterMeter, Meter};
use std::sync::Arc;

/// A cluster of a zone, by its names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClusterName {
    /// Its own zone, as configured.
    pub suffix: String,
    /// What marks its names.
    pub prefix: String,
    /// Its servers' names: keys of [`Ledger::servers`](super::ledger::Ledger::servers).
    pub servers: Vec<String>,
}

impl ClusterName {
    /// Clusters that are called the same share their series, whatever their
    /// servers are.
    fn is_called_like(&self, other: &ClusterName) -> bool {
        (&self.suffix, &self.prefix) == (&other.suffix, &other.prefix)
    }
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

/// A zone's or forward's name, and whether it is a forward.
pub type Name = (String, bool);

/// What a zone's or forward's counts are about: its name, whether it is a
/// forward, its clusters. Two server blocks may have one of the same name.
pub type Subject = (String, bool, Arc<[ClusterName]>);

impl Account {
    /// What it is about: no other account has the same.
    pub fn subject(&self) -> Subject {
        (self.name.clone(), self.is_forward, self.clusters.clone())
    }

    /// What accounts of one name had counted that are `gone`, of the clusters and
    /// servers that those of the name which are `served` have as well. Nothing is
    /// kept of others, so that it stays bounded.
    pub fn past(name: Name, served: &[&Account], gone: &[Account]) -> Self {
        let mut clusters: Vec<ClusterName> = Vec::new();
        for cluster in served.iter().flat_map(|account| account.clusters.iter()) {
            match clusters.iter_mut().find(|known| known.is_called_like(cluster)) {
                Some(known) => {
                    let new = cluster.servers.iter().filter(|name| !known.servers.contains(name));
                    let new: Vec<String> = new.cloned().collect();
                    known.servers.extend(new);
                }
                None => clusters.push(cluster.clone()),
            }
        }
        let mut meter = Meter::new(clusters.iter().map(|cluster| cluster.servers.len()));
        for account in gone {
            let counted = account.counted_of(&clusters);
            meter.add(&counted.empty(), &counted);
        }
        let (name, is_forward) = name;
        Account { name, is_forward, clusters: clusters.into(), meter }
    }

    /// The counts, with these clusters and servers in place of its own.
    fn counted_of(&self, clusters: &[ClusterName]) -> Meter {
        let mut meter = self.meter.clone();
        let wanted = clusters.iter().map(|cluster| {
            let place = self.clusters.iter().position(|own| own.is_called_like(cluster));
            let Some((own, counted)) = place.map(|n| (&self.clusters[n], &self.meter.clusters[n]))
            else {
                let servers = vec![Default::default(); cluster.servers.len()];
                return ClusterMeter { servers, ..ClusterMeter::default() };
            };
            let servers = cluster.servers.iter().map(|name| {
                let place = own.servers.iter().position(|known| known == name);
                place.map(|n| counted.servers[n]).unwrap_or_default()
            });
            ClusterMeter { servers: servers.collect(), ..counted.clone() }
        });
        meter.clusters = wanted.collect();
        meter
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

#[cfg(test)]
mod tests {
    use super::*;

    fn account(clusters: &[(&str, &[&str])]) -> Account {
        let clusters = clusters.iter().map(|(prefix, servers)| ClusterName {
            suffix: "k.".into(),
            prefix: (*prefix).into(),
            servers: servers.iter().map(|name| (*name).into()).collect(),
        });
        let clusters: Arc<[ClusterName]> = clusters.collect();
        let meter = Meter::new(clusters.iter().map(|cluster| cluster.servers.len()));
        Account { name: "z.".into(), is_forward: false, clusters, meter }
    }

    #[test]
    fn what_is_past_is_kept_by_name_as_far_as_it_is_still_served() {
        let mut gone = account(&[("a-", &["1", "2"]), ("c-", &["1"])]);
        gone.meter.completeness[0] = 7;
        for (cluster, fresh) in [(0, 5), (1, 9)] {
            gone.meter.clusters[cluster].fresh = fresh;
        }
        gone.meter.clusters[0].servers[1][0] = 4;
        let served = [account(&[("b-", &["1"]), ("a-", &["3"])]), account(&[("a-", &["2", "3"])])];
        let served: Vec<&Account> = served.iter().collect();
        let past = Account::past(("z.".into(), false), &served, &[gone.clone(), gone]);
        let names: Vec<_> = past.clusters.iter().map(|one| (&*one.prefix, &*one.servers)).collect();
        assert_eq!(names, [("b-", &["1".into()][..]), ("a-", &["3".into(), "2".into()][..])]);
        let meter = &past.meter;
        assert_eq!((meter.completeness[0], meter.clusters[0].fresh), (14, 0));
        assert_eq!(meter.clusters[1].fresh, 10);
        assert_eq!(
            meter.clusters[1].servers.iter().map(|rcodes| rcodes[0]).collect::<Vec<_>>(),
            [0, 8]
        );
    }
}
