//! What wakes the main thread: signals, changed files, and workers that ended.

use super::{CannotRun, Running};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Files are changed in several steps; so much time after the first of them is
/// enough for the others.
const SETTLE: Duration = Duration::from_millis(100);

/// Why the main thread woke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// SIGTERM or SIGINT: to stop.
    Stop,
    /// SIGHUP: to read the configuration again.
    Hangup,
    /// A file of the configuration may have changed.
    Changed,
}

/// The signals, taken from the moment this is made.
pub struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// One is enough to know that there were some: files that have nothing to do
    /// with us may change thousands of times a second beside those that have.
    changes: (mpsc::Sender<()>, mpsc::Receiver<()>),
}

impl Signals {
    /// From now on the signals are ours.
    pub fn take() -> Result<Self, CannotRun> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(CannotRun::start)?;
        let _inside = runtime.enter();
        let take = |kind| signal(kind).map_err(CannotRun::start);
        let (terminate, interrupt) =
            (take(SignalKind::terminate())?, take(SignalKind::interrupt())?);
        let hangup = take(SignalKind::hangup())?;
        drop(_inside);
        Ok(Signals { runtime, terminate, interrupt, hangup, changes: mpsc::channel(1) })
    }

    /// Where to say that a file has changed.
    pub fn changes(&self) -> mpsc::Sender<()> {
        self.changes.0.clone()
    }

    /// Waits for so long, or for another request to stop.
    pub fn wait_for_stop(
        &mut self,
        running: &mut Running,
        time: Duration,
    ) -> Result<(), CannotRun> {
        let Signals { runtime, terminate, interrupt, .. } = self;
        runtime.block_on(async {
            tokio::select! {
                () = tokio::time::sleep(time) => Ok(()),
                _ = terminate.recv() => Ok(()),
                _ = interrupt.recv() => Ok(()),
                Some(error) = running.ended.recv() => Err(error),
            }
        })
    }

    /// Waits for something to do, or for a worker that cannot go on.
    pub fn wait(&mut self, running: &mut Running) -> Result<Wake, CannotRun> {
        let Signals { runtime, terminate, interrupt, hangup, changes } = self;
        let changed = &mut changes.1;
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => Ok(Wake::Stop),
                _ = interrupt.recv() => Ok(Wake::Stop),
                _ = hangup.recv() => Ok(Wake::Hangup),
                Some(()) = changed.recv() => {
                    tokio::time::sleep(SETTLE).await;
                    while changed.try_recv().is_ok() {}
                    Ok(Wake::Changed)
                }
                Some(error) = running.ended.recv() => Err(error),
            }
        })
    }
}
