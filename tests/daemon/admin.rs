//! What the admin server says: the numbers of what happened, the state of
//! everything, and HTTP as it should be.

use crate::client::{Stream, answer, get, request, whole};
use crate::process::{Daemon, until};
use crate::upstream::{Does, Upstream};
use std::io::Write;

fn clusters() -> (Upstream, Upstream) {
    (Upstream::start('a'), Upstream::start('b'))
}

#[test]
fn what_is_served_over_http_and_how() {
    let (a, b) = clusters();
    let daemon = Daemon::start(&[&a, &b], &[]);
    let at = daemon.admin();
    // Strictly ready once every cluster was heard.
    until("ready", || (get(at, "/ready?strict").code == 200).then_some(()));
    for (path, code, kind, text) in [
        ("/", 200, "text/html; charset=utf-8", "<!doctype html>"),
        ("/health", 200, "text/plain; charset=utf-8", "ok\n"),
        ("/ready", 200, "text/plain; charset=utf-8", "ready\n"),
        (
            "/ready?strict",
            200,
            "text/plain; charset=utf-8",
            "ready, and every cluster has a live server\n",
        ),
        (
            "/ready?x&strict",
            200,
            "text/plain; charset=utf-8",
            "ready, and every cluster has a live server\n",
        ),
        ("/config", 200, "text/plain; charset=utf-8", "zone distributed.local."),
        ("/status.json", 200, "application/json", "{\"version\""),
        ("/nothing", 404, "text/plain; charset=utf-8", "there are /, /metrics"),
    ] {
        let got = get(at, path);
        assert_eq!((got.code, got.header("content-type")), (code, Some(kind)), "{path}");
        assert!(got.text.to_lowercase().starts_with(&text.to_lowercase()), "{path}: {}", got.text);
        assert_eq!(got.header("cache-control"), Some("no-store"));
        assert_eq!(got.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(got.header("referrer-policy"), Some("no-referrer"));
        assert!(
            got.header("content-security-policy").is_some_and(|policy| policy.contains("sha256-"))
        );
        assert_eq!(got.header("allow"), None);
        assert_eq!(got.header("retry-after"), None);
    }
    let metrics = get(at, "/metrics");
    assert!(metrics.header("content-type").is_some_and(|kind| kind.contains("version=")));
    assert!(
        metrics.text.ends_with("# EOF\n") || metrics.text.contains("# TYPE"),
        "{}",
        metrics.text
    );
}

#[test]
fn requests_that_are_not_for_it_are_told_what_to_do() {
    let (a, b) = clusters();
    let daemon = Daemon::start(&[&a, &b], &[]);
    let at = daemon.admin();
    let posted = request(
        at,
        "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
    assert_eq!((posted.code, posted.header("allow")), (405, Some("GET, HEAD")));
    let head = request(at, "HEAD /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(
        (head.code, head.text.as_str(), head.header("content-length")),
        (200, "", Some("3"))
    );
    let stranger =
        request(at, "GET /config HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert_eq!(stranger.code, 421);
    assert!(!stranger.text.contains("cluster"), "{}", stranger.text);
}

#[test]
fn one_connection_has_several_requests() {
    let (a, b) = clusters();
    let daemon = Daemon::start(&[&a, &b], &[]);
    let Stream(mut stream) = Stream::open(daemon.admin());
    let one = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let last = "GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{one}{one}{last}").as_bytes()).unwrap();
    let mut all = String::new();
    std::io::Read::read_to_string(&mut stream, &mut all).unwrap();
    assert_eq!(all.matches("HTTP/1.1 200 OK").count(), 3, "{all}");
    assert_eq!(all.matches("\r\n\r\nok\n").count(), 2, "{all}");
}

#[test]
fn every_query_is_counted_once_where_it_belongs() {
    let (a, b) = clusters();
    let daemon =
        Daemon::start(&[&a, &b], &["--workers", "2", "--forward", &format!(". {}", a.addr)]);
    for name in ["one", "two", "two", "none"] {
        answer(daemon.addr(), name);
    }
    let mut stream = Stream::open(daemon.addr());
    stream.send(&[crate::client::query(5, "three")]);
    stream.receive().unwrap();
    let zone = r#"zone="distributed.local.""#;
    let queries = |labels: &[&str]| daemon.metric("gathersrv_queries_total", labels);
    assert_eq!(queries(&[zone, r#"transport="udp""#, r#"rcode="NOERROR""#, r#"type="A""#]), 3.0);
    assert_eq!(queries(&[zone, r#"transport="udp""#, r#"rcode="NXDOMAIN""#]), 1.0);
    assert_eq!(queries(&[zone, r#"transport="tcp""#]), 1.0);
    assert_eq!(queries(&[zone]), 5.0);
    assert_eq!(daemon.metric("gathersrv_answers_total", &[zone, "whole"]), 5.0);
    assert_eq!(daemon.metric("gathersrv_answers_total", &[zone]), 5.0);
    assert_eq!(daemon.metric("gathersrv_query_duration_seconds_count", &[zone]), 5.0);
    assert!(daemon.metric("gathersrv_query_duration_seconds_sum", &[zone]) > 0.0);
    let below = |le: &str| daemon.metric("gathersrv_query_duration_seconds_bucket", &[zone, le]);
    assert_eq!(below(r#"le="+Inf""#), 5.0, "none of them took for ever");
    // Equal questions meet in one worker, so the second one was kept.
    assert_eq!(daemon.metric("gathersrv_cache_hits_total", &[]), 1.0);
    for (letter, upstream) in [("a-", &a), ("b-", &b)] {
        let prefix = format!("prefix=\"{letter}\"");
        assert_eq!(daemon.metric("gathersrv_cluster_answers_total", &[&prefix, "fresh"]), 5.0);
        assert_eq!(daemon.metric("gathersrv_cluster_answers_total", &[&prefix]), 5.0);
        assert_eq!(daemon.metric("gathersrv_cluster_up", &[&prefix]), 1.0);
        let server = format!("server=\"{}\"", upstream.addr);
        assert_eq!(daemon.metric("gathersrv_server_up", &[&server]), 1.0);
        assert_eq!(
            daemon.metric("gathersrv_subqueries_total", &[&prefix, &server, "NOERROR"]),
            3.0
        );
        assert_eq!(
            daemon.metric("gathersrv_subqueries_total", &[&prefix, &server, "NXDOMAIN"]),
            1.0
        );
        let rtts = daemon.metric("gathersrv_server_rtt_seconds_count", &[&server]);
        assert!(rtts >= 4.0, "{rtts}");
        let all = [&server, r#"le="+Inf""#];
        assert_eq!(daemon.metric("gathersrv_server_rtt_seconds_bucket", &all), rtts);
    }
    assert_eq!(daemon.metric("gathersrv_workers", &[]), 2.0);
    assert_eq!(daemon.metric("gathersrv_connections", &["tcp"]), 1.0);
    daemon.until_metric("gathersrv_in_flight_queries", &[], 0.0);
    assert!(daemon.metric("gathersrv_cache_entries", &[]) >= 4.0);
    assert!(daemon.metric("gathersrv_cache_bytes", &[]) > 100.0);
    assert!(daemon.metric("process_open_fds", &[]) > 10.0);
    let cpu = daemon.metric("process_cpu_seconds_total", &[]);
    assert!((0.0..60.0).contains(&cpu), "{cpu} s, and it has just begun");
    // What is learned is handed over in portions.
    until("last good answers", || {
        (daemon.metric("gathersrv_last_good_entries", &[]) > 0.0).then_some(())
    });
    assert!(daemon.metric("gathersrv_last_good_bytes", &[]) > 0.0);
}

#[test]
fn a_forward_is_counted_as_itself() {
    let (a, b) = clusters();
    let c = Upstream::start('c');
    let daemon = Daemon::start(&[&a, &b], &["--forward", &format!("elsewhere. {}", c.addr)]);
    let name = crate::common::text::Question {
        rd: true,
        ..crate::common::text::Question::new("x.elsewhere.", domain::base::iana::Rtype::A)
    };
    let lines = crate::common::text::shown(&crate::client::ask(daemon.addr(), &name.packet()));
    assert!(lines.contains(&"x.elsewhere. 30 IN A 10.10.1.1".into()), "{lines:?}");
    let forward = r#"zone="elsewhere.""#;
    assert_eq!(daemon.metric("gathersrv_queries_total", &[forward]), 1.0);
    assert_eq!(
        daemon.metric("gathersrv_subqueries_total", &[forward, &c.addr.to_string(), "NOERROR"]),
        1.0
    );
    let status = daemon.status();
    assert_eq!(status["forwards"][0]["name"], "elsewhere.");
    assert_eq!(status["forwards"][0]["servers"][0]["addr"], c.addr.to_string());
    assert_eq!(status["forwards"][0]["servers"][0]["state"], "up");
}

#[test]
fn k1_what_stands_in_is_told_everywhere() {
    let (a, b) = clusters();
    let flags = ["--cache", "0", "--deadline", "300ms", "--max-fails", "2"];
    let daemon = Daemon::start(&[&a, &b], &flags);
    assert_eq!(answer(daemon.addr(), "one"), whole("one"));
    until("it is learned", || {
        (daemon.metric("gathersrv_last_good_entries", &[]) > 0.0).then_some(())
    });
    let before = daemon.status();
    assert_eq!(before["zones"][0]["clusters"][0]["state"], "up");
    a.does(Does::Nothing);
    until("a stale answer", || {
        let lines = answer(daemon.addr(), "one");
        lines.iter().any(|line| line.starts_with("ede 3")).then_some(())
    });
    // Nothing was ever learned of it.
    answer(daemon.addr(), "two");
    daemon.event("cluster_missing");
    let (up, zone) = (r#"prefix="a-""#, r#"zone="distributed.local.""#);
    daemon.until_metric("gathersrv_cluster_up", &[up], 0.0);
    assert_eq!(daemon.metric("gathersrv_cluster_up", &[r#"prefix="b-""#]), 1.0);
    assert_eq!(daemon.metric("gathersrv_server_up", &[&a.addr.to_string()]), 0.0);
    assert_eq!(daemon.metric("gathersrv_server_up", &[&b.addr.to_string()]), 1.0);
    assert!(daemon.metric("gathersrv_answers_total", &[zone, "stale"]) >= 1.0);
    assert!(daemon.metric("gathersrv_answers_total", &[zone, "partial"]) >= 1.0);
    assert!(daemon.metric("gathersrv_cluster_answers_total", &[up, "stale"]) >= 1.0);
    assert!(daemon.metric("gathersrv_cluster_answers_total", &[up, "missing"]) >= 1.0);
    assert_eq!(daemon.metric("gathersrv_cluster_answers_total", &[r#"prefix="b-""#, "stale"]), 0.0);
    assert!(daemon.metric("gathersrv_cluster_stale_age_seconds_count", &[up]) >= 1.0);
    assert!(
        daemon.metric("gathersrv_subqueries_total", &[up, &a.addr.to_string(), r#"rcode="none""#])
            >= 1.0
    );
    assert!(daemon.metric("gathersrv_servers_taken_out_total", &[]) >= 1.0);
    assert!(daemon.metric("gathersrv_failed_subqueries_total", &[]) >= 1.0);
    assert!(daemon.metric("gathersrv_retransmitted_total", &[]) >= 1.0);
    let strict = get(daemon.admin(), "/ready?strict");
    assert_eq!(strict.code, 503);
    assert!(strict.text.contains("cluster-a.local."), "{}", strict.text);
    assert!(!strict.text.contains("cluster-b.local."), "{}", strict.text);
    assert_eq!(get(daemon.admin(), "/ready").code, 200);
    let status = until("the state is told", || {
        let status = daemon.status();
        (status["zones"][0]["clusters"][0]["state"] == "down").then_some(status)
    });
    let cluster = &status["zones"][0]["clusters"][0];
    assert_eq!(cluster["servers"][0]["state"], "out");
    assert!(cluster["since"].as_f64() > before["zones"][0]["clusters"][0]["since"].as_f64());
    assert_eq!(status["zones"][0]["clusters"][1]["state"], "up");
    let told = status["events"].as_array().unwrap();
    assert!(
        told.iter().any(|event| event["text"].as_str().unwrap().contains("is missing")),
        "{told:?}"
    );

    a.does(Does::Answer);
    daemon.event("cluster_back");
    daemon.until_metric("gathersrv_cluster_up", &[up], 1.0);
    assert_eq!(get(daemon.admin(), "/ready?strict").code, 200);
    assert_eq!(answer(daemon.addr(), "one"), whole("one"));
    assert_eq!(answer(daemon.addr(), "two"), whole("two"));
}

#[test]
fn u5_one_worker_checks_the_servers_that_nobody_asks() {
    let (a, b) = clusters();
    let daemon = Daemon::start(&[&a, &b], &["--workers", "3"]);
    daemon.until_metric("gathersrv_probes_total", &[], 2.0);
    assert_eq!(daemon.metric("gathersrv_probes_total", &[]), 2.0, "they were heard a moment ago");
    assert_eq!((a.checks(), b.checks()), (1, 1));
}

#[test]
fn who_stops_is_no_longer_ready_and_healthy_still() {
    let (a, b) = clusters();
    let mut daemon = Daemon::start(&[&a, &b], &["--lame-duck", "1500ms"]);
    daemon.signal("TERM");
    until("not ready", || (get(daemon.admin(), "/ready").code == 503).then_some(()));
    assert_eq!(get(daemon.admin(), "/health").code, 200);
    assert_eq!(answer(daemon.addr(), "one"), whole("one"));
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn more_connections_than_there_are_places_for_shut_nobody_out() {
    let (a, b) = clusters();
    let daemon = Daemon::start(&[&a, &b], &[]);
    let silent: Vec<Stream> = (0..80).map(|_| Stream::open(daemon.admin())).collect();
    assert_eq!(get(daemon.admin(), "/health").text, "ok\n");
    // The oldest made room.
    let mut oldest = &silent[0].0;
    let mut octet = [0];
    assert!(matches!(std::io::Read::read(&mut oldest, &mut octet), Ok(0) | Err(_)));
}
