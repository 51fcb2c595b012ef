//! The servers that are asked: what each worker knows of one, brought together.
//! Workers share a server and leave it, each at its time, and what they have
//! measured of it stays as long as somebody asks it.

use crate::config::{Plan, Server};
use crate::engine::meters::Latency;
use crate::engine::{ServerVitals, State};
use crate::net::roster::WorkerVitals;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How a server is, all workers together.
#[derive(Debug, Clone)]
pub struct ServerAccount {
    /// Where it is, and how it is asked.
    pub server: Server,
    /// Whether it answers.
    pub state: State,
    /// When that began.
    pub since: Option<SystemTime>,
    /// When it was last heard.
    pub heard: Option<SystemTime>,
    /// The round-trip time of who heard it last.
    pub rtt: Option<Duration>,
    /// Some worker asks it over TCP because of forgers.
    pub besieged: bool,
    /// How long its answers took.
    pub latency: Latency,
}

/// What workers say of a server.
#[derive(Debug)]
pub struct Told {
    server: Server,
    vitals: Vec<ServerVitals>,
    /// What the workers have measured since each said so last.
    grown: Latency,
}

/// How long the answers of each of a plan's servers had taken when the worker
/// last said so: nothing for one that is new to it.
fn before(worker: Option<&WorkerVitals>, plan: &Arc<Plan>) -> Vec<Latency> {
    let Some(worker) = worker else { return vec![Latency::default(); plan.servers.len()] };
    let (known, vitals) = (&worker.engine.plan, &worker.engine.servers);
    if Arc::ptr_eq(known, plan) {
        return vitals.iter().map(|one| one.latency).collect();
    }
    let names = known.servers.iter().map(Server::to_string);
    let known: HashMap<String, Latency> = names.zip(vitals.iter().map(|one| one.latency)).collect();
    let own = |server: &Server| known.get(&server.to_string()).copied().unwrap_or_default();
    plan.servers.iter().map(own).collect()
}

/// Adds what a worker says to what others have said; `last` is what it said
/// before.
pub fn gather(
    told: &mut HashMap<String, Told>,
    last: Option<&WorkerVitals>,
    worker: &WorkerVitals,
) {
    let engine = &worker.engine;
    let before = before(last, &engine.plan);
    for ((server, vitals), before) in engine.plan.servers.iter().zip(&engine.servers).zip(&before) {
        let known = told.entry(server.to_string()).or_insert_with(|| Told {
            server: server.clone(),
            vitals: Vec::new(),
            grown: Latency::default(),
        });
        known.grown.add_between(before, &vitals.latency);
        known.vitals.push(vitals.clone());
    }
}

