//! How often a thing is told that the network can cause: so that nobody can
//! fill a disk.

use std::time::{Duration, Instant};

/// The log is told of one kind of thing no more often than this.
pub const TELL_EVERY: Duration = Duration::from_secs(10);

/// One kind of thing: told once in a while, with a count of what was not.
#[derive(Debug, Default)]
pub struct Limited {
    at: Option<Instant>,
    /// Times it happened and was not told.
    silent: u64,
}

impl Limited {
    /// Whether it is time to tell, and of how many before that were not.
    pub fn happened(&mut self) -> Option<u64> {
        self.happened_more(1)
    }

    /// The same for something that happened so many times.
    pub fn happened_more(&mut self, times: u64) -> Option<u64> {
        let now = Instant::now();
        if self.at.is_some_and(|at| now - at < TELL_EVERY) {
            self.silent += times;
            return None;
        }
        self.at = Some(now);
        Some(std::mem::take(&mut self.silent))
    }

    /// As if the time were over.
    #[cfg(test)]
    pub fn age(&mut self) {
        self.at = self.at.map(|at| at - TELL_EVERY);
    }
}

/// A few times in a row, and then no more often than once in [`TELL_EVERY`]: for
/// what an operator wants to hear at once.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    left: u32,
    since: Instant,
}

impl Allowance {
    /// So many times in a row.
    const MOST: u32 = 6;

    /// A full one.
    pub fn new(now: Instant) -> Self {
        Allowance { left: Self::MOST, since: now }
    }

    /// Whether it may be told once more.
    pub fn take(&mut self, now: Instant) -> bool {
        let periods = now.saturating_duration_since(self.since).as_secs() / TELL_EVERY.as_secs();
        if periods > 0 {
            let more = u32::try_from(periods).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(more).min(Self::MOST);
            self.since = now;
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }

    /// As if it had been used so much earlier.
    #[cfg(test)]
    pub fn age(&mut self, time: Duration) {
        self.since -= time;
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
        limited.age();
        assert_eq!(limited.happened(), Some(100));
        assert_eq!(limited.happened_more(7), None);
        limited.at = limited.at.map(|at| at - TELL_EVERY / 2);
        assert_eq!(limited.happened_more(0), None, "half of the time is not all");
        limited.age();
        assert_eq!(limited.happened_more(3), Some(7), "itself not included");
        limited.age();
        assert_eq!(limited.happened(), Some(0));
    }

    #[test]
    fn an_allowance_is_spent_and_grows_again() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        assert_eq!((0..50).filter(|_| allowance.take(start)).count(), 6);
        assert!(!allowance.take(start + TELL_EVERY / 2));
        assert!(allowance.take(start + TELL_EVERY));
        assert!(!allowance.take(start + TELL_EVERY));
        // What is left of a period does not count twice.
        assert!(!allowance.take(start + TELL_EVERY * 3 / 2));
        assert!(allowance.take(start + TELL_EVERY * 2));
        let later = start + TELL_EVERY * 1000;
        assert_eq!((0..50).filter(|_| allowance.take(later)).count(), 6);
    }
}
