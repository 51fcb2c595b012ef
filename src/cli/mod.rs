//! The command line, typed. No effects: what the words mean is decided in
//! [`crate::config`], what is done with them in [`crate::run`].
//!
//! The definitions here are the only ones: [`help`], [`man`], the shells'
//! completions and docs/reference.md are made of them.

mod commands;
mod completions;
mod draft;
mod help;
pub mod man;
mod pages;
mod serve;
mod values;

use crate::config::{ConfigError, Draft, Settings, words};
use crate::engine::Transport;
use crate::log::Log;
use clap::{CommandFactory, FromArgMatches, Parser};
use commands::SubCommand;
pub use commands::{Demo, Shell};
use domain::base::Name;
use domain::base::iana::Rtype;
pub use help::{apart, synopsis, usage};
use serve::Serve;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "gathersrv",
    version,
    about = "Ask once, get every cluster: one merged DNS answer from several clusters",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<SubCommand>,
    #[command(flatten)]
    serve: Serve,
}

/// A question to be explained.
#[derive(Debug)]
pub struct Question {
    /// The name.
    pub name: Name<Vec<u8>>,
    /// The type.
    pub rtype: Rtype,
    /// How the client asks.
    pub transport: Transport,
    /// As JSON.
    pub json: bool,
}

/// What is to be done.
#[derive(Debug)]
pub enum Command {
    /// Serve what is written.
    Serve(Written, Log),
    /// Show the main job; the address to listen on, if one was given.
    Demo(Demo, Option<SocketAddr>),
    /// Explain how a question is answered.
    Explain(Written, Log, Question),
    /// Say what would be served.
    Check(Written),
    /// Show a running daemon.
    Top(View),
    /// Print a text: help, or completions.
    Print(String),
    /// Write the manual: into a directory, or its first page to standard output.
    Man(Option<PathBuf>),
}

/// Whom to show, and how.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Its admin address.
    pub admin: SocketAddr,
    /// Once, as text, in place of a terminal's whole screen.
    pub once: bool,
    /// The time from one look to the next.
    pub interval: Duration,
}

/// Where it is written what is to be served.
#[derive(Debug, Clone)]
pub enum Written {
    /// In the flags.
    Flags(Draft),
    /// In a file; the settings hold where it says nothing.
    File(PathBuf, Settings),
}

impl Written {
    /// Flags that name no listener leave that to who has opened some already.
    pub fn listening(mut self, opened: &[SocketAddr]) -> Self {
        if let Written::Flags(Draft { settings, .. }) = &mut self
            && settings.listen.is_empty()
        {
            let rest = opened.iter().filter(|addr| !settings.listen_tls.contains(addr));
            settings.listen = rest.copied().collect();
        }
        self
    }
}

/// Why the command line cannot be followed.
#[derive(Debug)]
pub enum CliError {
    /// Flags that cannot be read, or a request for help or the version.
    Flags(clap::Error),
    /// Words in them that make no sense.
    Words(ConfigError),
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        CliError::Words(error)
    }
}

/// The command line as it is defined, for those who tell of it.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Reads the command line.
pub fn parse<I, T>(words: I) -> Result<Command, CliError>
where
    I: IntoIterator<Item = T>,
    T: Into<std::ffi::OsString> + Clone,
{
    let matches = help::paged(command()).try_get_matches_from(words).map_err(CliError::Flags)?;
    let cli = Cli::from_arg_matches(&matches).map_err(CliError::Flags)?;
    match cli.command {
        None => Ok(Command::Serve(cli.serve.written(&matches)?, cli.serve.log())),
        Some(SubCommand::Demo(demo)) => {
            let listen = demo.listen.as_deref();
            let listen = listen.map(|word| words::listen("--listen", word)).transpose()?;
            Ok(Command::Demo(demo, listen))
        }
        Some(SubCommand::Explain(explain)) => {
            let own = matches.subcommand_matches("explain").unwrap_or(&matches);
            let written = explain.serve.written(own)?;
            Ok(Command::Explain(written, explain.serve.log(), explain.question()?))
        }
        Some(SubCommand::Check(check)) => {
            let own = matches.subcommand_matches("check").unwrap_or(&matches);
            Ok(Command::Check(check.serve.written(own)?))
        }
        Some(SubCommand::Top(top)) => {
            Ok(Command::Top(View { admin: top.admin, once: top.once, interval: top.interval }))
        }
        Some(SubCommand::Completions { shell }) => {
            Ok(Command::Print(completions::script(command(), shell)))
        }
        Some(SubCommand::Man { dir }) => Ok(Command::Man(dir)),
        Some(SubCommand::Help { word }) => {
            Ok(Command::Print(help::about(command(), word.as_deref())?))
        }
    }
}

/// What a daemon with these flags serves: for the tests of this crate.
#[cfg(test)]
pub(crate) fn plan(flags: &[&str]) -> std::sync::Arc<crate::config::Plan> {
    match parse(["gathersrv"].iter().chain(flags)) {
        Ok(Command::Serve(Written::Flags(draft), _)) => {
            std::sync::Arc::new(crate::config::build(draft).unwrap())
        }
        other => panic!("not a daemon: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(words: &[&str]) -> Result<Draft, String> {
        match parse(["gathersrv"].iter().chain(words)) {
            Ok(Command::Serve(Written::Flags(draft), _)) => Ok(draft),
            Ok(other) => Err(format!("{other:?}")),
            Err(CliError::Flags(error)) => Err(error.to_string()),
            Err(CliError::Words(error)) => Err(error.to_string()),
        }
    }

    #[test]
    fn clusters_belong_to_the_zone_in_front_of_them() {
        let words =
            ["--zone", "y.", "--cluster", "a. a- ::1", "--zone", "z.", "--cluster", "b. b- ::1"];
        let zones = draft(&words).unwrap().zones;
        assert_eq!(zones[0].clusters[0].1, "a. a- ::1");
        assert_eq!(zones[1].clusters[0].1, "b. b- ::1");
        assert!(draft(&["--cluster", "a. a- ::1", "--zone", "y."]).is_ok());
        let told = draft(&["--cluster", "a. a- ::1", "--zone", "y.", "--zone", "z."]).unwrap_err();
        assert!(told.contains("no --zone stands in front of it"), "{told}");
    }

    #[test]
    fn wrong_flags_are_named_with_a_remedy() {
        for (words, told) in [
            (["--deadline", "soon"], "--deadline"),
            (["--deadline", "1h"], "between 10ms and 60s"),
            (["--workers", "0"], "from 1 to 1024"),
            (["--max-udp-payload", "100"], "512..=4096"),
            (["--log", "loud"], "possible values"),
            (["--listen", "localhost"], "'127.0.0.1:53'"),
            (["--zonee", "x"], "--zone"),
        ] {
            let message = draft(&words).unwrap_err();
            assert!(message.contains(told), "{message}");
        }
    }

    #[test]
    fn the_help_is_consistent() {
        help::paged(command()).debug_assert();
    }
}
