//! The fuzz targets, for seconds and on stable: every file of the corpus and
//! every regression as it is, then mutations of them from a fixed seed. The
//! long runs are cargo-fuzz's (fuzz/README.md).
//!
//! `GATHERSRV_FUZZ_RUNS` sets how many mutations each target gets, and
//! `GATHERSRV_FUZZ_SEED` where they start; with `GATHERSRV_FUZZ_FOUND` the inputs
//! that a long run has left in `fuzz/found` are run as well.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../fuzz/targets/mod.rs"]
mod targets;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use std::fs;
use std::path::PathBuf;
use targets::{ALL, corpus};

/// About a second each, in debug, on one slow core.
const RUNS: u64 = 1500;

const SEED: u64 = 1;

/// Inputs grow no further than this by mutation.
const LONGEST: usize = 4096;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |word| word.parse().expect("a number"))
}

fn files(kind: &str, target: &str) -> Vec<(String, Vec<u8>)> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(kind).join(target);
    let Ok(entries) = fs::read_dir(&dir) else { return Vec::new() };
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    // Not in the order of the disk: the same seed means the same runs.
    files.sort();
    files
}

/// Says which input it was when a promise is broken.
struct Witness<'a> {
    what: String,
    data: &'a [u8],
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self.data.iter().map(|octet| format!("{octet:02x}")).collect();
            eprintln!("{}\ninput ({} octets): {hex}", self.what, self.data.len());
        }
    }
}

fn mutate(rng: &mut StdRng, data: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..=data.len());
        let len = rng.random_range(1..=16).min(data.len() - at);
        match rng.random_range(0..9) {
            0 if at < data.len() => data[at] ^= 1 << rng.random_range(0..8),
            1 if at < data.len() => data[at] = rng.random(),
            2 if at < data.len() => {
                // Where formats have their edges.
                let edges = [0, 1, 12, 41, 63, 64, 127, 128, 0xC0, 0xFF];
                data[at] = edges[rng.random_range(0..edges.len())];
            }
            3 if at < data.len() => {
                data[at] = data[at].wrapping_add(rng.random_range(0..2) * 2).wrapping_sub(1)
            }
            4 => drop(data.drain(at..at + len)),
            5 => {
                let copy = data[at..at + len].to_vec();
                data.splice(at..at, copy);
            }
            6 => {
                let new: Vec<u8> = (0..len).map(|_| rng.random()).collect();
                data.splice(at..at, new);
            }
            7 => data.truncate(at),
            _ => {
                let from = rng.random_range(0..=other.len());
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
        }
    }
    data.truncate(LONGEST);
}

fn run(name: &str) {
    let (_, target) = ALL.iter().find(|(known, _)| *known == name).unwrap();
    let mut known = files("corpus", name);
    assert!(!known.is_empty(), "no corpus for {name}");
    known.extend(files("regressions", name));
    if std::env::var_os("GATHERSRV_FUZZ_FOUND").is_some() {
        known.extend(files("found", name));
    }
    for (path, data) in &known {
        let _witness = Witness { what: path.clone(), data };
        target(data);
    }
    let start = number("GATHERSRV_FUZZ_SEED", SEED);
    for n in 0..number("GATHERSRV_FUZZ_RUNS", RUNS) {
        let seed = start + n;
        let mut rng = StdRng::seed_from_u64(seed);
        let mut pick = || known[rng.next_u32() as usize % known.len()].1.clone();
        let (mut data, other) = (pick(), pick());
        mutate(&mut rng, &mut data, &other);
        let what = format!(
            "{name}: again with GATHERSRV_FUZZ_SEED={seed} GATHERSRV_FUZZ_RUNS=1, or keep the \
             input in fuzz/regressions/{name}/"
        );
        let _witness = Witness { what, data: &data };
        target(&data);
    }
}

#[test]
fn client_packet() {
    run("client_packet");
}

#[test]
fn cluster_reply() {
    run("cluster_reply");
}

#[test]
fn tcp_frames() {
    run("tcp_frames");
}

#[test]
fn engine_ops() {
    run("engine_ops");
}

#[test]
fn liar() {
    run("liar");
}

#[test]
fn corefile() {
    run("corefile");
}

/// The committed seeds are what their generator makes; with
/// `GATHERSRV_FUZZ_WRITE` set they are written anew.
#[test]
fn the_corpus_is_what_its_generator_makes() {
    let write = std::env::var_os("GATHERSRV_FUZZ_WRITE").is_some();
    for (target, _) in ALL {
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        for (name, octets) in corpus::seeds(target) {
            let path = dir.join(&name);
            if write {
                fs::create_dir_all(&dir).unwrap();
                fs::write(&path, octets).unwrap();
            } else {
                assert_eq!(fs::read(&path).unwrap(), octets, "{}", path.display());
            }
        }
    }
}
