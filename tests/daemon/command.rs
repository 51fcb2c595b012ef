//! Commands that end by themselves, and starts that come to nothing.

use crate::process::{Daemon, program, zone};
use crate::upstream::{Does, Upstream};
use std::process::Output;

fn run(words: &[String]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = program().args(words).output().unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn words(front: &[&str], flags: &[String], end: &[&str]) -> Vec<String> {
    front
        .iter()
        .map(|word| word.to_string())
        .chain(flags.to_vec())
        .chain(end.iter().map(|word| word.to_string()))
        .collect()
}

#[test]
fn check_says_in_words_what_every_flag_means() {
    let (a, b) = (Upstream::start('a'), Upstream::start('b'));
    let plain = words(&["check"], &zone(&[&a, &b]), &["--listen", "127.0.0.1:5300"]);
    let (code, said, _) = run(&plain);
    assert_eq!(code, Some(0));
    let expected = format!(
        "zone distributed.local. from 2 clusters on 127.0.0.1:5300 (UDP and TCP)\n  \
         cluster cluster-a.local. prefix a- at {}\n  cluster cluster-b.local. prefix b- at {}\n\
         zone distributed.local.:\n  every query is answered within 800ms\n  \
         the first server is asked, and the next when it fails\n  \
         for a missing cluster its last good answer fills in, up to 1day old\n  \
         answers are given again, for 1h at most\n\
         UDP answers have 1232 octets at most\na server that leaves 2 questions unanswered is taken out\n\
         more than 65536 queries in flight are SERVFAIL\n",
        a.addr, b.addr
    );
    assert_eq!(said, expected);
    let flags = [
        "--deadline",
        "700ms",
        "--policy",
        "random",
        "--on-missing",
        "fail",
        "--min-clusters",
        "2",
        "--keep-on-empty",
        "30s",
        "--cache",
        "0",
        "--max-udp-payload",
        "512",
        "--max-fails",
        "0",
        "--max-queries",
        "77",
        "--allow",
        "10.0.0.0/8",
        "--allow",
        "::1",
        "--rate-limit",
        "5",
        "--require-cookies-above",
        "9",
        "--query-log",
        "1/10",
        "--dnstap",
        "tcp:127.0.0.1:6000",
        "--forward",
        ". 192.0.2.1",
        "--listen",
        "127.0.0.1:5300",
    ];
    let (code, said, why) = run(&words(&["check"], &zone(&[&a, &b]), &flags));
    assert_eq!(code, Some(0), "{why}");
    for line in [
        "zone distributed.local. from 2 clusters on 127.0.0.1:5300 (UDP and TCP)",
        "forward . to 192.0.2.1:53",
        "forward .:",
        "  every query is answered within 700ms",
        "  any server is asked",
        "  a missing cluster makes the answer SERVFAIL",
        "  an answer that has not 2 clusters is SERVFAIL",
        "  a cluster that suddenly has nothing is not believed for 30s",
        "  no answer is given again",
        "UDP answers have 512 octets at most",
        "no server is ever taken out",
        "more than 77 queries in flight are SERVFAIL",
        "only 10.0.0.0/8, ::1/128 may ask",
        "a client network gets 5 UDP answers a second at most",
        "of more than 9 UDP queries a second without a cookie the rest has to get one",
        "one query of 10 is logged",
        "dnstap goes to tcp:127.0.0.1:6000",
    ] {
        assert!(said.lines().any(|known| known == line), "no '{line}' in\n{said}");
    }
    // A forward has no clusters that could be missing.
    assert_eq!(said.matches("makes the answer SERVFAIL").count(), 1, "{said}");
}

#[test]
fn check_names_every_server_and_listener() {
    let flags = [
        "check",
        "--zone",
        "z.",
        "--cluster",
        "k. a- 10.8.0.1",
        "--cluster",
        "k. b- 10.9.0.1 10.9.0.2:5353",
        "--zone",
        "y.",
        "--cluster",
        "l. c- 10.10.0.1",
        "--listen",
        "127.0.0.1:1053",
        "--listen",
        "[::1]:1053",
    ];
    let (code, said, why) = run(&words(&flags, &[], &[]));
    assert_eq!(code, Some(0), "{why}");
    let on = "127.0.0.1:1053 (UDP and TCP), [::1]:1053 (UDP and TCP)";
    let expected = format!(
        "zone z. from 2 clusters on {on}\n  cluster k. prefix a- at 10.8.0.1:53\n  \
         cluster k. prefix b- at 10.9.0.1:53, 10.9.0.2:5353\nzone y. from 1 cluster on {on}\n  \
         cluster l. prefix c- at 10.10.0.1:53\n"
    );
    assert!(said.starts_with(&expected), "{said}");
}

#[test]
fn check_says_what_a_setting_changes() {
    let a = Upstream::start('a');
    let policies = |flags: &[&str]| {
        let listen = ["--listen", "127.0.0.1:5300"];
        run(&words(&["check"], &zone(&[&a]), &[&listen, flags].concat())).1
    };
    let without = policies(&[]);
    for (flags, line) in [
        (["--policy", "round-robin"], "  each server is asked in turn"),
        (["--on-missing", "partial"], "  a missing cluster is left out"),
        (["--keep", "0"], "  a missing cluster is left out"),
        (["--cache-for", "0s"], "  no answer is given again"),
        (["--cache-for", "1m"], "  answers are given again, for 1m at most"),
        (["--max-fails", "7"], "a server that leaves 7 questions unanswered is taken out"),
        (["--query-log", "1"], "every query is logged"),
        (["--rate-limit", "1"], "a client network gets 1 UDP answers a second at most"),
        (
            ["--require-cookies-above", "1"],
            "of more than 1 UDP queries a second without a cookie the rest has to get one",
        ),
        (["--min-clusters", "1"], "  an answer that has not 1 clusters is SERVFAIL"),
        (
            ["--keep-for", "1s"],
            "  for a missing cluster its last good answer fills in, up to 1s old",
        ),
    ] {
        let with = policies(&flags);
        assert!(with.lines().any(|known| known == line), "no '{line}' in\n{with}");
        assert!(!without.lines().any(|known| known == line), "'{line}' in\n{without}");
    }
}

#[test]
fn explain_shows_what_each_cluster_said_and_what_became_of_it() {
    let (a, b) = (Upstream::start('a'), Upstream::start('b'));
    b.does(Does::Nothing);
    let flags = zone(&[&a, &b]);
    let end = ["one.distributed.local.", "A", "--deadline", "300ms"];
    let (code, said, _) = run(&words(&["explain"], &flags, &end));
    assert_eq!(code, Some(0), "{said}");
    for part in [
        "one.distributed.local. A\nrouted: zone distributed.local.\nasked: every cluster (Q4)\n",
        "cluster-a.local. a-  <-  one.cluster-a.local.\n",
        &format!("    {} over UDP in ", a.addr),
        "ms: NOERROR, 2 answer, 0 authority, 0 additional records\n",
        "    answer      one.cluster-a.local. 30 IN A 10.8.1.1\n",
        "-> in the answer section (R1, R2): one.distributed.local. 5 (TTL cut, M6)\n",
        "    missing: ",
    ] {
        assert!(said.contains(part), "no '{part}' in\n{said}");
    }
    b.does(Does::Refuse);
    let (_, said, _) = run(&words(&["explain"], &flags, &end));
    assert!(said.contains("    missing: REFUSED"), "{said}");
    b.does(Does::Answer);
    let (_, said, _) = run(&words(&["explain"], &flags, &end));
    assert!(said.contains(": one.distributed.local. 30\n"), "{said}");
    assert!(!said.contains("TTL cut"), "{said}");
    let (_, said, _) = run(&words(&["explain"], &flags, &[&end[..], &["--json"]].concat()));
    let told: serde_json::Value = serde_json::from_str(&said).unwrap();
    let cluster = &told["rounds"][0]["clusters"][1];
    assert_eq!(
        (&cluster["transport"], &cluster["rcode"], &cluster["sent"]),
        (&"UDP".into(), &"NOERROR".into(), &1.into())
    );
    assert_eq!(
        (&cluster["records"][1]["ttl"], &cluster["records"][1]["ttl_capped"]),
        (&30.into(), &false.into())
    );
    assert_eq!(cluster["records"][1]["section"], "answer");
}

#[test]
fn a_start_that_comes_to_nothing_says_why_and_has_the_code_of_whose_fault_it_is() {
    let a = Upstream::start('a');
    let taken = a.addr.to_string();
    let (code, _, why) = run(&words(&[], &zone(&[&a]), &["--listen", &taken]));
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains(&format!("cannot listen on {taken}")), "{why}");
    // Nor does it share the admin address of another daemon.
    let other = Daemon::start(&[&a], &[]);
    let admin = other.admin().to_string();
    let flags = ["--listen", "127.0.0.1:0", "--admin", &admin];
    let (code, _, why) = run(&words(&[], &zone(&[&a]), &flags));
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains(&admin), "{why}");
    let (code, _, why) =
        run(&words(&[], &zone(&[&a]), &["--listen", "127.0.0.1:0", "--deadline", "soon"]));
    assert_eq!(code, Some(2), "{why}");
    assert!(why.contains("--deadline"), "{why}");
    let (code, _, why) = run(&words(&[], &[], &["--config", "/nowhere/Corefile"]));
    assert_eq!(code, Some(2), "{why}");
    assert!(why.contains("/nowhere/Corefile"), "{why}");
}
