//! The text, of workers that say what a test has them say.

use super::*;
use crate::admin::board::Board;
use crate::admin::history::{History, LATELY};
use crate::admin::ledger::tests::{ask, vitals};
use crate::admin::status::ClusterState;
use crate::admin::watch::Watch;
use crate::cli::plan;
use crate::engine::{Counters, Engine};
use crate::net::roster::WorkerVitals;
use std::time::{Duration, SystemTime};

/// One zone in two blocks, each of which asks a server of its own.
fn twice(states: [State; 2]) -> Ledger {
    let groups = ["k. a- 10.8.0.1", "k. a- 10.9.0.1"].iter().zip(states).enumerate();
    let groups = groups.map(|(n, (cluster, state))| {
        let engine = Engine::new(plan(&["--zone", "a.", "--cluster", cluster]), [1; 32]);
        let mut vitals = vitals(n, &engine);
        let (server, grown) = (&mut vitals.engine.servers[0], n as u64 + 1);
        (server.state, server.heard) = (state, None);
        server.since = (state == State::Out).then_some(Duration::ZERO);
        if state == State::Up {
            server.heard = Some(Duration::ZERO);
        }
        let cluster = &mut vitals.engine.meters[0].clusters[0];
        (cluster.ages.buckets[0], cluster.ages.seconds) = (grown, grown * 4);
        cluster.servers[0][0] = grown * 10;
        vec![vitals]
    });
    let mut ledger = Ledger::default();
    ledger.take(SystemTime::now(), groups.collect());
    ledger
}

/// What is exposed of a ledger, by a board that has turned one configuration
/// down.
fn exposed(ledger: Ledger) -> String {
    let board = Board::new(String::new(), &[]);
    board.reloaded(&[]);
    board.not_reloaded("a mistake");
    let process = Process { memory: 4096, cpu_seconds: 1.5, open_files: 7, max_files: 1024 };
    let (pinned, process) = (board.read(), Some(process));
    let all = Exposition { ledger, pinned, taps: TapCounts::default(), process };
    let mut registry = Registry::default();
    registry.register_collector(Box::new(all));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry).unwrap();
    text
}

#[track_caller]
fn has_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert_eq!(text.lines().filter(|own| own == line).count(), 1, "{line}\n{text}");
    }
}

#[test]
fn one_name_in_two_blocks_told_of_the_last_block_only() {
    for states in [[State::Out, State::Up], [State::Up, State::Out]] {
        let ledger = twice(states);
        let mut watch = Watch::default();
        watch.take(SystemTime::now(), &ledger);
        let told = ledger.accounts.iter().map(|own| watch.cluster(own, &own.clusters[0]).0);
        let wanted = states.map(|state| match state {
            State::Out => ClusterState::Down,
            _ => ClusterState::Up,
        });
        assert_eq!(told.collect::<Vec<_>>(), wanted);
        let mut history = History::default();
        history.take(Duration::ZERO, &ledger);
        let moment = history.before(LATELY, LATELY).unwrap();
        let asked = |n: usize| moment.briefs[&ledger.accounts[n].subject()].servers[0][0];
        assert_eq!([asked(0), asked(1)], [10, 20]);
        let text = exposed(ledger);
        let of = r#"{zone="a.",cluster="k.",prefix="a-"}"#;
        for line in [
            format!("gathersrv_cluster_up{of} 0"),
            format!("gathersrv_cluster_stale_age_seconds_count{of} 3"),
            format!("gathersrv_cluster_stale_age_seconds_sum{of} 12.0"),
        ] {
            let found = text.lines().filter(|own| **own == line).count();
            assert_eq!(found, 1, "{states:?}: {line}\n{text}");
        }
    }
}

/// A zone with a cluster of two servers, and a forward.
fn engine() -> Engine {
    let flags = ["--zone", "a.", "--cluster", "k. a- 10.8.0.1 10.8.0.2", "--forward", ". 10.9.0.1"];
    Engine::new(plan(&flags), [1; 32])
}

fn taken(told: Vec<WorkerVitals>) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.take(SystemTime::now(), vec![told]);
    ledger
}

