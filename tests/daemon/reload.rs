//! Changes of what is served, and of who serves it.

use crate::client::{Stream, answer, get, query, whole};
use crate::common::text::shown;
use crate::process::{Daemon, Directory, own_port, until, zone};
use crate::upstream::Upstream;
use std::net::{SocketAddr, UdpSocket};

/// Served at `at`, with the admin server at the next port of the test's own.
pub fn corefile(at: SocketAddr, admin: SocketAddr, clusters: &[&Upstream]) -> String {
    let mut text = format!("distributed.local.:{} {{\n  bind {}\n", at.port(), at.ip());
    text += &format!("  prometheus {admin}\n  gathersrv distributed.local. {{\n");
    for (cluster, letter) in clusters.iter().zip('a'..) {
        text += &format!("    cluster-{letter}.local. {letter}- {}\n", cluster.addr);
    }
    text + "  }\n}\n"
}

#[test]
fn a_changed_file_is_served_and_a_wrong_one_is_not() {
    let (a, b) = (Upstream::start('a'), Upstream::start('b'));
    let (port, admin) = (own_port(1), own_port(2));
    let directory = Directory::new("reload");
    let path = directory.write("Corefile", &corefile(port, admin, &[&a]));
    let daemon = Daemon::with_corefile(&path);
    assert_eq!(answer(daemon.addr(), "one"), whole("one")[..3], "one cluster");
    assert_eq!(get(admin, "/health").code, 200, "it listens where it is told to");
    assert_eq!(daemon.metric("gathersrv_reloads_total", &[]), 0.0);
    let loaded = || daemon.status()["config"]["loaded"].as_f64().unwrap();
    let first = loaded();

    directory.write("Corefile", &corefile(port, admin, &[&a, &b]));
    let told = daemon.event("reloaded");
    assert!(
        told["message"].as_str().unwrap().ends_with("is served as it is now (change 1)"),
        "{told}"
    );
    assert_eq!(answer(daemon.addr(), "two"), whole("two"));
    assert_eq!(daemon.metric("gathersrv_reloads_total", &[]), 1.0);
    assert!(get(daemon.admin(), "/config").text.contains("cluster-b.local."));
    let status = daemon.status();
    assert_eq!(status["zones"][0]["clusters"].as_array().unwrap().len(), 2);
    assert_eq!(status["config"]["reloads"], 1);
    assert!(loaded() > first);

    let other = corefile(port, admin, &[&a, &b]).replace("distributed.local.", "other.local.");
    directory.write("Corefile", &other);
    until("another zone", || (daemon.events("reloaded").len() == 2).then_some(()));
    assert_eq!(answer(daemon.addr(), "one")[0], "=> REFUSED rd edns");
    directory.write("Corefile", &corefile(port, admin, &[&a, &b]));
    until("the zone", || (daemon.events("reloaded").len() == 3).then_some(()));
    assert_eq!(answer(daemon.addr(), "two"), whole("two"));

    directory.write("Corefile", "distributed.local.:53 {\n  gathersrf x\n}\n");
    let refused = daemon.event("reload_refused");
    assert_eq!(refused["level"], "ERROR");
    assert!(refused["message"].as_str().unwrap().contains("gathersrf"), "{refused}");
    assert_eq!(daemon.metric("gathersrv_reload_failures_total", &[]), 1.0);
    assert_eq!(daemon.metric("gathersrv_config_last_reload_successful", &[]), 0.0);
    assert!(daemon.status()["config"]["last_error"].as_str().unwrap().contains("gathersrf"));
    assert_eq!(answer(daemon.addr(), "three"), whole("three"));
    // Told again only if somebody asks.
    daemon.signal("HUP");
    until("told again", || (daemon.events("reload_refused").len() == 2).then_some(()));

    directory.write("Corefile", &corefile(port, admin, &[&a, &b]));
    daemon.event("reload_undone");
    assert_eq!(daemon.metric("gathersrv_config_last_reload_successful", &[]), 1.0);
    daemon.signal("HUP");
    daemon.event("reload_unchanged");
}

/// Sockets of this host for datagrams to this server alone.
fn links_to(server: SocketAddr) -> usize {
    let SocketAddr::V4(server) = server else { panic!("{server}") };
    let there = format!("{:08X}:{:04X}", server.ip().to_bits().swap_bytes(), server.port());
    let table = std::fs::read_to_string("/proc/net/udp").unwrap();
    table.lines().filter(|line| line.split_whitespace().nth(2) == Some(&there)).count()
}

#[test]
fn u2_the_links_of_a_server_that_is_asked_no_more_are_closed() {
    let (a, b) = (Upstream::start('a'), Upstream::start('b'));
    let (port, admin) = (own_port(13), own_port(14));
    let directory = Directory::new("links");
    let path = directory.write("Corefile", &corefile(port, admin, &[&a, &b]));
    let daemon = Daemon::with_corefile(&path);
    assert_eq!(answer(daemon.addr(), "one"), whole("one"));
    let most = 4 * std::thread::available_parallelism().unwrap().get();
    for server in [a.addr, b.addr] {
        let links = links_to(server);
        assert!((1..=most).contains(&links), "{links} links");
    }
    directory.write("Corefile", &corefile(port, admin, &[&a]));
    until("nothing leads to b", || (links_to(b.addr) == 0).then_some(()));
    assert_eq!(answer(daemon.addr(), "two"), whole("two")[..3]);
    assert!(links_to(a.addr) > 0);
}

