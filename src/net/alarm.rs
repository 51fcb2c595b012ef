//! What becomes of a panic in a worker: the process ends and says so, for
//! whoever watches it to start it again. The runtime would catch what panics in a
//! task and go on with the others: a worker that looks alive and swallows its
//! share of the queries.

use super::CannotRun;
use std::io;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

/// Says that a worker panicked. By default nobody listens.
#[derive(Debug, Clone, Default)]
pub struct Alarm {
    to: Option<(UnboundedSender<CannotRun>, usize)>,
}

/// Held by what may panic.
pub struct Guard(Alarm);

impl Alarm {
    /// Of this worker, for whoever waits at the other end.
    pub fn new(end: UnboundedSender<CannotRun>, worker: usize) -> Self {
        Alarm { to: Some((end, worker)) }
    }

    /// Raises the alarm if it is dropped by a panic.
    pub fn guard(&self) -> Guard {
        Guard(self.clone())
    }

    /// Begins a task on this thread, whose runtime keeps its tasks to itself.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
        let guard = self.guard();
        tokio::task::spawn_local(async move {
            let _guard = guard;
            task.await;
        })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some((end, worker)) = &self.0.to
            && std::thread::panicking()
        {
            let what = format!("worker {worker} ended");
            let why = io::Error::other("it panicked");
            let remedy = "start the daemon again, and report what the log says".into();
            // Nobody hears it when everything ends anyway.
            let _ = end.send(CannotRun { what, why, remedy });
        }
    }
}
