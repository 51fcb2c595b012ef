//! `cargo bench`: what the engine costs without a socket, and what the same
//! costs with other libraries in the same run. Ratios are printed at the end;
//! they hold on any machine, the times only on this one.
//!
//! An answer ends at 64 KiB, so the shapes beyond it (32 x 30 and up) show how
//! long it takes to read what does not fit; there is nothing to compare there.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/mod.rs"]
mod support;
#[path = "support/others.rs"]
mod support_others;
#[path = "support/table.rs"]
mod table;

use criterion::{BenchmarkId, Criterion};
use gathersrv::wire::name::FlatName;
use gathersrv::wire::query::{self, Packet};
use std::hint::black_box;
use std::time::Duration;
use support::{Harness, Shape};
use support_others::{WithDomain, WithHickory};

const ZONES: [usize; 3] = [1, 1_000, 10_000];
const CLUSTERS: [usize; 3] = [2, 8, 32];
const RECORDS: [usize; 3] = [3, 30, 300];

/// The most records whose merged answer fits in 64 KiB.
const COMPARED: usize = 600;

/// Virtual time between queries: 40,000 a second.
const STEP: Duration = Duration::from_micros(25);

fn shapes() -> impl Iterator<Item = Shape> {
    CLUSTERS.into_iter().flat_map(|clusters| RECORDS.map(|records| Shape { clusters, records }))
}

fn parse_and_route(c: &mut Criterion) {
    let packet = support::question(42);
    let mut group = c.benchmark_group("question");
    for zones in ZONES {
        let plan = support::plan(zones, 2);
        let mut name = FlatName::root();
        group.bench_function(BenchmarkId::from_parameter(zones), |b| {
            b.iter(|| match query::parse(black_box(&packet), &mut name) {
                Packet::Query(query) => {
                    name.make_lowercase();
                    (query.qtype, plan.route(&name).expect("our zone"))
                }
                _ => unreachable!("a good question"),
            })
        });
    }
    group.finish();
}

fn one_answer(c: &mut Criterion) {
    let mut group = c.benchmark_group("one answer");
    for records in RECORDS {
        let mut harness = Harness::new(Shape { clusters: 1, records }, STEP);
        group.bench_function(BenchmarkId::from_parameter(records), |b| {
            b.iter_custom(|count| (0..count).map(|_| harness.time_reply()).sum())
        });
    }
    group.finish();
}

fn whole_path(c: &mut Criterion) {
    for shape in shapes() {
        let mut harness = Harness::new(shape, STEP);
        c.bench_with_input(BenchmarkId::new("engine", shape), &shape, |b, _| {
            b.iter(|| harness.query().len())
        });
        let mut unchanged = Harness::unchanged(shape, STEP);
        c.bench_with_input(BenchmarkId::new("engine-unchanged", shape), &shape, |b, _| {
            b.iter(|| unchanged.query().len())
        });
        if shape.clusters * shape.records > COMPARED {
            continue;
        }
        let mut domain = WithDomain::new(shape);
        c.bench_with_input(BenchmarkId::new("domain-static", shape), &shape, |b, _| {
            b.iter(|| domain.with_static())
        });
        c.bench_with_input(BenchmarkId::new("domain-tree", shape), &shape, |b, _| {
            b.iter(|| domain.with_tree())
        });
        c.bench_with_input(BenchmarkId::new("domain-hash", shape), &shape, |b, _| {
            b.iter(|| domain.with_hash())
        });
        c.bench_with_input(BenchmarkId::new("domain-bare", shape), &shape, |b, _| {
            b.iter(|| domain.bare())
        });
        let mut hickory = WithHickory::new(shape);
        c.bench_with_input(BenchmarkId::new("hickory", shape), &shape, |b, _| {
            b.iter(|| hickory.query())
        });
        if shape == (Shape { clusters: 2, records: 3 }) {
            let sizes =
                (domain.with_static(), domain.with_tree(), domain.with_hash(), hickory.query());
            let ours = harness.query().len();
            println!("octets of the {shape} answer: engine {ours}, domain and hickory {sizes:?}\n");
        }
    }
}

fn main() {
    table::begin();
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1000))
        .sample_size(30)
        .configure_from_args();
    parse_and_route(&mut criterion);
    one_answer(&mut criterion);
    whole_path(&mut criterion);
    criterion.final_summary();

    let shapes: Vec<String> = shapes().map(|shape| shape.to_string()).collect();
    let zones: Vec<String> = ZONES.iter().map(|zones| format!("question/{zones}")).collect();
    table::print_flat("Parse and route a question, by the number of zones configured:", &zones);
    let one: Vec<String> = RECORDS.iter().map(|records| format!("one answer/{records}")).collect();
    table::print_flat("Check, rewrite and write one cluster's answer, by its records:", &one);
    table::print(
        "engine",
        &[
            "engine-unchanged",
            "domain-static",
            "domain-tree",
            "domain-hash",
            "domain-bare",
            "hickory",
        ],
        &shapes,
    );
}