#[test]
fn what_zones_and_forwards_come_to_is_exposed() {
    let mut engine = engine();
    ask(&mut engine, b'a', 3);
    let mut elsewhere =
        Engine::new(plan(&["--zone", "b.", "--cluster", "k. a- 10.8.0.1"]), [1; 32]);
    ask(&mut elsewhere, b'a', 2);
    let mut told = vitals(0, &engine);
    told.engine.stray = vitals(0, &elsewhere).engine.stray;
    let [zone, forward] = &mut told.engine.meters[..] else { panic!("one of each") };
    zone.completeness = [5, 4, 3, 2];
    let cluster = &mut zone.clusters[0];
    (cluster.fresh, cluster.stale, cluster.missing) = (50, 40, 30);
    cluster.servers[0][0] = 11;
    cluster.servers[1][RCODES.len()] = 12;
    forward.completeness = [100; 4];
    forward.latency.buckets[0] = 6;
    forward.clusters[0].fresh = 100;
    forward.clusters[0].servers[0][2] = 13;
    // Two workers that serve the same are one.
    let mut second = told.clone();
    second.worker = 1;
    let text = exposed(taken(vec![told, second]));
    let lines = [
        r#"gathersrv_queries_total{zone="a.",type="SOA",transport="udp",rcode="NOERROR"} 6"#,
        r#"gathersrv_queries_total{zone="none",type="SOA",transport="udp",rcode="REFUSED"} 4"#,
        r#"gathersrv_query_duration_seconds_count{zone="a."} 6"#,
        r#"gathersrv_query_duration_seconds_count{zone="."} 12"#,
        r#"gathersrv_answers_total{zone="a.",completeness="whole"} 10"#,
        r#"gathersrv_answers_total{zone="a.",completeness="stale"} 8"#,
        r#"gathersrv_answers_total{zone="a.",completeness="partial"} 6"#,
        r#"gathersrv_answers_total{zone="a.",completeness="failed"} 4"#,
    ];
    has_lines(&text, &lines);
    let of = r#"zone="a.",cluster="k.",prefix="a-""#;
    for (name, labels, value) in [
        ("cluster_answers_total", r#",outcome="fresh""#, 100),
        ("cluster_answers_total", r#",outcome="stale""#, 80),
        ("cluster_answers_total", r#",outcome="missing""#, 60),
        ("subqueries_total", r#",server="10.8.0.1:53",rcode="NOERROR""#, 22),
        ("subqueries_total", r#",server="10.8.0.2:53",rcode="none""#, 24),
        ("cluster_up", "", 1),
    ] {
        has_lines(&text, &[&format!("gathersrv_{name}{{{of}{labels}}} {value}")]);
    }
    let asked = r#"{zone=".",cluster=".",prefix="",server="10.9.0.1:53",rcode="SERVFAIL"} 26"#;
    has_lines(&text, &[&format!("gathersrv_subqueries_total{asked}")]);
    for name in ["answers", "cluster_answers", "cluster_up", "cluster_stale_age"] {
        let of_forward = format!("gathersrv_{name}");
        let found = text.lines().filter(|line| line.starts_with(&of_forward));
        assert!(found.clone().count() > 0, "{name}");
        assert!(!found.clone().any(|line| line.contains(r#"zone=".""#)), "{name} of a forward");
    }
}

#[test]
fn a_cluster_is_up_while_one_of_its_servers_can_be_asked() {
    for (states, up) in [
        ([State::Up, State::Up], 1),
        ([State::Out, State::Up], 1),
        ([State::Up, State::Out], 1),
        ([State::Unknown, State::Out], 1),
        ([State::Unknown, State::Unknown], 1),
        ([State::Out, State::Out], 0),
    ] {
        let mut told = vitals(0, &engine());
        for (server, state) in told.engine.servers.iter_mut().zip(states) {
            server.state = state;
            server.since = (state == State::Out).then_some(Duration::ZERO);
            server.heard = (state == State::Up).then_some(Duration::ZERO);
        }
        told.engine.servers[0].besieged = true;
        told.engine.servers[0].latency.buckets[2] = 9;
        let text = exposed(taken(vec![told]));
        let of = r#"{zone="a.",cluster="k.",prefix="a-"}"#;
        has_lines(&text, &[&format!("gathersrv_cluster_up{of} {up}")]);
        for (server, state) in ["10.8.0.1:53", "10.8.0.2:53"].iter().zip(states) {
            let up = u8::from(state != State::Out);
            has_lines(&text, &[&format!("gathersrv_server_up{{server=\"{server}\"}} {up}")]);
        }
        let lines = [
            r#"gathersrv_server_besieged{server="10.8.0.1:53"} 1"#,
            r#"gathersrv_server_besieged{server="10.8.0.2:53"} 0"#,
            r#"gathersrv_server_rtt_seconds_count{server="10.8.0.1:53"} 9"#,
            r#"gathersrv_server_rtt_seconds_count{server="10.9.0.1:53"} 0"#,
        ];
        has_lines(&text, &lines);
    }
}

#[test]
fn every_counter_is_exposed_under_its_own_name() {
    let mut counted = Counters::default();
    let names = {
        let c = &mut counted;
        [
            ("cache_hits", &mut c.hits),
            ("cache_refreshes", &mut c.refreshed),
            ("unchanged", &mut c.unchanged),
            ("coalesced", &mut c.shared),
            ("truncated", &mut c.truncated),
            ("truncated_replies", &mut c.truncated_replies),
            ("subqueries_sent", &mut c.asked),
            ("retransmitted", &mut c.retransmitted),
            ("failed_subqueries", &mut c.failed),
            ("exhausted", &mut c.exhausted),
            ("unexpected", &mut c.unexpected),
            ("mismatched", &mut c.mismatched),
            ("suspect", &mut c.suspect),
            ("sieges", &mut c.sieges),
            ("malformed", &mut c.malformed),
            ("refused", &mut c.refused),
            ("unreadable", &mut c.unreadable),
            ("not_queries", &mut c.not_queries),
            ("loops", &mut c.loops),
            ("rate_limited", &mut c.rate_limited),
            ("unproven", &mut c.unproven),
            ("overloaded", &mut c.overloaded),
            ("client_limited", &mut c.client_limited),
            ("cut_over_stream", &mut c.cut_over_stream),
            ("too_long", &mut c.too_long),
            ("foreign", &mut c.foreign),
            ("servers_taken_out", &mut c.taken_out),
            ("probes", &mut c.probes),
        ]
        .into_iter()
        .zip(100u64..)
        .map(|((name, count), n)| {
            *count = n;
            format!("gathersrv_{name}_total {n}")
        })
        .collect::<Vec<String>>()
    };
    let mut told = vitals(0, &engine());
    told.engine.counters = counted;
    (told.turned_away, told.unsent, told.engine.kept.evictions) = (51, 52, 53);
    let text = exposed(taken(vec![told]));
    for line in names {
        has_lines(&text, &[&line]);
    }
    let lines = [
        "gathersrv_connections_turned_away_total 51",
        "gathersrv_unsent_total 52",
        "gathersrv_cache_evictions_total 53",
        "gathersrv_reloads_total 1",
        "gathersrv_reload_failures_total 1",
        r#"gathersrv_tap_entries_total{tap="query_log"} 0"#,
        r#"gathersrv_tap_entries_dropped_total{tap="dnstap"} 0"#,
    ];
    has_lines(&text, &lines);
}

#[test]
fn what_is_so_at_the_moment_is_exposed() {
    let mut told = vitals(0, &engine());
    told.connections = [3, 4];
    (told.engine.queries_in_flight, told.engine.questions_in_flight) = (5, 6);
    (told.engine.kept.entries, told.engine.kept.octets) = (7, 8);
    told.engine.holding.entries = [11, 12, 13];
    told.engine.holding.octets = [21, 22, 23];
    told.engine.holding.evictions = [31, 32, 33];
    let mut second = told.clone();
    second.worker = 1;
    let text = exposed(taken(vec![told, second]));
    // What is held is that of all workers together; the rest is added up.
    let lines = [
        "gathersrv_workers 2.0",
        "gathersrv_in_flight_queries 10.0",
        "gathersrv_in_flight_subqueries 12.0",
        "gathersrv_cache_entries 14.0",
        "gathersrv_cache_bytes 16.0",
        "gathersrv_config_last_reload_successful 0.0",
        r#"gathersrv_connections{transport="tcp"} 6"#,
        r#"gathersrv_connections{transport="tls"} 8"#,
        r#"gathersrv_last_good_entries{kind="answer"} 11"#,
        r#"gathersrv_last_good_bytes{kind="negative"} 22"#,
        r#"gathersrv_last_good_evictions_total{kind="address"} 33"#,
        "process_resident_memory_bytes 4096.0",
        "process_open_fds 7.0",
        "process_max_fds 1024.0",
        "process_cpu_seconds_total 1.5",
    ];
    has_lines(&text, &lines);
    let version = env!("CARGO_PKG_VERSION");
    has_lines(&text, &[&format!("gathersrv_build_info{{version=\"{version}\"}} 1")]);
    for name in
        ["gathersrv_config_last_reload_success_timestamp_seconds", "process_start_time_seconds"]
    {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        let value: f64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
        assert!(value > 1.0e9, "{line}");
    }
}
