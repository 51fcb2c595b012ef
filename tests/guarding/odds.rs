//! The odds in docs/security.md are those of the parameters in the code.

use gathersrv::engine::{GUESSES, LINKS_PER_SERVER, SIEGE, WINDOWS};

/// Forged packets a second.
const RATE: f64 = 100_000.0;

/// Ports and IDs.
const PORTS: f64 = 65_536.0 - 1024.0;
const IDS: f64 = 65_536.0;

const HOUR: f64 = 3600.0;

/// What a forger may meet.
#[derive(Clone, Copy)]
struct Open {
    /// Workers that ask the question. Each has ports and a guard of its own.
    workers: f64,
    /// IDs of the question in flight in each of them.
    windows: f64,
}

/// Somebody asks once.
const ONE: Open = Open { workers: 1.0, windows: 1.0 };

/// The forger asks as well, in every way: with CD and without, of four workers.
const ALL: Open = Open { workers: 4.0, windows: 2.0 * WINDOWS as f64 };

/// The probability that at least one of `packets` forged packets is accepted, if
/// each is with the probability `each`.
fn at_least_one(packets: f64, each: f64) -> f64 {
    -(-packets * each).exp_m1()
}

/// In an hour, if a guess at port and ID is all it takes and nobody looks.
fn unwatched(open: Open) -> f64 {
    at_least_one(RATE * HOUR, open.workers * open.windows / (PORTS * IDS))
}

/// In an hour, watched: after [`GUESSES`] guesses that meet a worker's sockets the
/// server is asked over TCP for [`SIEGE`]. `each` is the probability that one of them is taken.
fn watched(open: Open, guesses_a_second: f64, each: f64) -> f64 {
    let guesses = f64::from(GUESSES);
    let cycle = guesses / guesses_a_second + SIEGE.as_secs_f64();
    at_least_one(open.workers * HOUR / cycle * guesses, each)
}

#[test]
fn the_odds_in_the_docs_are_computed_from_the_code() {
    let links = LINKS_PER_SERVER as f64;
    let blind = |open: Open, share: f64| {
        // Guesses at all ports meet one of a worker's; its IDs are spread over them.
        watched(open, RATE * links / PORTS, share * open.windows / links / IDS)
    };
    // A cluster that answers after a millisecond, asked once a second.
    let rarely = 0.001;
    // _demo._tcp.demo-service.default.svc.cluster-a.local
    let letters = 2f64.powi(-41);
    let cookie = 2f64.powi(-64);
    // Where the forger knows the ports, all IDs of the question may be behind one.
    let seen = |open: Open| watched(open, RATE, open.windows / IDS);
    let rows: [(&str, [f64; 2]); 6] = [
        ("a guess at port and ID, nobody looks", [ONE, ALL].map(unwatched)),
        ("the daemon as it is", [ONE, ALL].map(|open| blind(open, 1.0))),
        (
            "... and the cluster answers in a millisecond, asked once a second",
            [ONE, ALL].map(|open| blind(open, rarely)),
        ),
        ("the forger knows the ports", [ONE, ALL].map(seen)),
        ("`case=random`, 41 letters", [ONE, ALL].map(|open| blind(open, letters))),
        ("the cluster's server speaks cookies", [ONE, ALL].map(|open| blind(open, cookie))),
    ];
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/security.md"));
    let docs = docs.unwrap();
    for (what, [one, all]) in rows {
        let row = format!("| {what} | {one:.1e} | {all:.1e} |");
        assert!(docs.contains(&row), "docs/security.md has no row '{row}'");
    }
}
