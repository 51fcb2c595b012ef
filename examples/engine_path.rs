//! The engine's path and nothing else, a given number of times: what
//! `scripts/instructions` counts and `perf` looks into. Seed, names and clock
//! are fixed, so two runs of one build execute the same instructions.
//!
//!     engine_path QUERIES CLUSTERS RECORDS [unchanged]
//!
//! With the last word the clusters' answers are known from the time before.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../benches/support/mod.rs"]
mod support;

use std::time::Duration;
use support::{Harness, Shape};

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let unchanged = words.len() == 4 && words.pop().is_some_and(|word| word == "unchanged");
    let numbers: Vec<usize> = words.iter().map(|word| word.parse().expect("a number")).collect();
    let &[queries, clusters, records] = &numbers[..] else {
        panic!("engine_path QUERIES CLUSTERS RECORDS [unchanged]")
    };
    // 40,000 queries a second: one worker at full speed.
    let (shape, step) = (Shape { clusters, records }, Duration::from_micros(25));
    let mut harness =
        if unchanged { Harness::unchanged(shape, step) } else { Harness::new(shape, step) };
    let mut octets = 0;
    for _ in 0..queries {
        octets += harness.query().len();
    }
    println!("{} octets an answer", octets / queries.max(1));
}
