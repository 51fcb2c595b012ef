//! What each command does, from the command line to the exit code.

use crate::cli::{self, CliError, Command, Demo, Question, Written, man};
use crate::config::{self, AdminAt, ConfigError, Plan};
use crate::corefile::{self, Mistakes};
use crate::demo;
use crate::explain::{self, ExplainError};
use crate::log::Log;
use crate::net::{
    self, CannotRun, Entrance, Handed, KeyError, Manager, Running, Served, Signals, Wake,
};
use crate::reload::Reloader;
use crate::tell::{LAST_WORDS, join_within};
use crate::top;
use crate::wire::name::FlatName;
use std::collections::BTreeSet;
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub enum Failure {
    /// The command line; also a request for help, which is no failure.
    Flags(clap::Error),
    /// The configuration in the flags.
    Config(ConfigError),
    /// The configuration in a file.
    Corefile(Mistakes),
    /// Certificates and keys.
    Keys(KeyError),
    /// The host.
    CannotRun(CannotRun),
    /// The demonstration did not get its answer.
    Demo(demo::DemoError),
    /// There is nothing to explain.
    Explain(ExplainError),
    /// The manual cannot be written.
    Man(man::ManError),
    /// The daemon cannot be shown.
    Top(top::TopError),
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

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Failure::Keys(error)
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
            // Each mistake names its file already.
            Failure::Corefile(_) => {
                complain(&format!("{self}\n"));
                ExitCode::from(2)
            }
            Failure::Config(_) | Failure::Keys(_) => {
                complain(&format!("gathersrv: {self}\n"));
                ExitCode::from(2)
            }
            Failure::CannotRun(_)
            | Failure::Demo(_)
            | Failure::Explain(_)
            | Failure::Man(_)
            | Failure::Top(_) => {
                complain_in_time(format!("gathersrv: {self}\n"));
                ExitCode::from(1)
            }
        }
    }
}

impl Failure {
    /// What is wrong where something else is served: a change of that.
    pub(crate) fn found(&self) -> String {
        match self {
            Failure::Corefile(mistakes) => mistakes.found.clone(),
            other => other.to_string(),
        }
    }
}

