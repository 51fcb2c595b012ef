//! What the log is told of things the network can cause: each kind once in a
//! while, with a count of what was not told, so that nobody can fill a disk.

use crate::engine::{Counters, Notice};
use std::io;
use std::time::{Duration, Instant};

/// The log is told of one kind of thing no more often than this.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// One kind of thing.
#[derive(Default)]
struct Limited {
    at: Option<Instant>,
    /// Times it happened and was not told.
    silent: u64,
}

impl Limited {
    /// Whether it is time to tell, and of how many before that were not.
    fn happened(&mut self) -> Option<u64> {
        let now = Instant::now();
        if self.at.is_some_and(|at| now - at < TELL_EVERY) {
            self.silent += 1;
            return None;
        }
        self.at = Some(now);
        Some(std::mem::take(&mut self.silent))
    }
}

/// What has been told, and when.
#[derive(Default)]
pub struct Teller {
    too_long_told: u64,
    too_long: Limited,
    sieges: Limited,
    loops: Limited,
    sockets: Limited,
    accepts: Limited,
    streams: Limited,
}

impl Teller {
    /// News of the engine's. A server goes out and comes back at most a few
    /// times a second; the others are limited here.
    pub fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Out(server) => {
                tracing::warn!("server {server} is out: it leaves questions unanswered");
            }
            Notice::Back(server) => tracing::info!("server {server} is back"),
            Notice::Besieged(server) => {
                if let Some(silent) = self.sieges.happened() {
                    tracing::warn!(
                        "somebody guesses at the answers of {server}: it is asked over TCP, or \
                         over new ports, for a while ({silent} times more since it was last told)"
                    );
                }
            }
            Notice::Loop => {
                if let Some(silent) = self.loops.happened() {
                    tracing::warn!(
                        "a question of our own came back to us: a server that is asked here \
                         forwards to us what it is asked ({silent} more)"
                    );
                }
            }
        }
    }

    /// R4: records that had to be left out.
    pub fn counted(&mut self, counters: &Counters) {
        let more = counters.too_long - self.too_long_told;
        if more > 0 && self.too_long.happened().is_some() {
            self.too_long_told = counters.too_long;
            tracing::warn!(
                "{more} records left out because a rewritten name would be too long (R4); \
                 `gathersrv explain` shows which"
            );
        }
    }

    /// A socket to a server could not be opened.
    pub fn no_socket(&mut self, server: &dyn std::fmt::Display, error: &io::Error) {
        if let Some(silent) = self.sockets.happened() {
            tracing::warn!("cannot open a socket to {server}: {error} ({silent} more)");
        }
    }

    /// A client's connection could not be accepted.
    pub fn not_accepted(&mut self, error: &io::Error) {
        if let Some(silent) = self.accepts.happened() {
            tracing::warn!("cannot accept a connection: {error} ({silent} more)");
        }
    }

    /// A connection to a server came to nothing.
    pub fn no_stream(&mut self, server: &dyn std::fmt::Display, error: &io::Error) {
        if let Some(silent) = self.streams.happened() {
            tracing::warn!("connection to {server}: {error} ({silent} more)");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_often_is_told_once() {
        let mut limited = Limited::default();
        assert_eq!(limited.happened(), Some(0));
        assert!((0..100).all(|_| limited.happened().is_none()));
        limited.at = limited.at.map(|at| at - TELL_EVERY);
        assert_eq!(limited.happened(), Some(100));
    }
}
