//! The shells' completions, by clap's generators; and what those leave out.

use super::Shell;
use super::help::{help_words, own};
use clap::builder::PossibleValuesParser;
use clap::{Arg, Command};

/// A colon ends what zsh shows of a value, and begins what it runs.
fn coloned(command: Command) -> Command {
    let names: Vec<String> =
        command.get_subcommands().map(|sub| sub.get_name().to_string()).collect();
    let command = command.mut_args(|arg| {
        let value = arg.get_value_names().and_then(|names| names.first());
        match value.map(|name| name.replace(':', "\\:")) {
            Some(name) if arg.get_action().takes_values() => arg.value_name(name),
            _ => arg,
        }
    });
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, coloned))
}

/// The script that a shell reads.
pub(super) fn script(command: Command, shell: Shell) -> String {
    let words = help_words(&command);
    let mut command = command.mut_subcommand("help", |help| {
        help.mut_arg("word", |arg| arg.value_parser(PossibleValuesParser::new(words)))
    });
    if let Shell::Zsh = shell {
        command = coloned(command);
    }
    let mut out = Vec::new();
    let which = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    clap_complete::generate(which, &mut command, "gathersrv", &mut out);
    let mut script = String::from_utf8_lossy(&out).into_owned();
    if let Shell::Fish = shell {
        script += &fishes(&command);
    }
    script
}

/// What the generator for fish leaves out: the values of the daemon's flags,
/// whose conditions fail while a value is missing, and words that are no flags.
fn fishes(command: &Command) -> String {
    let mut script = String::new();
    let mut offer = |when: String, arg: &Arg| {
        let values = arg.get_possible_values();
        let names: Vec<&str> = values.iter().map(|value| value.get_name()).collect();
        if !names.is_empty() && arg.get_action().takes_values() {
            let names = names.join(" ");
            script += &format!("complete -c gathersrv -n \"{when}\" -x -a \"{names}\"\n");
        }
    };
    for arg in command.get_arguments().filter(own) {
        let long = arg.get_long().unwrap_or_default();
        offer(format!("__fish_prev_arg_in --{long}"), arg);
    }
    for sub in command.get_subcommands() {
        for arg in sub.get_positionals() {
            offer(format!("__fish_gathersrv_using_subcommand {}", sub.get_name()), arg);
        }
    }
    script
}
