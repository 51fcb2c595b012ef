//! The workers, for those who want to know how they are doing: each is asked
//! for a copy of what it has counted, and gives it between two batches. Nothing
//! that is counted is shared, so asking costs a packet nothing but its turn.

use super::life::Order;
use super::sockets::Service;
use super::worker::Worker;
use crate::engine::{Time, Vitals};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A worker that has not answered by then is stuck, and left out.
const PATIENCE: Duration = Duration::from_secs(1);

/// Servers that nothing has been heard of for so long are asked whether they
/// are there.
const IDLE: Duration = Duration::from_secs(10);

/// How a worker is doing.
#[derive(Debug, Clone)]
pub struct WorkerVitals {
    /// A number that no other worker of this process ever has.
    pub worker: usize,
    /// Its engine.
    pub engine: Vitals,
    /// Clients' connections that are open, over TCP and over TLS.
    pub connections: [usize; 2],
    /// Connections closed at once because there were too many.
    pub turned_away: u64,
    /// Answers over UDP that could not be sent.
    pub unsent: u64,
}

/// A question to a worker.
pub struct Inquiry {
    /// It has idle servers asked whether they are there: one worker of each
    /// group is enough for that.
    checks: bool,
    reply: oneshot::Sender<WorkerVitals>,
}

impl Inquiry {
    /// Answers it. What is to be sent because of it is in the outbox.
    pub fn answer(self, worker: &mut Worker, now: Time) {
        if self.checks {
            worker.engine.check_idle(now, IDLE, &mut worker.outbox);
        }
        // Who asked may have lost patience.
        let _ = self.reply.send(WorkerVitals {
            worker: worker.number,
            engine: worker.engine.vitals(now),
            connections: worker.connections,
            turned_away: worker.turned_away,
            unsent: worker.unsent(),
        });
    }
}

/// Who works, and where.
#[derive(Default)]
struct Enrolled {
    /// The workers of each group: of each plan.
    groups: Vec<Vec<mpsc::UnboundedSender<Order>>>,
    places: Vec<(SocketAddr, Service)>,
    closed: bool,
}

/// The workers as they are now. Locked when the configuration changes and when
/// somebody asks, never for a query.
#[derive(Clone, Default)]
pub struct Roster(Arc<Mutex<Enrolled>>);

impl Roster {
    fn enrolled(&self) -> MutexGuard<'_, Enrolled> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Other workers, in other places.
    pub(super) fn set(
        &self,
        groups: Vec<Vec<mpsc::UnboundedSender<Order>>>,
        places: Vec<(SocketAddr, Service)>,
    ) {
        *self.enrolled() = Enrolled { groups, places, closed: false };
    }

    /// No more queries are taken.
    pub(crate) fn close(&self) {
        self.enrolled().closed = true;
    }

    /// Queries are taken.
    pub fn is_open(&self) -> bool {
        !self.enrolled().closed
    }

    /// Where clients are served.
    pub fn places(&self) -> Vec<(SocketAddr, Service)> {
        self.enrolled().places.clone()
    }

    /// How the workers of each group are; those that are stuck are not among
    /// them.
    pub async fn ask(&self) -> Vec<Vec<WorkerVitals>> {
        let mut asked = Vec::new();
        for workers in &self.enrolled().groups {
            let mut group = Vec::new();
            for (n, worker) in workers.iter().enumerate() {
                let (reply, answer) = oneshot::channel();
                // One that has ended has reported it.
                if worker.send(Order::Tell(Inquiry { checks: n == 0, reply })).is_ok() {
                    group.push(answer);
                }
            }
            asked.push(group);
        }
        let end = tokio::time::Instant::now() + PATIENCE;
        let mut told = Vec::new();
        for group in asked {
            let mut vitals = Vec::new();
            for answer in group {
                if let Ok(Ok(own)) = tokio::time::timeout_at(end, answer).await {
                    vitals.push(own);
                }
            }
            told.push(vitals);
        }
        told
    }
}
