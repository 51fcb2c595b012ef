//! The daemon: started with the flags an operator would write, read as an
//! operator would, and stopped at the end of the test.

use crate::client;
use crate::upstream::Upstream;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Far more than anything takes on a machine that does something else, too.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Longer than the admin server gives the same figures again.
const FRESH: Duration = Duration::from_millis(60);

const POLL: Duration = Duration::from_millis(10);

/// Waits until `ready` gives something.
pub fn until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(POLL);
    }
}

/// The lines of a pipe so far.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let lines = Lines::default();
        let all = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                all.0.lock().unwrap().push(line);
            }
        });
        lines
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A running daemon.
pub struct Daemon {
    child: Child,
    out: Lines,
    log: Lines,
}

/// The flags of a zone `distributed.local.` in front of these clusters, a-, b-, ...
pub fn zone(clusters: &[&Upstream]) -> Vec<String> {
    let mut flags = vec!["--zone".into(), "distributed.local.".into()];
    for (cluster, letter) in clusters.iter().zip('a'..) {
        flags.push("--cluster".into());
        flags.push(format!("cluster-{letter}.local. {letter}- {}", cluster.addr));
    }
    flags
}

/// The program, with flags but not started.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gathersrv"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Daemon {
    /// On a free port of loopback, with an admin address and one worker unless
    /// `flags` say how many; ready.
    pub fn start(clusters: &[&Upstream], flags: &[&str]) -> Self {
        let mut command = program();
        for (flag, value) in
            [("--listen", "127.0.0.1:0"), ("--workers", "1"), ("--admin", "127.0.0.1:0")]
        {
            if !flags.contains(&flag) {
                command.args([flag, value]);
            }
        }
        command.args(zone(clusters)).args(flags);
        Self::run(command)
    }

    /// With a Corefile.
    pub fn with_corefile(path: &std::path::Path) -> Self {
        let mut command = program();
        command.arg("--config").arg(path);
        Self::run(command)
    }

    pub fn run(mut command: Command) -> Self {
        command.args(["--log-format", "json"]);
        let mut child = command.spawn().expect("the daemon starts");
        let log = Lines::of(child.stderr.take().unwrap());
        let out = child.stdout.take().map_or_else(|| log.clone(), Lines::of);
        let mut daemon = Daemon { child, out, log };
        until("ready", || {
            let ended = daemon.child.try_wait().unwrap();
            assert_eq!(ended, None, "{:?}", daemon.log.all());
            daemon.out.all().iter().any(|line| line == "ready").then_some(())
        });
        daemon
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said on standard output.
    pub fn said(&self) -> Vec<String> {
        self.out.all()
    }

    /// Where it listens: `zone ... on ADDR (UDP and TCP), ADDR (TLS)`.
    pub fn addr(&self) -> SocketAddr {
        self.listens("UDP and TCP")
    }

    /// Where it listens for DNS over TLS.
    pub fn addr_tls(&self) -> SocketAddr {
        self.listens("TLS")
    }

    fn listens(&self, service: &str) -> SocketAddr {
        let said = self.said();
        let line = said.iter().find(|line| line.starts_with("zone ")).expect("a zone");
        let (front, _) = line.split_once(&format!(" ({service})")).expect("a listener");
        front.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Where the admin server listens.
    pub fn admin(&self) -> SocketAddr {
        let said = self.said();
        let line =
            said.iter().find(|line| line.starts_with("admin on ")).expect("an admin address");
        line["admin on ".len()..].split(' ').next().unwrap().parse().unwrap()
    }

    /// The log so far, each line an object.
    pub fn log(&self) -> Vec<Value> {
        let lines = self.log.all();
        // Where both go to one pipe, the lines of standard output are no objects.
        let objects = lines.iter().filter(|line| line.starts_with('{'));
        objects.map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// Waits for an event, and gives the first of its kind.
    pub fn event(&self, event: &str) -> Value {
        until(event, || self.events(event).into_iter().next())
    }

    pub fn events(&self, event: &str) -> Vec<Value> {
        self.log().into_iter().filter(|line| line["event"] == event).collect()
    }

    /// Every sample of `/metrics`, by its name with labels, none of it from before
    /// this call.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        std::thread::sleep(FRESH);
        let text = client::get(self.admin(), "/metrics").text;
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples
            .map(|line| line.rsplit_once(' ').unwrap())
            .map(|(n, v)| (n.into(), v.parse().unwrap()))
            .collect()
    }

    /// The sum of the samples of a metric whose labels have all of `labels`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let all = self.metrics();
        let named = all.iter().filter(|(key, _)| {
            let (front, rest) = key.split_once('{').unwrap_or((key, ""));
            front == name && labels.iter().all(|label| rest.contains(label))
        });
        let values: Vec<f64> = named.map(|(_, value)| *value).collect();
        assert!(!values.is_empty(), "no {name} with {labels:?}");
        values.iter().sum()
    }

    /// Waits until that sum is what it has to be.
    pub fn until_metric(&self, name: &str, labels: &[&str], value: f64) {
        until(&format!("{name} {labels:?} is {value}"), || {
            (self.metric(name, labels) == value).then_some(())
        });
    }

    pub fn status(&self) -> Value {
        serde_json::from_str(&client::get(self.admin(), "/status.json").text).unwrap()
    }

    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").args([format!("-{name}"), self.pid().to_string()]).status();
        assert!(done.unwrap().success());
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("the daemon ends", || child.try_wait().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is nobody else's, where a flag needs one by number: below those
/// the system gives away, at an address of loopback that no other process uses.
pub fn own_port(number: u8) -> SocketAddr {
    let pid = std::process::id();
    let octets = [127, 64 + (pid >> 8) as u8 % 128, pid as u8, 1 + number];
    SocketAddr::from((octets, 5300 + (pid >> 15) as u16))
}

/// A directory of the test's own, gone at its end.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gathersrv-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    /// Writes a file whole, as editors do, and gives its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let (path, new) = (self.0.join(name), self.0.join(format!(".{name}.new")));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &path).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