#[test]
fn a_changed_port_is_listened_on_and_the_old_one_is_left() {
    let a = Upstream::start('a');
    let (first, second, admin) = (own_port(3), own_port(4), own_port(5));
    let directory = Directory::new("port");
    let path = directory.write("Corefile", &corefile(first, admin, &[&a]));
    let daemon = Daemon::with_corefile(&path);
    assert_eq!(answer(daemon.addr(), "one"), whole("one")[..3]);
    directory.write("Corefile", &corefile(second, admin, &[&a]));
    daemon.event("reloaded");
    assert_eq!(answer(second, "two"), whole("two")[..3]);
    let mut stream = Stream::open(second);
    stream.send(&[query(1, "one")]);
    assert_eq!(shown(&stream.receive().unwrap()), whole("one")[..3]);
    until("the old port is free", || UdpSocket::bind(first).ok());
    until("the old listener is gone", || {
        std::net::TcpStream::connect(first).is_err().then_some(())
    });
    assert_eq!(daemon.status()["listen"][0]["addr"], second.to_string());
}

#[test]
fn a_follower_takes_the_ports_over_and_no_query_is_lost() {
    let (a, b) = (Upstream::start('a'), Upstream::start('b'));
    let (listen, other) = (own_port(6).to_string(), own_port(10).to_string());
    let start = || {
        let mut command = crate::process::program();
        command.args(["--listen", &listen, "--listen", &other]).args(zone(&[&a, &b]));
        command.args(["--workers", "2", "--take-over"]);
        Daemon::run(command)
    };
    let mut first = start();
    assert_eq!(answer(first.addr(), "zero"), whole("zero"));
    let second = start();
    let mut stream = Stream::open(first.addr());
    stream.send(&[query(1, "one")]);
    assert_eq!(shown(&stream.receive().unwrap()), whole("one"));
    first.signal("TERM");
    // A connection is served until it pauses.
    first.event("ports_left");
    for n in 2..5 {
        stream.send(&[query(n, "late")]);
        assert_eq!(shown(&stream.receive().unwrap()), whole("late"));
    }
    for n in 0..40 {
        let name = format!("name-{n}");
        assert_eq!(answer(second.addr(), &name), whole(&name));
    }
    drop(stream);
    assert_eq!(first.ended().code(), Some(0));
    assert_eq!(first.events("ports_left").len(), 1);
    assert_eq!(first.events("ports_not_left"), [] as [serde_json::Value; 0]);
    second.event("ports_ours");
    assert_eq!(answer(second.addr(), "after"), whole("after"));
}

#[test]
fn a_lame_duck_stays_while_one_of_its_ports_is_left_to_nobody() {
    let a = Upstream::start('a');
    let (both, alone) = (own_port(19).to_string(), own_port(20).to_string());
    let start = |listen: &[&str]| {
        let mut command = crate::process::program();
        for addr in listen {
            command.args(["--listen", addr]);
        }
        command.args(["--take-over", "--lame-duck", "10m", "--admin", "127.0.0.1:0"]);
        command.args(zone(&[&a]));
        Daemon::run(command)
    };
    let mut first = start(&[&both, &alone]);
    let _second = start(&[&both]);
    first.signal("TERM");
    until("it says no", || (get(first.admin(), "/ready").code == 503).then_some(()));
    assert_eq!(answer(alone.parse().unwrap(), "one"), whole("one")[..3]);
    // Only who is told again leaves it.
    assert!(first.events("ports_left").is_empty());
    first.signal("TERM");
    assert_eq!(first.ended().code(), Some(0));
}

#[test]
fn a_lame_duck_goes_when_it_is_replaced_or_told_again() {
    let a = Upstream::start('a');
    let listen = own_port(15).to_string();
    // Longer than a test has patience for.
    let start = || {
        let mut command = crate::process::program();
        command.args(["--listen", &listen, "--take-over", "--lame-duck", "10m"]).args(zone(&[&a]));
        command.args(["--admin", "127.0.0.1:0"]);
        Daemon::run(command)
    };
    let stop = |daemon: &Daemon| {
        daemon.signal("TERM");
        until("it says no", || (get(daemon.admin(), "/ready").code == 503).then_some(()));
    };
    let mut first = start();
    stop(&first);
    assert_eq!(answer(first.addr(), "one"), whole("one")[..3], "it serves all the same");
    let mut second = start();
    assert_eq!(first.ended().code(), Some(0));
    second.event("ports_ours");
    stop(&second);
    assert_eq!(answer(second.addr(), "two"), whole("two")[..3]);
    second.signal("TERM");
    assert_eq!(second.ended().code(), Some(0));
}
