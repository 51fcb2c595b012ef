//! The only sockets, and the only clock.
//!
//! [`run`] binds the listeners and starts one [`worker`] per core: a thread, a
//! single-threaded runtime, its own listening sockets ([`sockets`]), engine and
//! links. A packet never leaves its worker: no lock, no atomic and no task per
//! datagram is on its way. [`datagrams`] moves UDP in batches ([`batch`]) on
//! both sides; [`streams`] serves TCP clients and [`tcp_link`] asks clusters
//! over it, both with the framing of [`frames`].

pub mod batch;
mod datagrams;
pub mod frames;
mod limits;
mod sockets;
mod streams;
mod tcp_link;
mod worker;

use crate::config::Plan;
use limits::ConnectionLimits;
use sockets::Listener;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

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
    fn start(why: std::io::Error) -> Self {
        CannotRun {
            what: "cannot start".into(),
            why,
            remedy: "see whether the process may have more threads, memory or files".into(),
        }
    }
}

/// A daemon whose workers are running.
pub struct Running {
    /// Where it listens; ports the system picked are filled in.
    pub listen: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    workers: Vec<std::thread::JoinHandle<()>>,
}

impl Running {
    /// Binds every listener and starts the workers.
    pub fn start(plan: &Arc<Plan>) -> Result<Self, CannotRun> {
        let listeners = sockets::bind_all(&plan.settings.listen)?;
        let listen: Vec<SocketAddr> = listeners.iter().map(|bound| bound.addr).collect();
        let (stop, stopped) = watch::channel(false);
        let limits = Arc::new(ConnectionLimits::default());
        let mut running = Running { listen, stop, workers: Vec::new() };
        for n in 0..plan.settings.workers.get() {
            let mut seed = [0; 32];
            rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut seed)
                .map_err(|error| CannotRun::start(std::io::Error::other(error)))?;
            let own = listeners.iter().map(Listener::open).collect::<Result<Vec<_>, _>>()?;
            let (plan, stopped, limits) = (plan.clone(), stopped.clone(), limits.clone());
            let thread = std::thread::Builder::new().name(format!("worker-{n}"));
            let started = thread.spawn(move || {
                if let Err(error) = worker::run(plan, seed, own, stopped, limits) {
                    tracing::error!("worker {n} ended: {error}");
                }
            });
            running.workers.push(started.map_err(CannotRun::start)?);
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

/// Waits for SIGTERM or SIGINT.
pub fn wait_for_signal() -> Result<(), CannotRun> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(CannotRun::start)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(CannotRun::start)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(CannotRun::start)?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    })
}
