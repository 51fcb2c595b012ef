//! The manual pages, from the definitions of the flags and the texts in
//! [`super::pages`].

use super::help::{apart, own, synopsis, takes_daemons_flags, usage};
use super::pages::{self, Piece};
use clap::{Arg, Command};
use roff::{Roff, bold, italic, roman};
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

/// Columns of the source's lines: `mandoc -T lint` finds longer ones bad style.
const WIDTH: usize = 72;

/// A page that could not be written.
#[derive(Debug)]
pub struct ManError {
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for ManError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ManError { path, error } = self;
        write!(f, "man: {}: {error}; name a directory that can be written to", path.display())
    }
}

impl std::error::Error for ManError {}

/// A page, and the name of its file.
pub struct Page {
    /// Such as `gathersrv.1`.
    pub file: String,
    /// Its source.
    pub text: String,
}

/// Every page; the daemon's own is the first.
pub fn pages(daemon: &Command) -> Vec<Page> {
    let mut all = vec![daemons(daemon)];
    all.extend(daemon.get_subcommands().map(|command| commands(command, daemon)));
    all
}

/// Writes every page to a directory.
pub fn write(dir: &Path) -> Result<(), ManError> {
    for Page { file, text } in pages(&super::command()) {
        let path = dir.join(file);
        fs::write(&path, text).map_err(|error| ManError { path, error })?;
    }
    Ok(())
}

fn begin(name: &str, about: &str, version: &str) -> Roff {
    let mut roff = Roff::new();
    let title = name.to_uppercase();
    let source = format!("gathersrv {version}");
    roff.control("TH", [title.as_str(), "1", pages::DATE, source.as_str(), "User Commands"]);
    roff.control("SH", ["NAME"]);
    let mut about = about.to_string();
    if let Some(first) = about.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    roff.text([roman(format!("{name} - {about}"))]);
    roff.control("SH", ["SYNOPSIS"]);
    roff
}

fn daemons(daemon: &Command) -> Page {
    let mut roff = begin("gathersrv", pages::ABOUT, daemon.get_version().unwrap_or_default());
    let forms = [
        " --zone NAME --cluster WORDS... [--forward WORDS]... [FLAGS]",
        " --config FILE [FLAGS]",
        " COMMAND [FLAGS]",
    ];
    for (n, form) in forms.iter().enumerate() {
        if n > 0 {
            roff.control("br", []);
        }
        roff.text([bold("gathersrv"), roman(*form)]);
    }
    roff.control("SH", ["DESCRIPTION"]);
    pieces(&mut roff, pages::DESCRIPTION);
    roff.control("SH", ["COMMANDS"]);
    for command in daemon.get_subcommands() {
        roff.control("TP", []);
        roff.text([bold(format!("gathersrv {}", command.get_name()))]);
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        roff.text([roman(format!("{about}."))]);
    }
    roff.control("SH", ["OPTIONS"]);
    let mut heading = None;
    for arg in daemon.get_arguments().filter(own) {
        if arg.get_help_heading() != heading {
            heading = arg.get_help_heading();
            roff.control("SS", heading);
        }
        option(&mut roff, arg);
    }
    sections(&mut roff, pages::DAEMON);
    Page { file: "gathersrv.1".into(), text: roff.render() }
}

fn commands(command: &Command, daemon: &Command) -> Page {
    let name = format!("gathersrv-{}", command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut roff = begin(&name, &about, daemon.get_version().unwrap_or_default());
    for line in wrapped(&synopsis(command, daemon)) {
        roff.text([roman(line)]);
    }
    roff.control("SH", ["DESCRIPTION"]);
    let long = command.get_long_about().or(command.get_about());
    let long = long.map(ToString::to_string).unwrap_or_default();
    paragraphs(&mut roff, long.split_once("\n\n").map_or("", |(_, rest)| rest), "PP");
    let own = apart(command, daemon);
    if !own.is_empty() || takes_daemons_flags(command) {
        roff.control("SH", ["OPTIONS"]);
    }
    own.iter().for_each(|arg| option(&mut roff, arg));
    if takes_daemons_flags(command) {
        if !own.is_empty() {
            roff.control("PP", []);
        }
        roff.text([roman("The flags of the daemon are those of gathersrv(1).")]);
    }
    let known = pages::COMMANDS.iter().find(|(known, _)| *known == command.get_name());
    sections(&mut roff, known.map_or(&[], |(_, sections)| sections));
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman("gathersrv(1)")]);
    Page { file: format!("{name}.1"), text: roff.render() }
}

/// A flag, in full.
fn option(roff: &mut Roff, arg: &Arg) {
    roff.control("TP", []);
    match usage(arg).split_once(' ') {
        Some((flag, value)) => roff.text([bold(flag), roman(" "), italic(value)]),
        None if arg.is_positional() => roff.text([italic(usage(arg))]),
        None => roff.text([bold(usage(arg))]),
    };
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    paragraphs(roff, &help, "IP");
    for value in arg.get_possible_values().iter().filter(|_| arg.get_action().takes_values()) {
        let help = value.get_help().map(ToString::to_string).unwrap_or_default();
        roff.control("IP", []);
        roff.text([italic(value.get_name()), roman(format!(": {help}"))]);
    }
    let defaults = arg.get_default_values().iter().map(|value| value.to_string_lossy());
    let defaults = defaults.collect::<Vec<_>>().join(" ");
    if !defaults.is_empty() && arg.get_action().takes_values() {
        roff.control("IP", []);
        roff.text([roman("Default: "), italic(defaults)]);
    }
}

/// Paragraphs of a text, with a macro between them.
fn paragraphs(roff: &mut Roff, text: &str, between: &str) {
    for (n, paragraph) in text.split("\n\n").enumerate() {
        if n > 0 {
            roff.control(between, []);
        }
        for line in wrapped(paragraph) {
            roff.text([roman(line)]);
        }
    }
}

fn sections(roff: &mut Roff, sections: pages::Sections) {
    for (heading, all) in sections {
        roff.control("SH", [*heading]);
        pieces(roff, all);
    }
}

fn pieces(roff: &mut Roff, all: &[Piece]) {
    for (n, piece) in all.iter().enumerate() {
        match piece {
            Piece::Text(text) => {
                if n > 0 {
                    roff.control("PP", []);
                }
                paragraphs(roff, text, "PP");
            }
            Piece::Word(word, text) => {
                roff.control("TP", []);
                roff.text([bold(*word)]);
                paragraphs(roff, text, "IP");
            }
            Piece::Code(lines) => {
                if n > 0 {
                    roff.control("PP", []);
                }
                roff.control("nf", []);
                for line in *lines {
                    roff.text([roman(*line)]);
                }
                roff.control("fi", []);
            }
        }
    }
}

/// What a text takes in the source, where dashes and backslashes are escaped.
fn columns(text: &str) -> usize {
    text.len() + text.matches(['-', '\\']).count()
}

/// Lines of a paragraph: each sentence on lines of its own, none too long.
fn wrapped(paragraph: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut ended = true;
    for word in paragraph.split_whitespace() {
        match lines.last_mut() {
            Some(line) if !ended && columns(line) + columns(word) < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
        ended = word.ends_with(['.', '?', '!']) && !word.ends_with("...");
    }
    lines
}
