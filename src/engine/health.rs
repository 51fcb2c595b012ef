//! Which servers are worth asking (U5).
//!
//! A server that leaves questions unanswered is taken out after a few in a
//! row, and then costs queries nothing: it is passed over, and a cluster whose
//! servers are all out is missing at once. It is asked in the background with
//! growing pauses, and is back with its first reply. Only silence counts:
//! whoever answers SERVFAIL is there, and what it says concerns one question.

use super::time::Time;
use std::time::Duration;

/// Pause before the first probe, and the longest between two. A server that
/// comes back is asked again within a second.
const PROBE_PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));

/// The state of one server.
#[derive(Debug, Clone, Copy, Default)]
pub struct Health {
    /// Questions it left unanswered since it was last heard.
    missed: u32,
    /// When it was last heard.
    heard_at: Option<Time>,
    /// When it was taken out, or heard first or again.
    since: Option<Time>,
    /// The pause before the next probe; set while it is out.
    pause: Option<Duration>,
}

impl Health {
    /// It is not to be asked by queries.
    pub fn is_out(self) -> bool {
        self.pause.is_some()
    }

    /// It said something that was an answer to a question of ours. Tells
    /// whether it was out.
    pub fn heard(&mut self, now: Time) -> bool {
        self.missed = 0;
        let first = self.heard_at.replace(now).is_none();
        let was_out = self.pause.take().is_some();
        if first || was_out {
            self.since = Some(now);
        }
        was_out
    }

    /// Questions it left unanswered since it was last heard.
    pub fn has_missed(self) -> u32 {
        self.missed
    }

    /// When it was last heard.
    pub fn heard_at(self) -> Option<Time> {
        self.heard_at
    }

    /// Since when it is out, or answers; nothing if neither is known.
    pub fn since(self) -> Option<Time> {
        self.since
    }

    /// Something has come from it within this time.
    pub fn was_heard(self, now: Time, within: Duration) -> bool {
        self.heard_at.is_some_and(|at| now.since(at) < within)
    }

    /// It left a question unanswered. Tells whether this takes it out: it must
    /// have missed `max_fails` in a row (0 is never enough), and not have been
    /// heard for the time `patience`, so that a few packets lost together on a
    /// busy path are no reason.
    pub fn missed(&mut self, now: Time, max_fails: u32, patience: Duration) -> bool {
        self.missed = self.missed.saturating_add(1);
        let lately = self.was_heard(now, patience);
        if self.is_out() || max_fails == 0 || self.missed < max_fails || lately {
            return false;
        }
        self.pause = Some(PROBE_PAUSES.0);
        self.since = Some(now);
        true
    }

    /// When to probe it next, if it is out: each pause is twice the one before.
    pub fn next_probe(&mut self, now: Time) -> Option<Time> {
        let pause = self.pause?;
        self.pause = Some((pause * 2).min(PROBE_PAUSES.1));
        Some((now + pause).floor())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);

    fn ms(n: u64) -> Time {
        Time::from_micros(n * 1000)
    }

    #[test]
    fn u5_out_after_failures_in_a_row_and_back_with_a_reply() {
        let mut health = Health::default();
        assert!(!health.missed(ms(1), 2, PATIENCE));
        assert!(!health.heard(ms(2)));
        assert!(!health.missed(ms(300), 2, PATIENCE));
        assert!(health.missed(ms(301), 2, PATIENCE));
        assert!(health.is_out());
        assert!(!health.missed(ms(302), 2, PATIENCE), "it is out already");
        assert!(health.heard(ms(303)));
        assert!(!health.is_out());
    }

    #[test]
    fn u5_packets_lost_together_take_nobody_out_who_was_just_heard() {
        let mut health = Health::default();
        health.heard(ms(1000));
        assert!((0..50).all(|n| !health.missed(ms(1001 + n), 2, PATIENCE)));
        assert!(health.missed(ms(1200), 2, PATIENCE));
    }

    #[test]
    fn u5_probes_pause_longer_and_longer_up_to_a_second() {
        let mut health = Health::default();
        assert_eq!(health.next_probe(Time::default()), None);
        health.missed(Time::default(), 1, PATIENCE);
        let mut now = Time::default();
        let mut pauses = Vec::new();
        for _ in 0..4 {
            let next = health.next_probe(now).unwrap();
            pauses.push(next.since(now).as_millis());
            now = next;
        }
        assert_eq!(pauses, [250, 500, 1000, 1000]);
    }

    #[test]
    fn no_number_of_failures_takes_out_what_may_not_be() {
        let mut health = Health::default();
        assert!((0..100).all(|n| !health.missed(ms(n), 0, PATIENCE)));
    }
}
