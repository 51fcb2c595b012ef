//! How often the same question is in flight at a cluster's servers (U4).
//!
//! A forger's odds grow with every ID that an answer of his could meet
//! (RFC 5452, 5). So the same question has at most [`MOST`] of them open,
//! whoever asks it, with whatever flags, under a prefix or at the end of a
//! chain; what would need another waits until one closes.
//!
//! Questions are counted by their hash, in as many counters as there are IDs.
//! Nobody outside can tell which questions share a counter; those that do may
//! wait for each other for the time of a repetition.

use ahash::RandomState;
use std::hash::{BuildHasher, Hasher};

/// IDs of one question at one cluster in flight by datagram, in one worker.
pub const MOST: u8 = 4;

/// Of those one sub-question may have so many, one for each server that it asked.
/// The query that begins when half of its time is over has the fourth.
pub const MOST_OF_ONE: usize = 3;

/// Where a question is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window(u16);

impl Window {
    /// Of a question, by its hash, at the servers of a cluster, of which `first`
    /// is the first.
    pub fn new(question: u64, first: usize) -> Self {
        let server = (first as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Window(((question ^ server) >> 48) as u16)
    }
}

/// The hash of what a cluster is asked: the name without its suffix and in lower
/// case, type and CD.
pub fn question(hasher: &RandomState, name: &[u8], qtype: [u8; 2], cd: bool) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(name);
    hasher.write_u32(u32::from(u16::from_be_bytes(qtype)) << 1 | u32::from(cd));
    hasher.finish()
}

/// IDs in flight by datagram.
pub struct Windows {
    open: Box<[u8]>,
}

impl Default for Windows {
    fn default() -> Self {
        Windows { open: vec![0; 1 << 16].into_boxed_slice() }
    }
}

impl Windows {
    /// No more may be opened.
    pub fn is_full(&self, window: Window) -> bool {
        self.open[usize::from(window.0)] >= MOST
    }

    /// One more.
    pub fn open(&mut self, window: Window) {
        let open = &mut self.open[usize::from(window.0)];
        *open = open.saturating_add(1);
    }

    /// One less.
    pub fn close(&mut self, window: Window) {
        let open = &mut self.open[usize::from(window.0)];
        *open = open.saturating_sub(1);
    }
}
