//! Last good answers: what each cluster said last, held for the daemon as a
//! whole, so that what was asked before is answered as before while a cluster
//! is missing (M6 and the rules K).
//!
//! An engine notes what it hears in a [`Journal`] of its own, and hands that in
//! a few times a second, or before it looks something up itself. It looks up
//! when a cluster is missing from an answer, when `keep-on-empty` doubts a
//! negative, and when too many queries are in flight: the usual path of a packet
//! takes no lock.

mod beside;
mod held;
mod journal;
mod learn;
mod look_up;
mod registry;
mod subject;

pub use held::{Held, Holding};
pub use journal::Journal;
pub use registry::Enrolment;
pub use subject::{Lesson, Said, StandIn, Subject};

use crate::config::Plan;
use ahash::RandomState;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The last good answers of one daemon, shared by its engines.
pub struct LastGood {
    held: Mutex<Held>,
}

impl LastGood {
    /// An empty store. `seed` keys its hashes: 32 octets nobody outside knows.
    pub fn new(seed: [u8; 32]) -> Arc<Self> {
        let mut rng = StdRng::from_seed(seed);
        let held = Held::new(|| {
            let mut key = || rng.next_u64();
            RandomState::with_seeds(key(), key(), key(), key())
        });
        Arc::new(LastGood { held: Mutex::new(held) })
    }

    /// Makes the clusters of a plan known, and room for what it wants held, as
    /// long as the enrolment lasts.
    pub fn enrol(&self, plan: &Plan) -> Arc<Enrolment> {
        let mut held = self.lock();
        let enrolment = held.registry.enrol(plan);
        held.set_bounds();
        enrolment
    }

    /// What is held, in numbers.
    pub fn holding(&self) -> Holding {
        self.lock().holding()
    }

    /// What is held. Nothing else goes on meanwhile.
    pub fn lock(&self) -> MutexGuard<'_, Held> {
        // Should a thread have panicked with it, each entry is whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
