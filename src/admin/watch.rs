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
#[cfg(test)]
mod tests {
    use super::super::ledger::tests::vitals;
    use super::*;
    use crate::cli::plan;
    use crate::engine::Engine;
    use std::time::Duration;

    /// The servers' states and the times since they changed, `at` seconds after the start.
    fn seen(
        watch: &mut Watch,
        ledger: &mut Ledger,
        at: u64,
        states: [(State, u64); 2],
    ) -> (ClusterState, Option<u64>) {
        let flags = ["--zone", "a.", "--cluster", "k. a- 10.8.0.1 10.8.0.2"];
        let mut told = vitals(0, &Engine::new(plan(&flags), [1; 32]));
        for (server, (state, since)) in told.engine.servers.iter_mut().zip(states) {
            server.state = state;
            server.since = (state != State::Unknown).then_some(Duration::from_secs(since));
            server.heard = (state == State::Up).then_some(Duration::ZERO);
        }
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let now = start + Duration::from_secs(at);
        ledger.take(now, vec![vec![told]]);
        watch.take(now, ledger);
        let account = &ledger.accounts[0];
        let (state, since) = watch.cluster(account, &account.clusters[0]);
        (state, since.map(|since| now.duration_since(since).unwrap().as_secs()))
    }

    #[test]
    fn a_cluster_is_as_its_servers_are_since_the_change_that_made_it_so() {
        let (mut watch, mut ledger) = (Watch::default(), Ledger::default());
        let mut seen = |at, states| seen(&mut watch, &mut ledger, at, states);
        let (unknown, up, out) = (State::Unknown, State::Up, State::Out);
        assert_eq!(seen(0, [(unknown, 0), (unknown, 0)]), (ClusterState::Unknown, None));
        assert_eq!(seen(10, [(up, 0), (unknown, 0)]), (ClusterState::Up, Some(0)));
        assert_eq!(seen(20, [(up, 10), (up, 5)]), (ClusterState::Up, Some(10)), "still");
        assert_eq!(seen(30, [(up, 20), (out, 4)]), (ClusterState::Degraded, Some(4)));
        assert_eq!(seen(40, [(out, 2), (out, 14)]), (ClusterState::Down, Some(2)));
        assert_eq!(seen(50, [(out, 12), (out, 24)]), (ClusterState::Down, Some(12)), "still");
    }

    #[test]
    fn a_server_that_is_out_beside_one_that_nobody_has_asked_is_half_a_cluster() {
        let (mut watch, mut ledger) = (Watch::default(), Ledger::default());
        let states = [(State::Out, 4), (State::Unknown, 0)];
        let (state, since) = seen(&mut watch, &mut ledger, 0, states);
        assert_eq!((state, since), (ClusterState::Degraded, Some(4)));
    }
}
