//! What each command does, from the command line to the exit code.

use crate::cli::{CliError, Command, Demo, LogLevel, Question, Written};
use crate::config::{self, ConfigError, Plan};
use crate::corefile::{self, Mistakes};
use crate::demo;
use crate::explain::{self, ExplainError};
use crate::net::{CannotRun, Running, Signals, Wake};
use crate::reload::Reloader;
use crate::wire::name::FlatName;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub enum Failure {
    /// The command line; also a request for help, which is no failure.
    Flags(clap::Error),
    /// The configuration in the flags.
    Config(ConfigError),
    /// The configuration in a file.
    Corefile(Mistakes),
    /// The host.
    CannotRun(CannotRun),
    /// The demonstration did not get its answer.
    Demo(demo::DemoError),
    /// There is nothing to explain.
    Explain(ExplainError),
}

impl From<CliError> for Failure {
    fn from(error: CliError) -> Self {
        match error {
            CliError::Flags(error) => Failure::Flags(error),
            CliError::Words(error) => Failure::Config(error),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Failure::Config(error)
    }
}

impl From<Mistakes> for Failure {
    fn from(error: Mistakes) -> Self {
        Failure::Corefile(error)
    }
}

impl From<CannotRun> for Failure {
    fn from(error: CannotRun) -> Self {
        Failure::CannotRun(error)
    }
}

impl From<demo::DemoError> for Failure {
    fn from(error: demo::DemoError) -> Self {
        Failure::Demo(error)
    }
}

impl Failure {
    /// Says what went wrong, on standard error, and gives the exit code: 2 for
    /// the operator's words, 1 for everything else.
    pub fn report(self) -> ExitCode {
        match self {
            Failure::Flags(error) => {
                // Help and version go to standard output, with code 0.
                let code = if error.use_stderr() { 2 } else { 0 };
                let _ = error.print();
                ExitCode::from(code)
            }
            Failure::Config(error) => {
                eprintln!("gathersrv: {error}");
                ExitCode::from(2)
            }
            // Each mistake names its file already.
            Failure::Corefile(error) => {
                eprintln!("{error}");
                ExitCode::from(2)
            }
            Failure::CannotRun(error) => {
                eprintln!("gathersrv: {error}");
                ExitCode::from(1)
            }
            Failure::Demo(error) => {
                eprintln!("gathersrv: {error}");
                ExitCode::from(1)
            }
            Failure::Explain(error) => {
                eprintln!("gathersrv: {error}");
                ExitCode::from(1)
            }
        }
    }
}

/// Does what the command line says, and returns when it is done.
pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(written, log) => serve(written, log),
        Command::Demo(flags, listen) => demonstrate(&flags, listen),
        Command::Explain(written, log, question) => explain(written, log, &question),
        Command::Check(written) => check(written),
    }
}

/// The plans that are written down, one for each set of listeners.
fn plans(written: Written) -> Result<Vec<Plan>, Failure> {
    match written {
        Written::Flags(mut draft) => {
            if draft.settings.listen.is_empty() {
                draft.settings.listen = loopback();
            }
            Ok(vec![config::build(draft)?])
        }
        Written::File(path, defaults) => Ok(corefile::read(&path, &defaults)?.plans),
    }
}

fn serve(written: Written, log: LogLevel) -> Result<(), Failure> {
    start_log(log);
    let mut signals = Signals::take()?;
    let (plans, mut reloader) = match written {
        Written::Flags(_) => (plans(written)?, None),
        Written::File(path, defaults) => {
            let read = corefile::read(&path, &defaults)?;
            let reloader = Reloader::new(path, defaults, &read, signals.changes());
            (read.plans, Some(reloader))
        }
    };
    plans.iter().for_each(warn);
    let shared: Vec<Arc<Plan>> = plans.into_iter().map(Arc::new).collect();
    let mut running = Running::start(&shared)?;
    for (plan, listen) in shared.iter().zip(running.listen()) {
        let mut plan = Plan::clone(plan);
        plan.settings.listen = listen;
        for line in plan.summary() {
            println!("{line}");
        }
    }
    println!("ready");
    loop {
        match (signals.wait(&mut running)?, &mut reloader) {
            (Wake::Stop, _) => break,
            (wake, Some(reloader)) => reloader.reload(&mut running, wake == Wake::Hangup),
            (_, None) => tracing::info!("there is no file to read again: flags say what is served"),
        }
    }
    running.stop();
    Ok(())
}

/// What an operator should know before the daemon serves.
pub(crate) fn warn(plan: &Plan) {
    for warning in &plan.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(addr) = plan.settings.listen.iter().find(|addr| addr.ip().is_unspecified()) {
        tracing::warn!("{addr} is every address of this host: whoever reaches it may ask");
    }
}

fn check(written: Written) -> Result<(), Failure> {
    for plan in plans(written)? {
        for line in plan.summary().iter().chain(&plan.policies()) {
            println!("{line}");
        }
        for warning in &plan.warnings {
            println!("warning: {warning}");
        }
    }
    Ok(())
}

fn demonstrate(flags: &Demo, listen: Option<SocketAddr>) -> Result<(), Failure> {
    start_log(flags.log);
    let listen = listen.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
    let clusters = demo::Clusters::start()?;
    let plan = config::build(clusters.draft(listen))?;
    let mut signals = Signals::take()?;
    let mut running = Running::start(&[Arc::new(plan.clone())])?;
    let shown = demo::show(&plan, &running)?;
    print!("{shown}");
    if !flags.once {
        println!("ready");
        while signals.wait(&mut running)? != Wake::Stop {}
    }
    running.stop();
    Ok(())
}

fn explain(written: Written, log: LogLevel, question: &Question) -> Result<(), Failure> {
    start_log(log);
    let mut plans = plans(written)?;
    // Of several, the one that serves the name; the first says why none does.
    let mut name = question.name.as_slice().to_vec();
    name.make_ascii_lowercase();
    let serves =
        |plan: &Plan| FlatName::from_flat(&name).is_ok_and(|name| plan.route(&name).is_some());
    let place = plans.iter().position(serves).unwrap_or(0);
    let plan = Arc::new(plans.swap_remove(place));
    for warning in &plan.warnings {
        tracing::warn!("{warning}");
    }
    let told = explain::explain(&plan, &question.name, question.rtype, question.transport)
        .map_err(Failure::Explain)?;
    if question.json {
        println!("{}", told.json().map_err(Failure::Explain)?);
    } else {
        print!("{told}");
    }
    Ok(())
}

/// Where to listen if nobody says: on loopback only, so that nobody opens a
/// resolver to the world by accident; IPv6 if the host has it.
fn loopback() -> Vec<SocketAddr> {
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, config::words::DNS_PORT));
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, config::words::DNS_PORT));
    let has_v6 = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if has_v6 { vec![v4, v6] } else { vec![v4] }
}

fn start_log(level: LogLevel) {
    use tracing::level_filters::LevelFilter;
    let filter = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let log = tracing_subscriber::fmt().with_max_level(filter).with_writer(std::io::stderr);
    // Only in tests is there one already.
    let _ = log.with_target(false).try_init();
}
