//! `/status.json` for workers whose counters a test sets.

use super::super::board::Board;
use super::super::ledger::tests::vitals;
use super::super::status::{ClusterState, Level};
use super::*;
use crate::cli::plan;
use crate::engine::meters::{Latency, NO_ANSWER};
use crate::engine::{Engine, Outbox, Time};
use crate::net::roster::WorkerVitals;

fn after(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Two clusters of a zone, and a forward.
fn engine() -> Engine {
    let flags = [
        "--zone",
        "z.",
        "--cluster",
        "a.local. a- 10.8.0.1 10.8.0.2",
        "--cluster",
        "b.local. b- tls://10.9.0.1#dns.b",
        "--forward",
        "f. 10.10.0.1",
    ];
    Engine::new(plan(&flags), [1; 32])
}

/// Seconds after the start, and the change of the worker's counters.
type Chapter<'a> = (u64, &'a dyn Fn(&mut WorkerVitals));

/// The story of a minute and a half: what had been counted when, and what is told
/// at its end.
fn told(story: &[Chapter<'_>]) -> Status {
    let engine = engine();
    let (mut ledger, mut history, mut watch) =
        (Ledger::default(), History::default(), Watch::default());
    let mut vitals = vitals(0, &engine);
    let board = Board::new("flags".into(), &[]);
    let start = board.read().started;
    for (at, change) in story {
        change(&mut vitals);
        ledger.take(start + after(*at), vec![vec![vitals.clone()]]);
        watch.take(start + after(*at), &ledger);
        history.take(after(*at), &ledger);
    }
    board.reloaded(&[]);
    board.not_reloaded("a mistake");
    board.happened(Level::Warn, "something".into());
    let told = Told {
        ledger: &ledger,
        history: &history,
        watch: &watch,
        pinned: board.read(),
        places: vec![
            ("127.0.0.1:53".parse().unwrap(), Service::Plain),
            ("127.0.0.1:853".parse().unwrap(), Service::Tls),
        ],
        ready: true,
        at: after(story.last().unwrap().0),
    };
    told.status()
}

#[test]
fn rates_are_of_the_last_ten_seconds_and_sums_of_the_last_minute() {
    let status = told(&[
        (0, &|_| {}),
        (30, &|vitals| {
            vitals.engine.meters[0].completeness = [100; 4];
            vitals.engine.meters[0].clusters[0].fresh = 100;
            vitals.engine.meters[0].clusters[0].servers[1][0] = 100;
        }),
        (80, &|vitals| {
            vitals.engine.counters.answered = 1000;
            vitals.engine.meters[0].completeness = [110, 120, 130, 100];
        }),
        (90, &|vitals| {
            vitals.engine.counters.answered = 1200;
            vitals.engine.counters.hits = 50;
            vitals.engine.queries_in_flight = 9;
            let [zone, forward] = &mut vitals.engine.meters[..] else { panic!("one of each") };
            zone.completeness = [111, 122, 130, 100];
            let cluster = &mut zone.clusters[0];
            (cluster.fresh, cluster.stale, cluster.missing) = (103, 4, 5);
            cluster.ages.buckets[0] = 4;
            cluster.ages.last = 17;
            cluster.servers[1][0] = 130;
            cluster.servers[1][NO_ANSWER] = 20;
            forward.clusters[0].servers[0][2] = 60;
        }),
    ]);
    let rates = status.rates;
    assert_eq!((rates.queries, rates.failed, rates.from_cache), (20.0, 0.0, 5.0));
    assert_eq!((status.in_flight, status.workers, status.ready), (9, 1, true));
    let zone = &status.zones[0];
    assert_eq!((status.zones.len(), &*zone.name, zone.state), (1, "z.", ZoneState::Stale));
    let answers = ZoneAnswers { whole: 11, stale: 22, partial: 30, failed: 0 };
    assert_eq!(zone.answers, answers);
    let [a, b] = &zone.clusters[..] else { panic!("two clusters") };
    assert_eq!((&*a.suffix, &*a.prefix), ("a.local.", "a-"));
    assert_eq!(a.answers, ClusterAnswers { fresh: 3, stale: 4, missing: 5 });
    assert_eq!((a.stale_age, b.stale_age), (Some(17.0), None));
    assert_eq!(b.answers, ClusterAnswers::default());
    let of = |server: &Server| (server.queries, server.failures);
    assert_eq!([of(&a.servers[0]), of(&a.servers[1])], [(0.0, 0.0), (5.0, 2.0)]);
    assert_eq!(of(&b.servers[0]), (0.0, 0.0));
    let forward = &status.forwards[0];
    assert_eq!((status.forwards.len(), &*forward.name), (1, "f."));
    assert_eq!(of(&forward.servers[0]), (6.0, 6.0));
    assert_eq!(status.history.incomplete.last(), Some(&0.2));
    assert_eq!(status.history.queries.last(), Some(&20.0));
    assert_eq!(status.history.failed, vec![0.0; status.history.queries.len()]);
}

#[test]
fn how_long_answers_took_is_told_of_the_last_minute_and_of_each_point() {
    let slow = Duration::from_millis(3);
    let bucket = Latency::bounds().position(|bound| slow <= bound).unwrap();
    let status = told(&[
        (0, &|_| {}),
        (88, &|_| {}),
        (90, &|vitals| vitals.engine.meters[0].latency.buckets[bucket] = 10),
        (91, &|_| {}),
    ]);
    let median = status.latency.p50.unwrap();
    assert!((0.001..0.004).contains(&median), "{median}");
    let points: Vec<bool> = status.history.p99.iter().map(Option::is_some).collect();
    assert_eq!(points, [false, true], "in the last two seconds of the chart");
    assert!(status.history.end < status.now, "the second since then is not in it yet");
}

#[test]
fn of_one_moment_there_are_no_rates() {
    let status = told(&[(0, &|vitals| vitals.engine.counters.answered = 1000)]);
    let rates = status.rates;
    assert_eq!((rates.queries, rates.failed, rates.from_cache), (0.0, 0.0, 0.0));
    assert_eq!(status.zones[0].clusters[0].servers[0].queries, 0.0);
}

#[test]
fn queries_for_a_zone_and_a_forward_have_their_rates() {
    let mut asked = engine();
    let ask = |engine: &mut Engine, zone: u8, times| {
        super::super::ledger::tests::ask(engine, zone, times);
        vitals(0, engine)
    };
    let (before, _) = (vitals(0, &asked), ask(&mut asked, b'z', 30));
    ask(&mut asked, b'f', 20);
    // Nobody answers the forward's.
    asked.on_timeout(Time::from_micros(60_000_000), &mut Outbox::default());
    let after = vitals(0, &asked);
    let stray = ask(&mut asked, b'y', 10);
    let status = told(&[
        (0, &|vitals| *vitals = before.clone()),
        (10, &|vitals| *vitals = after.clone()),
        (20, &|vitals| *vitals = stray.clone()),
    ]);
    assert_eq!((status.zones[0].queries, status.rates.queries), (0.0, 1.0));
    let status =
        told(&[(0, &|vitals| *vitals = before.clone()), (10, &|vitals| *vitals = after.clone())]);
    assert_eq!((status.zones[0].queries, status.forwards[0].queries), (3.0, 2.0));
    assert_eq!((status.rates.queries, status.rates.failed), (5.0, 2.0));
    assert!(status.latency.p50.is_some() && status.latency.p99.is_some());
}

#[test]
fn a_zone_is_as_the_worst_of_its_last_answers() {
    for (completeness, state) in [
        ([0, 0, 0, 0], ZoneState::Idle),
        ([9, 0, 0, 0], ZoneState::Whole),
        ([9, 1, 0, 0], ZoneState::Stale),
        ([9, 1, 1, 0], ZoneState::Partial),
        ([9, 1, 1, 1], ZoneState::Failed),
        ([0, 0, 0, 1], ZoneState::Failed),
    ] {
        let status = told(&[
            (0, &|_| {}),
            (10, &|vitals| vitals.engine.meters[0].completeness = completeness),
        ]);
        assert_eq!(status.zones[0].state, state, "{completeness:?}");
        // Ten seconds later nothing of it is left.
        let status = told(&[
            (0, &|_| {}),
            (10, &|vitals| vitals.engine.meters[0].completeness = completeness),
            (20, &|_| {}),
        ]);
        assert_eq!(status.zones[0].state, ZoneState::Idle, "{completeness:?}");
    }
}

#[test]
fn servers_and_clusters_are_told_with_their_state_and_since_when() {
    let status = told(&[(10, &|vitals| {
        let [one, two, tls, _] = &mut vitals.engine.servers[..] else { panic!("four servers") };
        (one.state, one.since, one.heard) = (State::Up, Some(after(9)), Some(after(1)));
        one.rtt = Some(Duration::from_millis(250));
        (two.state, two.since) = (State::Out, Some(after(5)));
        (tls.state, tls.since, tls.besieged) = (State::Out, Some(after(7)), true);
    })]);
    let [a, b] = &status.zones[0].clusters[..] else { panic!("two clusters") };
    assert_eq!((a.state, b.state), (ClusterState::Degraded, ClusterState::Down));
    let at = |since: Option<f64>| (since.unwrap() - status.started).round();
    assert_eq!((at(a.since), at(b.since)), (5.0, 3.0));
    let [one, two] = &a.servers[..] else { panic!("two servers") };
    assert_eq!((&*one.addr, &*one.transport, one.state), ("10.8.0.1:53", "udp", ServerState::Up));
    assert_eq!((at(one.since), at(one.heard), one.rtt), (1.0, 9.0, Some(0.25)));
    assert_eq!((two.state, at(two.since), two.heard), (ServerState::Out, 5.0, None));
    let tls = &b.servers[0];
    assert_eq!((&*tls.addr, &*tls.transport, tls.besieged), ("10.9.0.1:853", "tls", true));
    let forward = &status.forwards[0].servers[0];
    assert_eq!((forward.state, forward.since), (ServerState::Unknown, None));
}

#[test]
fn what_is_pinned_up_is_told() {
    let status = told(&[(0, &|_| {})]);
    assert_eq!(status.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(status.pid, std::process::id());
    let config = &status.config;
    assert_eq!((&*config.source, config.reloads, config.failures), ("flags", 1, 1));
    assert_eq!(config.last_error.as_deref(), Some("a mistake"));
    assert!(config.loaded >= status.started && status.now >= status.started);
    assert_eq!((status.events.len(), &*status.events[0].text), (1, "something"));
    let listen: Vec<_> = status.listen.iter().map(|one| (&*one.addr, &*one.service)).collect();
    assert_eq!(listen, [("127.0.0.1:53", "udp+tcp"), ("127.0.0.1:853", "tls")]);
    assert!(status.memory > 0);
}
