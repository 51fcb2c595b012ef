//! What `/ready?strict` says: whether everything that is served can be answered.
//! Plain `/ready` looks at less, so that it never waits for a worker.

use super::ledger::Ledger;
use super::status::ClusterState;
use super::watch::Watch;

/// What is not as it should be, line by line; nothing if all is well.
pub fn lacking(ledger: &Ledger, watch: &Watch) -> String {
    let mut lacking = String::new();
    if ledger.silent > 0 {
        lacking += "workers do not answer: what they serve is as it was when they last did\n";
    }
    for account in ledger.accounts.iter().filter(|account| !account.is_forward) {
        for cluster in account.clusters.iter() {
            let why = match watch.cluster(account, cluster).0 {
                ClusterState::Up | ClusterState::Degraded => continue,
                ClusterState::Down => "is down: all of its servers are out",
                ClusterState::Unknown => "has not been heard of yet",
            };
            let (suffix, prefix, zone) = (&cluster.suffix, &cluster.prefix, &account.name);
            lacking += &format!("cluster {suffix} {prefix} of {zone} {why}\n");
        }
    }
    lacking
}

#[cfg(test)]
mod tests {
    use super::super::ledger::tests::vitals;
    use super::*;
    use crate::engine::{Engine, State};
    use std::time::{Duration, SystemTime};

    #[test]
    fn nobody_was_asked_and_all_was_said_to_be_well() {
        let (mut ledger, watch) = (Ledger::default(), Watch::default());
        ledger.take(SystemTime::now(), Vec::new());
        assert_eq!(lacking(&ledger, &watch), "");
        ledger.take(SystemTime::now(), vec![Vec::new()]);
        assert!(lacking(&ledger, &watch).starts_with("workers do not answer"));
    }

    #[test]
    fn a_cluster_lacks_if_none_of_its_servers_answers() {
        let (mut ledger, mut watch) = (Ledger::default(), Watch::default());
        let flags = ["--zone", "a.", "--cluster", "k. a- 10.8.0.1 10.8.0.2"];
        let engine = Engine::new(crate::cli::plan(&flags), [1; 32]);
        let mut with = |states: [State; 2]| {
            let mut told = vitals(0, &engine);
            for (server, state) in told.engine.servers.iter_mut().zip(states) {
                server.state = state;
                server.since = (state == State::Out).then_some(Duration::ZERO);
                server.heard = (state == State::Up).then_some(Duration::ZERO);
            }
            ledger.take(SystemTime::now(), vec![vec![told]]);
            watch.take(SystemTime::now(), &ledger);
            lacking(&ledger, &watch)
        };
        let unknown = "cluster k. a- of a. has not been heard of yet\n";
        assert_eq!(with([State::Unknown, State::Unknown]), unknown);
        assert_eq!(with([State::Up, State::Up]), "");
        assert_eq!(with([State::Up, State::Out]), "");
        let down = "cluster k. a- of a. is down: all of its servers are out\n";
        assert_eq!(with([State::Out, State::Out]), down);
    }
}
