//! What queries in flight may take of memory, and what is left for the next.
//!
//! A query's memory is used again by the next, so after a flood there is as much
//! of it as the flood had in flight. Queries beyond a bound are not accepted, and
//! what is not in use is given back but for a little.

/// Octets of queries in flight, in all workers together: their questions and
/// sub-questions, replies and clients that wait. As many queries as
/// `--max-queries` allows, if each asks one cluster; some 20,000 to eight silent
/// ones, with names of 200 octets.
pub const IN_FLIGHT: usize = 96 << 20;

/// Replies larger than a datagram of ours are not taken above twice that.
pub const LARGE: usize = 4096;

/// Octets that one worker has in reserve for queries to come: enough for a
/// thousand of the usual kind.
const SPARE: usize = 4 << 20;

/// Queries of whose places in memory one worker never gives any back.
pub const PLACES: usize = 1024;

/// A query with more octets than this is counted exactly when it is done.
pub const EXACTLY: usize = 16 << 10;

/// Octets of memory of the queries of one worker.
#[derive(Debug, Default)]
pub struct Memory {
    /// Of queries in flight.
    in_flight: usize,
    /// Of those that are done, for the next.
    spare: usize,
}

impl Memory {
    /// Nothing more may come into flight, of this many workers.
    pub fn is_full(&self, workers: usize) -> bool {
        self.in_flight >= IN_FLIGHT / workers.max(1)
    }

    /// A reply of `octets` is too large for what is in flight.
    pub fn is_too_much(&self, octets: usize, workers: usize) -> bool {
        self.in_flight + octets > 2 * IN_FLIGHT / workers.max(1)
    }

    /// A query in flight has grown, or shrunk.
    pub fn changed(&mut self, from: usize, to: usize) {
        self.in_flight = (self.in_flight + to).saturating_sub(from);
    }

    /// A query is taken into flight in the place of one that is done.
    pub fn taken(&mut self, octets: usize) {
        self.spare = self.spare.saturating_sub(octets);
        self.in_flight += octets;
    }

    /// A query is done. False if its memory is not to be kept.
    pub fn done(&mut self, counted: usize, octets: usize) -> bool {
        self.in_flight = self.in_flight.saturating_sub(counted);
        let kept = self.spare + octets <= SPARE;
        if kept {
            self.spare += octets;
        }
        kept
    }

    /// The places of all queries have been given back.
    pub fn cleared(&mut self) {
        self.spare = 0;
    }

    /// Octets of queries in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }
}
