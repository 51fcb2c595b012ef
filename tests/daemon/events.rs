//! What the log tells: state changes once each, with the object and the cause.

use crate::client::{answer, query, whole};
use crate::process::{Daemon, own_port, until};
use crate::upstream::{Does, Upstream};
use serde_json::Value;

fn clusters() -> (Upstream, Upstream) {
    (Upstream::start('a'), Upstream::start('b'))
}

#[test]
fn a_cluster_that_falls_silent_and_returns_is_told_of_once_each() {
    let (a, b) = clusters();
    let daemon =
        Daemon::start(&[&a, &b], &["--workers", "2", "--deadline", "300ms", "--max-fails", "2"]);
    assert_eq!(answer(daemon.addr(), "zero"), whole("zero"));
    a.does(Does::Nothing);
    // Both workers notice: equal questions meet in one, these are spread.
    for n in 0..8 {
        answer(daemon.addr(), &format!("name-{n}"));
    }
    let out = daemon.event("server_out");
    assert_eq!(out["level"], "WARN");
    assert_eq!(out["server"], a.addr.to_string());
    assert!(out["questions"].as_u64().unwrap() >= 2, "{out}");
    let text = out["message"].as_str().unwrap();
    assert!(text.starts_with(&format!("server {} is out: it left ", a.addr)), "{text}");
    assert!(text.contains("was last heard") || text.contains("was never heard"), "{text}");
    let missing = daemon.event("cluster_missing");
    assert_eq!(
        (&missing["zone"], &missing["cluster"]),
        (&"distributed.local.".into(), &"cluster-a.local. a-".into())
    );
    a.does(Does::Answer);
    let back = daemon.event("server_back");
    assert_eq!((&back["level"], &back["server"]), (&"INFO".into(), &a.addr.to_string().into()));
    assert!(back["seconds"].as_f64().unwrap() > 0.0);
    let whole_again = daemon.event("cluster_back");
    assert_eq!(whole_again["cluster"], "cluster-a.local. a-");
    for event in ["server_out", "cluster_missing", "server_back", "cluster_back"] {
        assert_eq!(daemon.events(event).len(), 1, "{event}: {:?}", daemon.events(event));
    }
}

#[test]
fn r4_a_record_that_is_left_out_is_told_of() {
    let (a, b) = clusters();
    a.does(Does::LongAlias);
    let daemon = Daemon::start(&[&a, &b], &[]);
    answer(daemon.addr(), "one");
    let told = daemon.event("too_long");
    assert!(told["message"].as_str().unwrap().contains("too long (R4)"), "{told}");
    assert_eq!(daemon.metric("gathersrv_too_long_total", &[]), 1.0);
}

#[test]
fn a_query_is_logged_with_what_was_answered() {
    let (a, b) = clusters();
    let daemon = Daemon::start(&[&a, &b], &["--query-log", "1"]);
    answer(daemon.addr(), "one");
    answer(daemon.addr(), "none");
    let mut stream = crate::client::Stream::open(daemon.addr());
    stream.send(&[query(3, "one")]);
    stream.receive().unwrap();
    let logged = until("three lines", || {
        let lines = daemon.log();
        let queries: Vec<Value> = lines.into_iter().filter(|line| line["type"] == "A").collect();
        (queries.len() == 3).then_some(queries)
    });
    let field = |n: usize, name: &str| logged[n][name].to_string();
    assert_eq!(field(0, "name"), "\"one.distributed.local.\"");
    assert_eq!([field(0, "transport"), field(2, "transport")], ["\"udp\"", "\"tcp\""]);
    assert_eq!([field(0, "rcode"), field(1, "rcode")], ["\"NOERROR\"", "\"NXDOMAIN\""]);
    assert!(field(0, "client").contains("127.0.0.1"));
}

#[test]
fn a_question_that_comes_back_is_told_of() {
    let a = Upstream::start('a');
    // A forward to itself: what is forwarded comes back and is a loop.
    let own = own_port(7).to_string();
    let mut command = crate::process::program();
    command.args([
        "--listen",
        &own,
        "--workers",
        "1",
        "--admin",
        "127.0.0.1:0",
        "--deadline",
        "2s",
    ]);
    command.args([
        "--zone",
        "distributed.local.",
        "--cluster",
        &format!("looped.example. a- {own}"),
    ]);
    command.args([
        "--forward",
        &format!(". {}", a.addr),
        "--forward",
        &format!("looped.example. {own}"),
    ]);
    let daemon = Daemon::run(command);
    answer(daemon.addr(), "one");
    let told = daemon.event("loop");
    assert_eq!(told["level"], "WARN");
    assert!(daemon.metric("gathersrv_loops_total", &[]) >= 1.0);
}
