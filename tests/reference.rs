//! docs/reference.md says of every flag and command what the program itself
//! says: the part between its marks is made here, and
//! `BLESS=1 cargo test --test reference` writes it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use clap::{Arg, Command};
use gathersrv::cli;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

const BEGIN: &str = "<!-- flags -->\n";
const END: &str = "<!-- /flags -->\n";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md")
}

fn own(arg: &&Arg) -> bool {
    !matches!(arg.get_id().as_str(), "help" | "version") && !arg.is_hide_set()
}

/// A flag: what it is called, and all that is said of it.
fn entry(out: &mut String, arg: &Arg, level: &str) {
    let help = arg.get_long_help().or(arg.get_help()).unwrap().to_string();
    let (first, rest) = help.split_once("\n\n").unwrap_or((&help, ""));
    let dot = if first.ends_with('.') { "" } else { "." };
    writeln!(out, "{level} `{}`\n\n{first}{dot}\n", cli::usage(arg)).unwrap();
    if !rest.is_empty() {
        writeln!(out, "{}\n", code(rest)).unwrap();
    }
    if !arg.get_action().takes_values() {
        return;
    }
    let values = arg.get_possible_values();
    for value in &values {
        let help = value.get_help().map(ToString::to_string).unwrap_or_default();
        writeln!(out, "- `{}`: {help}", value.get_name()).unwrap();
    }
    if !values.is_empty() {
        out.push('\n');
    }
    if let Some(default) = arg.get_default_values().first() {
        writeln!(out, "Default: `{}`.\n", default.to_string_lossy()).unwrap();
    }
}

/// An example is marked as what it is.
fn code(text: &str) -> String {
    let marked = |paragraph: &str| match paragraph.strip_prefix("Example: ") {
        Some(words) => format!("Example: `{words}`"),
        None => paragraph.to_string(),
    };
    text.split("\n\n").map(marked).collect::<Vec<_>>().join("\n\n")
}

/// The part that is made.
fn made() -> String {
    let daemon = cli::command();
    let mut out = String::from(
        "\n`gathersrv help FLAG` says the same as this section, and so does `man gathersrv`.\n\n",
    );
    let mut heading = None;
    for arg in daemon.get_arguments().filter(own) {
        if arg.get_help_heading() != heading {
            heading = arg.get_help_heading();
            writeln!(out, "### {}\n", heading.unwrap()).unwrap();
        }
        entry(&mut out, arg, "####");
    }
    out += "### Commands\n\n";
    for sub in daemon.get_subcommands() {
        let about = sub.get_long_about().or(sub.get_about()).unwrap().to_string();
        let (first, rest) = about.split_once("\n\n").unwrap_or((&about, ""));
        writeln!(out, "#### `{}`\n\n{first}.\n", cli::synopsis(sub, &daemon)).unwrap();
        if !rest.is_empty() {
            writeln!(out, "{}\n", code(rest)).unwrap();
        }
        for arg in flags_apart(sub, &daemon) {
            entry(&mut out, arg, "#####");
        }
    }
    out
}

fn flags_apart<'c>(sub: &'c Command, daemon: &'c Command) -> Vec<&'c Arg> {
    cli::apart(sub, daemon).into_iter().filter(|arg| !arg.is_positional()).collect()
}

#[test]
fn the_reference_says_what_the_program_says() {
    let text = fs::read_to_string(path()).expect("docs/reference.md");
    let (before, rest) = text.split_once(BEGIN).expect("docs/reference.md has <!-- flags -->");
    let (within, after) = rest.split_once(END).expect("docs/reference.md has <!-- /flags -->");
    let made = made();
    if std::env::var_os("BLESS").is_some() {
        fs::write(path(), format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
        return;
    }
    let differ = within.lines().zip(made.lines()).find(|(old, new)| old != new);
    assert!(
        within == made,
        "docs/reference.md is not what the program says: run BLESS=1 cargo test --test reference. \
         The first line that differs: {differ:?}"
    );
}

#[test]
fn the_reference_has_every_flag_and_command() {
    let text = fs::read_to_string(path()).expect("docs/reference.md");
    let daemon = cli::command();
    let mut count = 0;
    let subs = daemon.get_subcommands().flat_map(|sub| cli::apart(sub, &daemon));
    for arg in daemon.get_arguments().filter(own).chain(subs) {
        let Some(long) = arg.get_long() else { continue };
        assert!(text.contains(&format!("# `--{long}")), "--{long}");
        count += 1;
    }
    for sub in daemon.get_subcommands() {
        assert!(text.contains(&format!("# `gathersrv {}", sub.get_name())), "{}", sub.get_name());
    }
    assert!(count > 30, "{count} flags are not all");
}
