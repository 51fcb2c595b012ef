//! The command line, typed. No effects: what the words mean is decided in
//! [`crate::config`], what is done with them in [`crate::run`].

mod serve;

use crate::config::{ConfigError, Draft, Settings, words};
use crate::engine::Transport;
use crate::log::{Log, LogFormat, LogLevel};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use domain::base::Name;
use domain::base::iana::Rtype;
use serve::Serve;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "gathersrv",
    version,
    about = "Ask once, get every cluster: one merged DNS answer from several clusters",
    args_conflicts_with_subcommands = true,
    after_help = "Example:\n  gathersrv --zone distributed.local. \\\n    \
                  --cluster 'cluster-a.local. a- 10.8.0.1:53' \\\n    \
                  --cluster 'cluster-b.local. b- 10.9.0.1:53 10.9.0.2'"
)]
struct Cli {
    #[command(subcommand)]
    command: Option<SubCommand>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum SubCommand {
    /// Show the main job with two clusters inside the process
    Demo(Demo),
    /// Ask one question and show how its answer comes about
    Explain(Box<Explain>),
    /// Print what would be served, or what is wrong
    Check(Box<Check>),
}

/// Flags of the demonstration.
#[derive(Debug, Args)]
pub struct Demo {
    /// Where to listen, UDP and TCP [default: a free port on 127.0.0.1]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Print the answer and exit
    #[arg(long)]
    pub once: bool,
    /// What to log, on standard error
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log: LogLevel,
    /// What a line of the log looks like
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

impl Demo {
    /// What is logged, and how.
    pub fn log(&self) -> Log {
        Log { level: self.log, format: self.log_format }
    }
}

/// Flags of an explanation: the daemon's, and the question.
#[derive(Debug, Args)]
struct Explain {
    #[command(flatten)]
    serve: Serve,
    /// The name to ask for
    #[arg(value_name = "NAME")]
    name: String,
    /// The type to ask for
    #[arg(value_name = "TYPE", default_value = "A")]
    rtype: String,
    /// For programs
    #[arg(long)]
    json: bool,
    /// As a client over TCP would be answered
    #[arg(long)]
    tcp: bool,
}

/// Flags of a check: the daemon's.
#[derive(Debug, Args)]
struct Check {
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
}

/// Where it is written what is to be served.
#[derive(Debug, Clone)]
pub enum Written {
    /// In the flags.
    Flags(Draft),
    /// In a file; the settings hold where it says nothing.
    File(PathBuf, Settings),
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

/// Reads the command line.
pub fn parse<I, T>(words: I) -> Result<Command, CliError>
where
    I: IntoIterator<Item = T>,
    T: Into<std::ffi::OsString> + Clone,
{
    let matches = Cli::command().try_get_matches_from(words).map_err(CliError::Flags)?;
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
    }
}

impl Explain {
    fn question(&self) -> Result<Question, ConfigError> {
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
        Cli::command().debug_assert();
    }
}