/// Writes to standard error, which may be closed.
fn complain(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// The same where the log may be full of what nobody reads: the end comes all
/// the same.
fn complain_in_time(text: String) {
    if let Ok(thread) = std::thread::Builder::new().spawn(move || complain(&text)) {
        join_within(thread, LAST_WORDS);
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Flags(error) => error.fmt(f),
            Failure::Config(error) => error.fmt(f),
            Failure::Corefile(error) => error.fmt(f),
            Failure::Keys(error) => error.fmt(f),
            Failure::CannotRun(error) => error.fmt(f),
            Failure::Demo(error) => error.fmt(f),
            Failure::Explain(error) => error.fmt(f),
            Failure::Man(error) => error.fmt(f),
            Failure::Top(error) => error.fmt(f),
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
        Command::Print(text) => {
            print(&text);
            Ok(())
        }
        Command::Top(view) if view.once => {
            print(&top::once(view.admin).map_err(Failure::Top)?);
            Ok(())
        }
        Command::Top(view) => top::watch(&view).map_err(Failure::Top),
        Command::Man(dir) => manual(dir.as_deref()),
    }
}

/// What is written down, read.
pub struct Read {
    /// One plan for each set of listeners.
    pub plans: Vec<Plan>,
    /// Where a change would change them.
    pub directories: BTreeSet<PathBuf>,
}

/// Reads what is written down.
pub fn read(written: &Written) -> Result<Read, Failure> {
    let (plans, mut directories) = match written {
        Written::Flags(draft) => {
            let mut draft = draft.clone();
            if draft.settings.listen.is_empty() && draft.settings.listen_tls.is_empty() {
                draft.settings.listen = loopback();
            }
            (vec![config::build(draft)?], BTreeSet::new())
        }
        Written::File(path, defaults) => {
            let read = corefile::read(path, defaults)?;
            (read.plans, read.directories)
        }
    };
    let files = plans.iter().flat_map(Plan::files);
    directories.extend(files.filter_map(|file| file.parent().map(Path::to_path_buf)));
    Ok(Read { plans, directories })
}

fn load(plans: Vec<Plan>) -> Result<Vec<Served>, KeyError> {
    plans.into_iter().map(Served::load).collect()
}

fn serve(written: Written, log: Log) -> Result<(), Failure> {
    log.start();
    let manager = Manager::from_env();
    let mut signals = Signals::take(manager)?;
    let handed = Handed::take()?;
    let written = written.listening(&handed.addresses());
    let read = read(&written)?;
    for warning in read.plans.iter().flat_map(|plan| &plan.warnings) {
        tracing::warn!("{warning}");
    }
    if let Some(hint) = read.plans.iter().find_map(|plan| net::hint(&plan.settings)) {
        tracing::info!("{hint}");
    }
    // Before the files are read, so that no change of them is missed.
    let mut reloader = Reloader::new(written, &read, signals.changes());
    let admin = AdminAt::of(&read.plans);
    let take_over = read.plans.iter().any(|plan| plan.settings.take_over);
    let mut running = Running::start(&load(read.plans)?, Entrance { handed, take_over })?;
    let plans = running.plans();
    for line in plans.iter().flat_map(Plan::summary) {
        say(&line);
    }
    reloader.show(&running, &plans, &admin)?;
    say("ready");
    // From here on the log is not written on this thread: if nobody reads it, it
    // still has to answer signals and the service manager.
    let told = running.desk().reporter().clone();
    let mut said = status(&running, &reloader);
    manager.ready(&said, &told);
    loop {
        match signals.wait(&mut running)? {
            Wake::Stop => break,
            Wake::Hangup => {
                manager.reloading(&told);
                reloader.reload(&mut running, true);
                said = status(&running, &reloader);
                manager.ready(&said, &told);
            }
            Wake::Changed => {
                reloader.reload(&mut running, false);
                // A busy directory is no news.
                let now = status(&running, &reloader);
                if now != said {
                    said = now;
                    manager.status(&said, &told);
                }
            }
        }
    }
    manager.stopping(&told);
    // Nobody shall hear at the admin addresses of a follower that this one is not ready.
    if running.is_replaced() {
        reloader.leave(&told);
    }
    running.close();
    let lame_duck = running.plans().iter().map(|plan| plan.settings.lame_duck).max();
    signals.be_lame_duck(&mut running, lame_duck.unwrap_or_default())?;
    if running.is_followed() {
        reloader.leave(&told);
    }
    signals.leave(&mut running);
    running.stop();
    Ok(())
}

/// What is served, and whether that is what is written, in a line.
fn status(running: &Running, reloader: &Reloader) -> String {
    let plans = running.plans();
    let zones = plans.iter().flat_map(|plan| &plan.zones);
    let clusters = zones.clone().map(|zone| zone.clusters.len()).sum();
    let forwards = plans.iter().map(|plan| plan.forwards.len()).sum();
    let mut parts = Vec::new();
    if clusters > 0 {
        parts.push(format!("{} from {}", some(zones.count(), "zone"), some(clusters, "cluster")));
    }
    if forwards > 0 {
        parts.push(some(forwards, "forward"));
    }
    let mut line = format!("serving {}", parts.join(" and "));
    if let Some(why) = reloader.refused() {
        line += &format!("; last change refused: {why}");
    }
    line
}

fn some(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn check(written: Written) -> Result<(), Failure> {
    let plans = read(&written)?.plans;
    for plan in &plans {
        Served::load(plan.clone())?;
        for line in plan.summary().iter().chain(&plan.policies()) {
            say(line);
        }
        for warning in &plan.warnings {
            say(&format!("warning: {warning}"));
        }
    }
    if let Some(hint) = plans.iter().find_map(|plan| net::hint(&plan.settings)) {
        say(&format!("hint: {hint}"));
    }
    for at in AdminAt::of(&plans) {
        println!("{at}");
    }
    Ok(())
}

fn demonstrate(flags: &Demo, listen: Option<SocketAddr>) -> Result<(), Failure> {
    flags.log().start();
    let listen = listen.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
    let clusters = demo::Clusters::start()?;
    let plan = config::build(clusters.draft(listen))?;
    let mut signals = Signals::take(Manager::default())?;
    let mut running = Running::start(&load(vec![plan])?, Entrance::default())?;
    let shown = demo::show(&running)?;
    print(&shown.to_string());
    if !flags.once {
        say("ready");
        while signals.wait(&mut running)? != Wake::Stop {}
    }
    running.stop();
    Ok(())
}

fn explain(written: Written, log: Log, question: &Question) -> Result<(), Failure> {
    log.start();
    let mut plans = read(&written)?.plans;
    // Of several, the one that serves the name; the first says why none does.
    let mut name = question.name.as_slice().to_vec();
    name.make_ascii_lowercase();
    let serves =
        |plan: &Plan| FlatName::from_flat(&name).is_ok_and(|name| plan.route(&name).is_some());
    let place = plans.iter().position(serves).unwrap_or(0);
    let served = Served::load(plans.swap_remove(place))?;
    for warning in &served.plan.warnings {
        tracing::warn!("{warning}");
    }
    let told = explain::explain(&served, &question.name, question.rtype, question.transport)
        .map_err(Failure::Explain)?;
    if question.json {
        say(&told.json().map_err(Failure::Explain)?.to_string());
    } else {
        print(&told.to_string());
    }
    Ok(())
}

fn manual(dir: Option<&Path>) -> Result<(), Failure> {
    match dir {
        Some(dir) => man::write(dir).map_err(Failure::Man),
        None => {
            let pages = man::pages(&cli::command());
            pages.first().iter().for_each(|page| print(&page.text));
            Ok(())
        }
    }
}

/// Prints a text of which a reader such as `head` may not want all.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints a line, if anybody reads it.
pub(crate) fn say(line: &str) {
    print(&format!("{line}\n"));
}

/// Where to listen if nobody says: on loopback only, so that nobody opens a
/// resolver to the world by accident; IPv6 if the host has it.
fn loopback() -> Vec<SocketAddr> {
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, config::words::DNS_PORT));
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, config::words::DNS_PORT));
    let has_v6 = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if has_v6 { vec![v4, v6] } else { vec![v4] }
}
