//! What `--help` and `gathersrv help` say: all of it from the definitions of the
//! flags. The first page has to fit a terminal
//! of 24 lines, so it has a line for the flags that a start needs, and the
//! names of the others.

use super::serve::ZONES;
use crate::config::ConfigError;
use crate::corefile::close_to;
use clap::{Arg, Command};

/// Columns of the first page.
const WIDTH: usize = 80;

/// A clap argument is a flag of its own, not `--help` or `--version`.
pub(super) fn own(arg: &&Arg) -> bool {
    !matches!(arg.get_id().as_str(), "help" | "version") && !arg.is_hide_set()
}

/// The flags of a command that are not the daemon's.
pub fn apart<'c>(command: &'c Command, daemon: &'c Command) -> Vec<&'c Arg> {
    let whole = takes_daemons_flags(command);
    let shared = |arg: &&Arg| whole && daemon.get_arguments().any(|d| d.get_id() == arg.get_id());
    command.get_arguments().filter(own).filter(|arg| !shared(arg)).collect()
}

/// A command that says what is to be served, as the daemon itself does.
pub(super) fn takes_daemons_flags(command: &Command) -> bool {
    command.get_arguments().any(|arg| arg.get_id() == "cluster")
}

/// `--name VALUE`.
pub fn usage(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    let takes = arg.get_action().takes_values();
    let values = if takes { names.join(" ") } else { String::new() };
    match arg.get_long() {
        Some(long) if values.is_empty() => format!("--{long}"),
        Some(long) => format!("--{long} {values}"),
        None => values,
    }
}

/// The command line with the first page, and with commands that do not list all
/// of the daemon's flags once more.
pub(super) fn paged(command: Command) -> Command {
    let page = overview(&command);
    let daemon = command.clone();
    let names: Vec<String> =
        command.get_subcommands().map(|sub| sub.get_name().to_string()).collect();
    let command = command.override_help(page);
    names.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |sub| {
            if takes_daemons_flags(&sub) {
                let page = help_of(&sub, &daemon);
                sub.override_help(page)
            } else {
                sub
            }
        })
    })
}

/// The first page.
fn overview(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut page = format!("{about}\n");
    page += "Usage: gathersrv --zone NAME --cluster WORDS... [FLAGS]  or  gathersrv COMMAND\n\n";
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for arg in command.get_arguments().filter(own) {
        let heading = arg.get_help_heading().unwrap_or_default();
        if heading == ZONES {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            page += &format!("  {:<20} {help}\n", usage(arg));
            continue;
        }
        let name = format!("--{}", arg.get_long().unwrap_or_default());
        match groups.iter_mut().find(|(known, _)| *known == heading) {
            Some((_, names)) => names.push(name),
            None => groups.push((heading, vec![name])),
        }
    }
    page += "\nMore flags; 'gathersrv help FLAG' tells of one, 'gathersrv help flags' of all:\n";
    for (heading, names) in groups {
        let mut line = format!("  {heading:<9}");
        for name in names {
            if line.len() + 1 + name.len() > WIDTH {
                page += &line;
                page += "\n";
                line = " ".repeat(11);
            }
            line += " ";
            line += &name;
        }
        page += &line;
        page += "\n";
    }
    page += "\nCommands; 'gathersrv help COMMAND' says more:\n";
    let commands: Vec<(&str, String)> = command
        .get_subcommands()
        .map(|sub| (sub.get_name(), sub.get_about().map(ToString::to_string).unwrap_or_default()))
        .collect();
    // Down the first column, then down the second.
    let rows = commands.len().div_ceil(2);
    for row in 0..rows {
        let (name, about) = &commands[row];
        page += &format!("  {name:<8}{about}");
        if let Some((name, other)) = commands.get(row + rows) {
            page += &format!("{:<gap$}{name:<13}{other}", "", gap = 32 - about.len().min(31));
        }
        page += "\n";
    }
    page
}

/// A command's own help.
fn help_of(command: &Command, daemon: &Command) -> String {
    let bin = format!("gathersrv {}", command.get_name());
    if !takes_daemons_flags(command) {
        let mut alone = command.clone().bin_name(bin).max_term_width(100);
        return alone.render_long_help().to_string();
    }
    let mut alone = Command::new(command.get_name().to_string())
        .bin_name(bin)
        .max_term_width(100)
        .args(apart(command, daemon).into_iter().cloned())
        .override_usage(synopsis(command, daemon))
        .after_help("FLAGS are those of the daemon; 'gathersrv help flags' lists them.");
    if let Some(about) = command.get_long_about().or(command.get_about()) {
        alone = alone.about(about.clone());
    }
    alone.render_help().to_string()
}

/// How a command is written.
pub fn synopsis(command: &Command, daemon: &Command) -> String {
    let mut words = format!("gathersrv {}", command.get_name());
    if takes_daemons_flags(command) {
        words += " [FLAGS]";
    }
    let (flags, places): (Vec<&Arg>, Vec<&Arg>) =
        apart(command, daemon).into_iter().partition(|arg| !arg.is_positional());
    for arg in flags.into_iter().chain(places) {
        let word = usage(arg);
        words += &if arg.is_required_set() { format!(" {word}") } else { format!(" [{word}]") };
    }
    words
}

/// All there is to know of a flag of a command. The others stay where they are,
/// because it may speak of them.
fn long(command: &Command, flag: &Arg) -> String {
    let mut alone = command
        .clone()
        .disable_help_flag(true)
        .disable_version_flag(true)
        .max_term_width(100)
        .help_template("{options}")
        .mut_args(|arg| {
            let other = arg.get_id() != flag.get_id();
            arg.hide(other).help_heading(None::<&str>)
        });
    alone.render_long_help().to_string().trim_end().to_string() + "\n"
}

