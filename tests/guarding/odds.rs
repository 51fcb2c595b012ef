//! The odds in docs/security.md are those of the parameters in the code.

use gathersrv::engine::{GUESSES, LINKS_PER_SERVER, SIEGE};

/// Forged packets a second.
const RATE: f64 = 100_000.0;

/// Ports and IDs.
const PORTS: f64 = 65_536.0 - 1024.0;
const IDS: f64 = 65_536.0;

const HOUR: f64 = 3600.0;

/// In an hour, if a guess at port and ID is all it takes and nobody looks.
fn unwatched() -> f64 {
    1.0 - (-RATE * HOUR / (PORTS * IDS)).exp()
}

/// In an hour, watched: so many guesses meet a socket, then there is TCP for a
/// while. `right` is the share of guesses that meet the right one.
fn watched(guesses_a_second: f64, right: f64) -> f64 {
    let guesses = f64::from(GUESSES);
    let cycle = guesses / guesses_a_second + SIEGE.as_secs_f64();
    1.0 - (-(HOUR / cycle) * guesses * right / IDS).exp()
}

#[test]
fn the_odds_in_the_docs_are_computed_from_the_code() {
    let links = LINKS_PER_SERVER as f64;
    let blind = watched(RATE * links / PORTS, 1.0 / links);
    // A cluster that answers after a millisecond, asked once a second.
    let open = 0.001;
    // _demo._tcp.demo-service.default.svc.cluster-a.local
    let letters = 41;
    let rows = [
        ("a guess at port and ID, nobody looks", unwatched()),
        ("the daemon as it is", blind),
        ("... and the cluster answers in a millisecond, asked once a second", blind * open),
        ("the forger knows the ports", watched(RATE, 1.0)),
        ("`case=random`, 41 letters", blind / 2f64.powi(letters)),
        ("the cluster's server speaks cookies", blind / 2f64.powi(64)),
    ];
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/security.md"));
    let docs = docs.unwrap();
    for (what, odds) in rows {
        let row = format!("| {what} | {odds:.1e} |");
        assert!(docs.contains(&row), "docs/security.md has no row '{row}'");
    }
}
