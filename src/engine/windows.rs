//! How often the same question is in flight at a cluster's servers (U4).
//!
//! A forger's odds grow with every ID that a forged answer could meet (RFC 5452,
//! 5). So the same question has at most [`MOST`] of them open, with any flags,
//! under a prefix or at the end of a chain; what would need another waits until
//! one closes.
//!
//! Questions are counted by their hash, and few share a counter. Nobody outside
//! can tell which; those that do may wait for each other.

use ahash::RandomState;
use std::hash::{BuildHasher, Hasher};

/// IDs of one question at one cluster in flight by datagram, in one worker.
pub const MOST: u8 = 4;

/// Counters. With 100,000 IDs in flight one question in 1,500 looks like a fifth
/// of another.
const COUNTERS: usize = 1 << 18;

/// Of those one sub-question may have this many, one for each server that it asked.
/// The query that begins when half of its time is over has the fourth.
pub const MOST_OF_ONE: usize = 3;

/// Where a question is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window(u32);

impl Window {
    /// Of a question, by its hash, at the servers of a cluster, of which `first`
    /// is the first.
    pub fn new(question: u64, first: usize) -> Self {
        let server = (first as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Window(((question ^ server) >> (64 - COUNTERS.trailing_zeros())) as u32)
    }
}

/// The hash of what a cluster is asked: the name without its suffix and in lower
/// case, type, and the flags CD and, to a forward, RD.
pub fn question(hasher: &RandomState, name: &[u8], qtype: [u8; 2], flags: [bool; 2]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(name);
    let flags = u32::from(flags[0]) << 1 | u32::from(flags[1]);
    hasher.write_u32(u32::from(u16::from_be_bytes(qtype)) << 2 | flags);
    hasher.finish()
}

/// IDs in flight by datagram.
pub struct Windows {
    open: Box<[u8]>,
}

impl Default for Windows {
    fn default() -> Self {
        Windows { open: vec![0; COUNTERS].into_boxed_slice() }
    }
}

impl Windows {
    /// No more may be opened.
    pub fn is_full(&self, window: Window) -> bool {
        self.open[window.0 as usize] >= MOST
    }

    /// One more.
    pub fn open(&mut self, window: Window) {
        let open = &mut self.open[window.0 as usize];
        *open = open.saturating_add(1);
    }

    /// One less.
    pub fn close(&mut self, window: Window) {
        let open = &mut self.open[window.0 as usize];
        *open = open.saturating_sub(1);
    }
}
