//! Where the log goes, and what its lines look like: text for people, JSON for
//! programs. The same events, with the same facts in both.
//!
//! An event of ours says everything in its sentence; the facts in it stand
//! beside as fields of their own, for JSON. So text leaves those out.

use clap::ValueEnum;
use std::io::{IsTerminal, stderr};
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What lines of the query log are called. They are told at every level: who has
/// switched them on wants them.
pub const QUERY: &str = "query";

/// Fields that a text line leaves out: its sentence says what is in them.
pub const SAID: [&str; 8] =
    ["event", "server", "zone", "cluster", "seconds", "questions", "more", "entries"];

/// How much is logged.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LogLevel {
    /// Nothing
    Off,
    /// What keeps the daemon from working
    Error,
    /// What an operator should see to
    Warn,
    /// What happens
    Info,
    /// What happens, in detail
    Debug,
    /// Everything
    Trace,
}

/// What lines look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line of text for each event
    Text,
    /// One JSON object for each event
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    /// How much.
    pub level: LogLevel,
    /// How.
    pub format: LogFormat,
}

impl Log {
    fn filter(self) -> Targets {
        let level = match self.level {
            LogLevel::Off => LevelFilter::OFF,
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Trace => LevelFilter::TRACE,
        };
        Targets::new().with_default(level).with_target(QUERY, Level::INFO)
    }

    /// From now on events go to standard error.
    pub fn start(self) {
        let log = tracing_subscriber::fmt::layer().with_writer(stderr);
        let log = match self.format {
            LogFormat::Text => {
                // Colours are for terminals, and for those who want them.
                let colours = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
                let fields = format::debug_fn(|writer, field, value| match field.name() {
                    "message" => write!(writer, "{value:?}"),
                    said if SAID.contains(&said) => Ok(()),
                    name => write!(writer, " {name}={value:?}"),
                });
                log.with_ansi(colours).with_target(false).fmt_fields(fields).boxed()
            }
            LogFormat::Json => log
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .boxed(),
        };
        // Only in tests is there one already.
        let _ = tracing_subscriber::registry().with(log.with_filter(self.filter())).try_init();
    }
}