/// A line of each of the daemon's flags.
fn list(command: &Command) -> String {
    let mut alone = Command::new("gathersrv")
        .disable_help_flag(true)
        .max_term_width(100)
        .help_template("{all-args}\n\n'gathersrv help FLAG' says the rest.")
        .args(command.get_arguments().filter(own).cloned());
    alone.render_help().to_string().trim_end().to_string() + "\n"
}

/// What `gathersrv help WORD` says.
pub(super) fn about(command: Command, word: Option<&str>) -> Result<String, ConfigError> {
    let Some(word) = word else { return Ok(overview(&command)) };
    let bare = word.trim_start_matches('-').to_ascii_lowercase().replace('_', "-");
    if bare == "flags" {
        return Ok(list(&command));
    }
    let is_flag = word.starts_with('-');
    if let Some(sub) = command.get_subcommands().find(|sub| !is_flag && sub.get_name() == bare) {
        return Ok(help_of(sub, &command));
    }
    let mut told = String::new();
    let named = |arg: &&Arg| arg.get_long() == Some(bare.as_str());
    if let Some(arg) = command.get_arguments().filter(own).find(named) {
        told += &long(&command, arg);
    }
    for sub in command.get_subcommands() {
        for arg in apart(sub, &command).into_iter().filter(|arg| named(arg)) {
            let gap = if told.is_empty() { "" } else { "\n" };
            told += &format!("{gap}With 'gathersrv {}':\n{}", sub.get_name(), long(sub, arg));
        }
    }
    if told.is_empty() {
        let known = help_words(&command);
        let near = close_to(&bare, known.iter().map(|word| word.trim_start_matches('-')));
        return Err(ConfigError {
            place: "help".into(),
            wrong: format!("there is no flag or command '{}'", word.escape_debug()),
            remedy: match near {
                Some(near) => format!("did you mean '{near}'?"),
                None => "'gathersrv help flags' lists the flags".into(),
            },
        });
    }
    Ok(told)
}

/// The words that `gathersrv help` knows.
pub(super) fn help_words(command: &Command) -> Vec<String> {
    let mut words = vec!["flags".to_string()];
    words.extend(command.get_subcommands().map(|sub| sub.get_name().to_string()));
    let subs = command.get_subcommands().flat_map(|sub| apart(sub, command));
    for arg in command.get_arguments().filter(own).chain(subs) {
        let word = arg.get_long().map(|long| format!("--{long}"));
        words.extend(word.filter(|word| !words.contains(word)));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command;

    #[test]
    fn the_first_page_fits_a_screen_and_names_every_flag_and_command() {
        let page = overview(&command());
        assert!(page.lines().count() <= 24, "{} lines:\n{page}", page.lines().count());
        for line in page.lines() {
            assert!(line.chars().count() <= WIDTH, "too wide: {line}");
        }
        let words: Vec<&str> = page.split_whitespace().collect();
        for arg in command().get_arguments().filter(own) {
            let flag = format!("--{}", arg.get_long().unwrap());
            assert!(words.contains(&flag.as_str()), "{flag}");
        }
        for sub in command().get_subcommands() {
            assert!(words.contains(&sub.get_name()), "{}", sub.get_name());
        }
    }

    #[test]
    fn every_flag_has_a_line_and_a_long_help() {
        let daemon = command();
        let subs = daemon.get_subcommands().flat_map(|sub| apart(sub, &daemon));
        let all = daemon.get_arguments().filter(own).chain(subs);
        let mut count = 0;
        for arg in all.filter(|arg| !arg.is_positional()) {
            let name = usage(arg);
            let short = arg.get_help().map(ToString::to_string).unwrap_or_default();
            assert!((1..=80).contains(&short.chars().count()), "{name}: '{short}'");
            let long = arg.get_long_help().map(ToString::to_string).unwrap_or_default();
            let rest = long.split_once("\n\n").map_or("", |(_, rest)| rest);
            assert!(
                rest.len() >= 30,
                "{name}: write more than its first line: what it does, unit, bounds, default, \
                 the directive that says the same, an example"
            );
            assert!(!long.contains("  "), "{name}: blanks within its help");
            count += 1;
        }
        assert!(count > 30, "{count} flags are not all");
    }

    #[test]
    fn help_tells_of_a_word_however_it_is_written() {
        let told = |word: &str| about(command(), Some(word)).map_err(|error| error.to_string());
        for word in ["--on-missing", "on-missing", "on_missing", "On-Missing"] {
            let told = told(word).unwrap();
            assert!(told.contains("some cluster gave records"), "{told}");
            assert!(told.contains("default: stale"), "{told}");
        }
        for word in help_words(&command()) {
            let text = told(&word).unwrap();
            assert!(text.contains(&word) || word == "flags", "{word}: {text}");
            assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{word}: {text:?}");
        }
        assert!(told("listen").unwrap().contains("gathersrv demo"), "both are told");
        assert!(told("--explain").is_err(), "that is no flag");
        let near = told("dedline").unwrap_err();
        assert!(near.contains("did you mean 'deadline'?"), "{near}");
        let far = told("\u{1b}[2J").unwrap_err();
        assert!(!far.contains('\u{1b}') && far.contains("help flags"), "{far}");
    }

    #[test]
    fn commands_that_take_the_daemons_flags_do_not_list_them() {
        for name in ["check", "explain"] {
            let text = about(command(), Some(name)).unwrap();
            assert!(text.contains("help flags") && !text.contains("--deadline"), "{text}");
            let words = ["gathersrv", name, "--help"];
            let error = paged(command()).try_get_matches_from(words).unwrap_err();
            assert_eq!(error.to_string().trim(), text.trim());
        }
    }
}
