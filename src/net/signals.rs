//! What wakes the main thread: signals, changed files, and workers that ended.

use super::pulse::Pulse;
use super::{CannotRun, Manager, Running};
use crate::tell::Reporter;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::Level;

/// Files are changed in several steps; so much time after the first of them is
/// enough for the others.
const SETTLE: Duration = Duration::from_millis(100);

/// How often it is looked whether another process has left the ports.
const SHARED: Duration = Duration::from_millis(500);

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
    shared: Interval,
    watchdog: Watchdog,
}

/// Tells the service manager that all is well, as often as it wants to be told
/// and as long as it is true.
struct Watchdog {
    manager: Manager,
    interval: Option<Interval>,
}

impl Watchdog {
    /// When the next turn is; never if nobody wants to know.
    async fn due(&mut self) {
        match &mut self.interval {
            Some(interval) => drop(interval.tick().await),
            None => std::future::pending().await,
        }
    }

    async fn look(&self, pulse: &Pulse, reporter: &Reporter) {
        let patience = self.manager.interval().unwrap_or_default() / 2;
        match pulse.silent(patience).await {
            0 => self.manager.alive(reporter),
            silent => {
                let text = format!(
                    "{silent} of {} workers are stuck: the service manager is not told that all \
                     is well",
                    pulse.0.len()
                );
                reporter.line(Level::ERROR, "workers_stuck", text);
            }
        }
    }
}

fn every(time: Duration) -> Interval {
    let mut interval = interval(time);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

impl Signals {
    /// From now on the signals are ours, and `manager` hears that all is well.
    pub fn take(manager: Manager) -> Result<Self, CannotRun> {
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
        let (shared, changes) = (every(SHARED), mpsc::channel(1));
        let watchdog = Watchdog { manager, interval: manager.interval().map(every) };
        drop(_inside);
        Ok(Signals { runtime, terminate, interrupt, hangup, changes, shared, watchdog })
    }

    /// Where to say that a file has changed.
    pub fn changes(&self) -> mpsc::Sender<()> {
        self.changes.0.clone()
    }

    /// Waits for so long, or for another request to stop, or until others can take
    /// what comes.
    pub fn be_lame_duck(&mut self, running: &mut Running, time: Duration) -> Result<(), CannotRun> {
        let Signals { runtime, terminate, interrupt, shared, watchdog, .. } = self;
        runtime.block_on(async {
            let end = tokio::time::Instant::now() + time;
            while !running.is_replaced() {
                tokio::select! {
                    () = tokio::time::sleep_until(end) => return Ok(()),
                    _ = terminate.recv() => return Ok(()),
                    _ = interrupt.recv() => return Ok(()),
                    Some(error) = running.ended.recv() => return Err(error),
                    () = watchdog.due() => {
                        watchdog.look(&running.pulse(), running.desk().reporter()).await;
                    },
                    _ = shared.tick() => {}
                }
            }
            Ok(())
        })
    }

    /// Waits for something to do, or for a worker that cannot go on.
    pub fn wait(&mut self, running: &mut Running) -> Result<Wake, CannotRun> {
        let Signals { runtime, terminate, interrupt, hangup, changes, shared, watchdog } = self;
        let changed = &mut changes.1;
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = terminate.recv() => return Ok(Wake::Stop),
                    _ = interrupt.recv() => return Ok(Wake::Stop),
                    _ = hangup.recv() => return Ok(Wake::Hangup),
                    Some(()) = changed.recv() => {
                        tokio::time::sleep(SETTLE).await;
                        while changed.try_recv().is_ok() {}
                        return Ok(Wake::Changed);
                    }
                    Some(error) = running.ended.recv() => return Err(error),
                    () = watchdog.due() => {
                        watchdog.look(&running.pulse(), running.desk().reporter()).await;
                    },
                    _ = shared.tick(), if running.is_shared() => running.settle(),
                }
            }
        })
    }

    /// Leaves the ports to whoever shares them, unless there is another signal to
    /// stop: that ends it at once.
    pub fn leave(&mut self, running: &mut Running) {
        let Signals { runtime, terminate, interrupt, watchdog, .. } = self;
        let pulse = running.pulse();
        let reporter = running.desk().reporter().clone();
        runtime.block_on(async {
            let leaving = running.leave();
            tokio::pin!(leaving);
            loop {
                tokio::select! {
                    () = &mut leaving => return,
                    _ = terminate.recv() => return,
                    _ = interrupt.recv() => return,
                    () = watchdog.due() => watchdog.look(&pulse, &reporter).await,
                }
            }
        });
    }
}
