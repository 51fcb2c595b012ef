//! The ratios, printed when all is measured: criterion's own figures, read
//! back from where it leaves them.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::SystemTime;

static START: OnceLock<SystemTime> = OnceLock::new();

/// The run begins: figures older than this are another run's.
pub fn begin() {
    START.get_or_init(SystemTime::now);
}

/// Criterion's median for a benchmark of this run, in nanoseconds.
fn median(name: &str) -> Option<f64> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    let path = target.join("criterion").join(name).join("new/estimates.json");
    let written = std::fs::metadata(&path).ok()?.modified().ok()?;
    if START.get().is_some_and(|start| written < *start) {
        return None;
    }
    let read: serde_json::Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    read["median"]["point_estimate"].as_f64()
}

/// One table of times, a row for each shape; `others` are compared with the
/// first column where they are measured.
pub fn print(ours: &str, others: &[&str], shapes: &[String]) {
    println!("\nMedians in microseconds; in brackets ours as a part of theirs.");
    print!("{:>10} {ours:>10}", "shape");
    for other in others {
        print!(" {other:>18}");
    }
    println!(" {:>12}", "of the best");
    for shape in shapes {
        let Some(own) = median(&format!("{ours}/{shape}")) else { continue };
        print!("{shape:>10} {:>10.2}", own / 1e3);
        let mut best: Option<f64> = None;
        for other in others {
            match median(&format!("{other}/{shape}")) {
                Some(time) => {
                    print!(" {:>10.2} ({:.2}x)", time / 1e3, own / time);
                    if other.starts_with("domain") && *other != "domain-bare" {
                        best = Some(best.map_or(time, |known| known.min(time)));
                    }
                }
                None => print!(" {:>18}", "-"),
            }
        }
        match best {
            Some(best) => println!(" {:>11.2}x", own / best),
            None => println!(" {:>12}", "-"),
        }
    }
}

/// Times that should not differ: each against the first.
pub fn print_flat(title: &str, names: &[String]) {
    println!("\n{title}");
    let first = names.first().and_then(|name| median(name));
    for name in names {
        let (Some(time), Some(first)) = (median(name), first) else { continue };
        println!("{name:>24} {:>8.1} ns ({:.2}x)", time, time / first);
    }
}
