//! A query in UDP, gathered from answers in UDP, allocates nothing once the
//! engine is warm: every list it needs is kept from query to query. Counted,
//! because a single forgotten `collect` costs more than reading a message.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]
#[path = "../benches/support/mod.rs"]
mod support;

use allocation_counter::measure;
use std::time::Duration;
use support::{Harness, Shape};

/// Queries to warm up with, and as many to count over.
const QUERIES: usize = 10_000;

/// Allocations of so many queries, warmed up, `step` apart; and the links the
/// engine opened meanwhile.
fn allocations(shape: Shape, step: Duration) -> (u64, usize) {
    counted(Harness::new(shape, step))
}

fn counted(mut harness: Harness) -> (u64, usize) {
    for _ in 0..QUERIES {
        harness.query();
    }
    let opened = harness.opens;
    let counted = measure(|| {
        for _ in 0..QUERIES {
            harness.query();
        }
    });
    (counted.count_total, harness.opens - opened)
}

#[test]
fn the_counter_counts() {
    let counted = measure(|| drop(std::hint::black_box(vec![1u8])));
    assert_eq!(counted.count_total, 1);
}

#[test]
fn a_query_to_two_clusters_allocates_nothing() {
    let shape = Shape { clusters: 2, records: 3 };
    assert_eq!(allocations(shape, Duration::from_micros(200)).0, 0);
}

#[test]
fn a_query_to_thirty_two_clusters_allocates_nothing() {
    let shape = Shape { clusters: 32, records: 3 };
    assert_eq!(allocations(shape, Duration::from_micros(200)).0, 0);
}

#[test]
fn keeping_what_clusters_said_and_saying_it_again_allocates_nothing() {
    let shape = Shape { clusters: 2, records: 3 };
    assert_eq!(counted(Harness::unchanged(shape, Duration::from_micros(200))).0, 0);
}

#[test]
fn links_that_take_turns_allocate_nothing() {
    // Slow enough that every link reaches its age several times over.
    let shape = Shape { clusters: 2, records: 3 };
    let (count, opened) = allocations(shape, Duration::from_millis(20));
    assert!(opened > 20, "only {opened} links were opened");
    assert_eq!(count, 0);
}
