//! The engine's path and nothing else, a given number of times: what
//! `scripts/instructions` counts and `perf` looks into. Seed, names and clock
//! are fixed, so two runs of one build execute the same instructions.
//!
//!     engine_path QUERIES CLUSTERS RECORDS
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../benches/support/mod.rs"]
mod support;

use std::time::Duration;
use support::{Harness, Shape};

fn main() {
    let words = std::env::args().skip(1);
    let numbers: Vec<usize> = words.map(|word| word.parse().expect("a number")).collect();
    let &[queries, clusters, records] = &numbers[..] else {
        panic!("engine_path QUERIES CLUSTERS RECORDS")
    };
    // 40,000 queries a second: one worker at full speed.
    let mut harness = Harness::new(Shape { clusters, records }, Duration::from_micros(25));
    let mut octets = 0;
    for _ in 0..queries {
        octets += harness.query().len();
    }
    println!("{} octets an answer", octets / queries.max(1));
}
