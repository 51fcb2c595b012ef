//! How clusters are, by their servers, and since when.

use super::accounts::{Account, ClusterName};
use super::ledger::Ledger;
use super::status::ClusterState;
use crate::engine::State;
use std::collections::HashMap;
use std::time::SystemTime;

/// A cluster of a zone, with its servers: two blocks may have a zone and cluster of
/// the same names.
type Key = (String, ClusterName);

/// What has been seen.
#[derive(Debug, Default)]
pub struct Watch {
    clusters: HashMap<Key, (ClusterState, Option<SystemTime>)>,
}

fn key(account: &Account, cluster: &ClusterName) -> Key {
    (account.name.clone(), cluster.clone())
}

/// How a cluster is, by its servers.
fn state(ledger: &Ledger, cluster: &ClusterName) -> ClusterState {
    let mut seen = [0; 3];
    for server in ledger.servers_of(cluster) {
        seen[server.state as usize] += 1;
    }
    let [unknown, up, out] = seen;
    match (unknown, up, out) {
        (_, 0, 0) => ClusterState::Unknown,
        (_, _, 0) => ClusterState::Up,
        (0, 0, _) => ClusterState::Down,
        _ => ClusterState::Degraded,
    }
}

impl Watch {
    /// Looks at the ledger.
    pub fn take(&mut self, now: SystemTime, ledger: &Ledger) {
        let mut clusters = HashMap::new();
        for account in ledger.accounts.iter().filter(|account| !account.is_forward) {
            for cluster in account.clusters.iter() {
                let key = key(account, cluster);
                let state = state(ledger, cluster);
                let before = self.clusters.get(&key);
                let since = match before {
                    Some(&(known, since)) if known == state => since,
                    _ => {
                        let servers = ledger.servers_of(cluster);
                        let wanted = if state == ClusterState::Up { State::Up } else { State::Out };
                        let changed = servers.filter(|server| server.state == wanted);
                        changed.filter_map(|server| server.since).max().or(Some(now))
                    }
                };
                let since = since.filter(|_| state != ClusterState::Unknown);
                clusters.insert(key, (state, since));
            }
        }
        self.clusters = clusters;
    }

    /// How a cluster is, and since when.
    pub fn cluster(
        &self,
        account: &Account,
        cluster: &ClusterName,
    ) -> (ClusterState, Option<SystemTime>) {
        self.clusters.get(&key(account, cluster)).copied().unwrap_or_default()
    }
}