impl ServerAccount {
    /// What workers know of a server, brought together: it is out if some worker
    /// has taken it out and no worker has heard of it since the last of them did.
    pub fn of(now: SystemTime, told: &Told, before: Option<&ServerAccount>) -> Self {
        let vitals = &told.vitals;
        let heard = vitals.iter().filter_map(|one| Some((one.heard?, one)));
        let (heard, latest) = match heard.min_by_key(|(ago, _)| *ago) {
            Some((ago, latest)) => (Some(ago), Some(latest)),
            None => (None, None),
        };
        let out = vitals.iter().filter(|one| one.state == State::Out);
        let out = out.filter_map(|one| one.since).min();
        let state = match (out, heard) {
            (Some(out), heard) if heard.is_none_or(|heard| heard >= out) => State::Out,
            (_, Some(_)) => State::Up,
            (_, None) => State::Unknown,
        };
        let at = |ago: Duration| now.checked_sub(ago);
        let since = match (state, before) {
            (_, Some(before)) if before.state == state => before.since,
            (State::Out, _) => out.and_then(at),
            (State::Up, None) => vitals.iter().filter_map(|one| one.since).max().and_then(at),
            (State::Up, Some(_)) => Some(now),
            (State::Unknown, _) => None,
        };
        let mut latency = before.map(|before| before.latency).unwrap_or_default();
        latency.add_between(&Latency::default(), &told.grown);
        ServerAccount {
            server: told.server.clone(),
            state,
            since,
            heard: heard.and_then(at),
            rtt: latest.and_then(|latest| latest.rtt),
            besieged: vitals.iter().any(|one| one.besieged),
            latency,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(state: State, since: u64, heard: Option<u64>) -> ServerVitals {
        ServerVitals {
            state,
            since: Some(Duration::from_secs(since)),
            heard: heard.map(Duration::from_secs),
            rtt: None,
            besieged: false,
            latency: Latency::default(),
        }
    }

    fn of(vitals: &[ServerVitals]) -> State {
        let server = Server::from(std::net::SocketAddr::from(([10, 8, 0, 1], 53)));
        let told = Told { server, vitals: vitals.to_vec(), grown: Latency::default() };
        ServerAccount::of(SystemTime::now(), &told, None).state
    }

    #[test]
    fn a_server_that_one_worker_had_heard_between_two_takings_out_was_up() {
        let first = server(State::Out, 100, Some(101));
        let second = server(State::Out, 1, Some(5));
        assert_eq!(of(&[first, second]), State::Out);
    }

    #[test]
    fn a_server_is_out_unless_some_worker_has_heard_it_since() {
        let out = server(State::Out, 10, Some(12));
        assert_eq!(of(std::slice::from_ref(&out)), State::Out);
        assert_eq!(of(&[out.clone(), server(State::Up, 60, Some(11))]), State::Out);
        assert_eq!(of(&[out, server(State::Up, 60, Some(1))]), State::Up);
        assert_eq!(
            of(&[ServerVitals { since: None, ..server(State::Unknown, 0, None) }]),
            State::Unknown
        );
    }

    const NOW: Duration = Duration::from_secs(1_000_000);

    /// The ledger's figures a given number of seconds after [`NOW`].
    fn account(
        after: u64,
        vitals: &[ServerVitals],
        before: Option<&ServerAccount>,
    ) -> (ServerAccount, impl Fn(Option<SystemTime>) -> Option<u64> + use<>) {
        let server = Server::from(std::net::SocketAddr::from(([10, 8, 0, 1], 53)));
        let told = Told { server, vitals: vitals.to_vec(), grown: Latency::default() };
        let now = SystemTime::UNIX_EPOCH + NOW + Duration::from_secs(after);
        let ago = move |at: Option<SystemTime>| Some(now.duration_since(at?).unwrap().as_secs());
        (ServerAccount::of(now, &told, before), ago)
    }

    #[test]
    fn a_server_is_what_it_is_since_the_last_worker_saw_it_change() {
        let (up, ago) =
            account(0, &[server(State::Up, 60, Some(3)), server(State::Up, 90, Some(2))], None);
        assert_eq!((up.state, ago(up.since), ago(up.heard)), (State::Up, Some(90), Some(2)));
        // Who has heard it says nothing new, and restarts nothing.
        let (same, ago) = account(10, &[server(State::Up, 5, Some(1))], Some(&up));
        assert_eq!((ago(same.since), ago(same.heard)), (Some(100), Some(1)));
        let (out, ago) = account(20, &[server(State::Out, 4, Some(9))], Some(&same));
        assert_eq!((out.state, ago(out.since)), (State::Out, Some(4)));
        let (still, ago) = account(50, &[server(State::Out, 34, Some(39))], Some(&out));
        assert_eq!((still.state, ago(still.since)), (State::Out, Some(34)));
        let (back, ago) = account(60, &[server(State::Up, 2, Some(1))], Some(&still));
        assert_eq!((back.state, ago(back.since)), (State::Up, Some(0)));
        let unknown = ServerVitals { since: None, ..server(State::Unknown, 0, None) };
        let (unknown, ago) = account(70, &[unknown], None);
        assert_eq!((ago(unknown.since), ago(unknown.heard)), (None, None));
    }

    #[test]
    fn the_round_trip_is_that_of_who_heard_it_last() {
        let with = |heard, rtt| ServerVitals {
            rtt: Some(Duration::from_millis(rtt)),
            ..server(State::Up, 60, Some(heard))
        };
        let (known, _) = account(0, &[with(9, 1), with(3, 2), with(5, 3)], None);
        assert_eq!(known.rtt, Some(Duration::from_millis(2)));
    }

    #[test]
    fn a_server_is_besieged_if_one_worker_says_so() {
        let calm = server(State::Up, 60, Some(1));
        let besieged = ServerVitals { besieged: true, ..calm.clone() };
        assert!(!account(0, std::slice::from_ref(&calm), None).0.besieged);
        assert!(account(0, &[calm, besieged], None).0.besieged);
    }
}
