//! The commands beside serving, and their flags.

use super::Question;
use super::serve::Serve;
use super::values::{admin, interval};
use crate::config::{ConfigError, words};
use crate::engine::Transport;
use crate::log::{Log, LogFormat, LogLevel};
use clap::{Args, Subcommand, ValueEnum, ValueHint};
use domain::base::Name;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(super) enum SubCommand {
    /// Say what would be served
    ///
    /// Takes the flags of the daemon, prints what it would serve and how, and serves nothing.
    /// What is wrong is told as at a start; of a Corefile all of it at once, each mistake with
    /// its line.
    Check(Box<Check>),
    /// Show how an answer comes about
    ///
    /// Takes the flags of the daemon, asks as it would, and shows where the name was routed,
    /// each sub-question, each cluster's rcode, records, time and transport, what became of
    /// every record and by which rule, and the final answer. Rules are those of
    /// docs/semantics.md.
    Explain(Box<Explain>),
    /// Watch it in a terminal
    ///
    /// Shows what a running daemon says at its --admin address: rates, latency, zones, clusters
    /// and servers, what is missing or stale and since when, and what happened last.
    ///
    /// Keys: q ends it, arrows and PgUp, PgDn, Home and End scroll, p pauses, ? tells the keys.
    Top(Top),
    /// Show it with two clusters
    ///
    /// Starts two small cluster DNS servers inside the process and the daemon in front of
    /// them, prints the dig command to ask it with and its answer, and serves until it is
    /// interrupted.
    Demo(Demo),
    /// Print shell completions
    ///
    /// For bash, in /usr/share/bash-completion/completions/gathersrv; for zsh, as _gathersrv in
    /// a directory of its fpath; for fish, in /usr/share/fish/vendor_completions.d/gathersrv.fish.
    ///
    /// Example: source <(gathersrv completions bash)
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Print the manual
    ///
    /// The page gathersrv(1) on standard output, for 'man -l -', or all pages in a directory.
    Man {
        /// Write every page to this directory
        ///
        /// gathersrv.1, and one for each command, such as gathersrv-explain.1. The directory
        /// has to be there; pages in it are replaced.
        ///
        /// Example: --dir /usr/local/share/man/man1
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: Option<PathBuf>,
    },
    /// Tell of a flag or command
    ///
    /// 'help FLAG' tells all there is to know of a flag, with its dashes or without. 'help
    /// flags' lists all of the daemon's flags.
    #[command(disable_help_flag = true)]
    Help {
        /// A flag, a command, or 'flags'
        #[arg(value_name = "WORD", allow_hyphen_values = true)]
        word: Option<String>,
    },
}

/// Flags of the demonstration.
#[derive(Debug, Args)]
pub struct Demo {
    /// Where to listen, over UDP and TCP
    ///
    /// An address of this host and a port, 53 if none is given.
    ///
    /// Default: a free port on 127.0.0.1.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(super) listen: Option<String>,
    /// Print the answer and exit
    ///
    /// Without it the demonstration serves until SIGINT or SIGTERM.
    #[arg(long)]
    pub once: bool,
    /// What to log, on standard error
    ///
    /// Each level has the lines of those before it.
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    pub(super) log: LogLevel,
    /// What a line of the log looks like
    ///
    /// Text for people, or a JSON object on each line for programs, with the facts of an event
    /// as fields of their own.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: LogFormat,
}

impl Demo {
    /// What is logged, and how.
    pub fn log(&self) -> Log {
        Log { level: self.log, format: self.log_format }
    }
}

/// Flags of an explanation: the daemon's, and the question.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The name to ask for
    #[arg(value_name = "NAME")]
    name: String,
    /// The type to ask for
    #[arg(value_name = "TYPE", default_value = "A")]
    rtype: String,
    /// For programs
    ///
    /// Prints the explanation as one JSON object.
    #[arg(long)]
    json: bool,
    /// As a client over TCP would be answered
    ///
    /// An answer over UDP may have to leave out what does not fit; over TCP it is whole.
    #[arg(long)]
    tcp: bool,
    // Last, because the heading of its last flags is that of those behind it.
    #[command(flatten)]
    pub(super) serve: Serve,
}

/// Flags of a check: the daemon's.
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    pub(super) serve: Serve,
}

/// Flags of the view in a terminal.
#[derive(Debug, Args)]
pub(super) struct Top {
    /// The --admin address of a running daemon
    ///
    /// An address and a port, as the daemon was given it.
    ///
    /// Example: gathersrv top --admin 127.0.0.1:9153
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:9153", value_parser = admin)]
    pub(super) admin: SocketAddr,
    /// Print the view and exit
    ///
    /// As plain text, whole, whatever the terminal. The exit code is 1 if the daemon cannot be
    /// reached.
    #[arg(long)]
    pub(super) once: bool,
    /// How often to ask
    ///
    /// From 100ms to 1h. An answer that does not come within five seconds is given up.
    ///
    /// Example: --interval 5s
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval,
          conflicts_with = "once")]
    pub(super) interval: Duration,
}

/// Shells that are helped.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Shell {
    /// GNU bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
}

impl Explain {
    pub(super) fn question(&self) -> Result<Question, ConfigError> {
        let rtype = self.rtype.to_ascii_uppercase();
        let rtype = rtype.parse().map_err(|_| ConfigError {
            place: "TYPE".into(),
            wrong: format!("'{}' is not a record type", self.rtype),
            remedy: "write one such as SRV, A, or TYPE65".into(),
        })?;
        let name = words::name("NAME", &self.name)?;
        let name = Name::from_octets(name.as_slice().to_vec()).map_err(|error| ConfigError {
            place: "NAME".into(),
            wrong: error.to_string(),
            remedy: "write a domain name".into(),
        })?;
        let transport = if self.tcp { Transport::Tcp } else { Transport::Udp };
        Ok(Question { name, rtype, transport, json: self.json })
    }
}
