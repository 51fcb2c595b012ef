//! The only sockets, and the only clock.
//!
//! [`Running::start`] binds the listeners and starts one [`worker`] per core: a
//! thread, a single-threaded runtime, its own listening sockets ([`sockets`]),
//! engine and links. Equal questions come to the same worker ([`steer`]), and a
//! packet never leaves its worker: no lock, no atomic and no task per datagram
//! is on its way. [`datagrams`] moves UDP in batches ([`batch`]) on both sides;
//! [`streams`] serves TCP clients and [`tcp_link`] asks clusters over it, both
//! with the framing of [`frames`].

pub mod batch;
mod datagrams;
pub mod frames;
mod limits;
mod once;
mod sockets;
mod steer;
mod streams;
mod tcp_link;
mod worker;

pub use once::ask;

use crate::config::Plan;
use limits::ConnectionLimits;
use sockets::Listener;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// The daemon cannot run: the host's or the operator's to mend.
#[derive(Debug)]
pub struct CannotRun {
    what: String,
    why: std::io::Error,
    remedy: String,
}

impl std::fmt::Display for CannotRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}; {}", self.what, self.why, self.remedy)
    }
}

impl std::error::Error for CannotRun {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.why)
    }
}

impl CannotRun {
    pub(super) fn start(why: std::io::Error) -> Self {
        CannotRun {
            what: "cannot start".into(),
            why,
            remedy: "see whether the process may have more threads, memory or files".into(),
        }
    }
}

/// A daemon whose workers are running.
pub struct Running {
    /// Where each plan is served; ports the system picked are filled in.
    pub listen: Vec<Vec<SocketAddr>>,
    stop: watch::Sender<bool>,
    ended: mpsc::UnboundedReceiver<CannotRun>,
    workers: Vec<std::thread::JoinHandle<()>>,
}

impl Running {
    /// Binds every listener and starts the workers: for each plan its own,
    /// which share nothing with the others'.
    pub fn start(plans: &[Arc<Plan>]) -> Result<Self, CannotRun> {
        let mut bound = Vec::new();
        for plan in plans {
            let workers = plan.settings.workers.get();
            bound.push(sockets::bind_all(&plan.settings.listen, workers)?);
        }
        let listen = bound.iter().map(|all| all.iter().map(|bound| bound.addr).collect());
        let (stop, stopped) = watch::channel(false);
        let limits = Arc::new(ConnectionLimits::default());
        let (end, ended) = mpsc::unbounded_channel();
        let mut running = Running { listen: listen.collect(), stop, ended, workers: Vec::new() };
        for (plan, listeners) in plans.iter().zip(&bound) {
            for _ in 0..plan.settings.workers.get() {
                let seed = fresh_seed()?;
                let own = listeners.iter().map(Listener::open).collect::<Result<Vec<_>, _>>()?;
                let (plan, stopped, limits) = (plan.clone(), stopped.clone(), limits.clone());
                let n = running.workers.len();
                let watchdog = Watchdog { end: end.clone(), worker: n };
                let thread = std::thread::Builder::new().name(format!("worker-{n}"));
                let started = thread.spawn(move || {
                    if let Err(error) = worker::run(plan, seed, own, stopped, limits) {
                        watchdog.report(error);
                    }
                });
                running.workers.push(started.map_err(CannotRun::start)?);
            }
        }
        Ok(running)
    }

    /// Stops listening, waits until the queries in flight are answered, and
    /// ends. Bounded by the deadline.
    pub fn stop(self) {
        let _ = self.stop.send(true);
        for worker in self.workers {
            let _ = worker.join();
        }
    }
}

/// Octets from the system's CSPRNG, for an engine (U2).
fn fresh_seed() -> Result<[u8; 32], CannotRun> {
    let mut seed = [0; 32];
    match rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut seed) {
        Ok(()) => Ok(seed),
        Err(error) => Err(CannotRun::start(std::io::Error::other(error))),
    }
}

/// Reports a worker that ends before it is told to, even by a panic.
struct Watchdog {
    end: mpsc::UnboundedSender<CannotRun>,
    worker: usize,
}

impl Watchdog {
    fn report(&self, why: std::io::Error) {
        let what = format!("worker {} ended", self.worker);
        let remedy = "start the daemon again, and report what the log says".into();
        let _ = self.end.send(CannotRun { what, why, remedy });
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.report(std::io::Error::other("it panicked"));
        }
    }
}

/// SIGTERM and SIGINT, taken from the moment this is made.
pub struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on the signals are ours.
    pub fn take() -> Result<Self, CannotRun> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(CannotRun::start)?;
        let (terminate, interrupt) = {
            let _inside = runtime.enter();
            let terminate = signal(SignalKind::terminate()).map_err(CannotRun::start)?;
            (terminate, signal(SignalKind::interrupt()).map_err(CannotRun::start)?)
        };
        Ok(Signals { runtime, terminate, interrupt })
    }

    /// Waits for a signal, or for a worker that cannot go on.
    pub fn wait(&mut self, running: &mut Running) -> Result<(), CannotRun> {
        let Signals { runtime, terminate, interrupt } = self;
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => Ok(()),
                _ = interrupt.recv() => Ok(()),
                Some(error) = running.ended.recv() => Err(error),
            }
        })
    }
}
