//! The table of hostile inputs: each with its octets, the reaction, and the RFC
//! or CVE it is from.
//!
//! What is a row of text is in `tests/hostile/*.txt`: `clients.txt` for what
//! clients send, `clusters.txt` for what comes from where a cluster is. What
//! takes a program to make, or more than one packet, is in
//! `tests/hostile/made.rs` with the same four facts. Packets in, packets out,
//! virtual time. The same `clients.txt`, and hostile streams, are sent to the
//! built daemon by `tests/real/scenarios/hostile.py`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]

mod common;

#[path = "scenarios/actors.rs"]
mod actors;
#[path = "hostile/clients.rs"]
mod clients;
#[path = "hostile/clusters.rs"]
mod clusters;
#[path = "hostile/made.rs"]
mod made;
#[path = "hostile/octets.rs"]
mod octets;
#[path = "hostile/plays.rs"]
mod plays;
#[path = "hostile/table.rs"]
mod table;

#[test]
fn the_table_has_at_least_sixty_rows_and_each_its_source() {
    let mut rows = table::rows("clients.txt");
    rows.extend(table::rows("clusters.txt"));
    for row in &rows {
        assert!(table::is_source(&row.source), "{}: '{}' is no source", row.place, row.source);
        assert!(!row.name.is_empty() && !row.reaction.is_empty(), "{}", row.place);
    }
    for made in &made::ALL {
        assert!(table::is_source(made.source), "{}: '{}' is no source", made.name, made.source);
    }
    // Of one table, the same octets would be the same row.
    let mut inputs: Vec<(&str, &str)> =
        rows.iter().map(|row| (row.table(), row.octets.as_str())).collect();
    inputs.extend(made::ALL.iter().map(|made| ("made", made.octets)));
    let count = inputs.len();
    assert!(count >= 60, "{count} rows");
    inputs.sort_unstable();
    inputs.dedup();
    assert_eq!(inputs.len(), count, "no input is there twice");
}
