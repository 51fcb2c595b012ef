//! The layers, checked where they can be seen: in the text of the sources.
//!
//! `wire` and `engine` are tested without a network and without waiting, and
//! that holds only as long as no socket, clock or thread gets into them. An
//! import in the wrong direction is how it would get there.

// A test that cannot read the sources should panic, its helpers too.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Words that stand for a socket, a clock, a thread or the system.
const EFFECTS: &[&str] = &[
    "tokio",
    "socket2",
    "libc",
    "mio",
    "std::net::Udp",
    "std::net::Tcp",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "std::os",
    "std::fs",
    "std::process",
    "Instant",
    "SystemTime",
    "UNIX_EPOCH",
    "std::thread",
    "thread::spawn",
    "thread::sleep",
];

/// Every Rust file under a directory of the sources.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    assert!(!found.is_empty(), "no sources in {}", dir.display());
    found
}

fn sources(layer: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(layer)
}

/// `word` stands in `line` as a word of its own, or as the start of a path.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let starts = !line[..at].ends_with(part);
        // `std::net::Udp` is the start of several names, and meant to be.
        starts && (word.contains("::") || !line[at + word.len()..].starts_with(part))
    })
}

/// Lines of code, without comments, that hold one of the words.
fn offences(dir: &Path, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files(dir) {
        let text = fs::read_to_string(&file).unwrap();
        for (n, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in words.iter().filter(|word| has_word(code, word)) {
                found.push(format!("{}:{}: {word}: {}", file.display(), n + 1, line.trim()));
            }
        }
    }
    found
}

/// Modules named in an import, whether alone or in a group.
fn wrong_imports(layer: &str, forbidden: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files(&sources(layer)) {
        let text = fs::read_to_string(&file).unwrap();
        let code: Vec<&str> =
            text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
        let code = code.join("\n");
        for (at, _) in code.match_indices("crate::") {
            let rest = &code[at + "crate::".len()..];
            // A group ends with its statement; a plain path with its first word.
            let named = match rest.strip_prefix('{') {
                Some(group) => group.split(';').next().unwrap_or_default(),
                None => rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap(),
            };
            for module in forbidden.iter().filter(|module| has_word(named, module)) {
                found.push(format!("{}: crate::{module}", file.display()));
            }
        }
    }
    found
}

fn nothing(found: &[String]) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn no_effect_in_wire_and_engine() {
    nothing(&offences(&sources("wire"), EFFECTS));
    nothing(&offences(&sources("engine"), EFFECTS));
}

#[test]
fn imports_run_one_way() {
    nothing(&wrong_imports(
        "wire",
        &["engine", "net", "config", "corefile", "admin", "cli", "run", "demo", "show"],
    ));
    nothing(&wrong_imports(
        "config",
        &["corefile", "engine", "net", "admin", "cli", "run", "demo"],
    ));
    nothing(&wrong_imports("corefile", &["engine", "net", "admin", "cli", "run", "demo"]));
    nothing(&wrong_imports("engine", &["corefile", "net", "admin", "cli", "run", "demo"]));
}

#[test]
fn unsafe_in_one_file_only() {
    let found: Vec<String> = offences(&sources(""), &["unsafe", "allow(unsafe_code)"])
        .into_iter()
        .filter(|offence| !offence.starts_with(sources("net/batch.rs").to_str().unwrap()))
        .collect();
    nothing(&found);
}

#[test]
fn the_check_can_fail() {
    assert!(has_word("use tokio::net;", "tokio"));
    assert!(has_word("let s = std::net::UdpSocket::bind(a)", "std::net::Udp"));
    assert!(!has_word("let libcolour = 1;", "libc"));
    assert!(!offences(&sources("net"), EFFECTS).is_empty());
    assert!(!wrong_imports("net", &["engine"]).is_empty());
}
