//! Round-trip times as the laws expect them to be measured, and the retransmit
//! times that follow from them (U3, RFC 6298).

use std::time::Duration;

/// No retransmission comes sooner, unless a quarter of the deadline is less.
const SHORTEST: u64 = 25_000;

/// What is known of one server's round-trip time.
#[derive(Debug, Clone, Copy, Default)]
pub struct RoundTrips {
    /// Smoothed mean and variation in microseconds.
    known: Option<(u64, u64)>,
}

impl RoundTrips {
    /// A datagram that was sent once was answered after this time.
    pub fn measured(&mut self, took: Duration) {
        let took = took.as_micros() as u64;
        self.known = Some(match self.known {
            None => (took, took / 2),
            Some((mean, variation)) => {
                ((7 * mean + took) / 8, (3 * variation + mean.abs_diff(took)) / 4)
            }
        });
    }

    pub fn mean(self) -> Option<Duration> {
        self.known.map(|(mean, _)| Duration::from_micros(mean))
    }

    /// How long the engine waits for an answer to the `n`th try: the first time for
    /// the mean and four variations within bounds, then a quarter longer each time.
    pub fn wait(self, n: u32, deadline: Duration) -> Duration {
        let deadline = deadline.as_micros() as u64;
        let longest = deadline / 4;
        let mut wait = match self.known {
            None => deadline / 8,
            Some((mean, variation)) => {
                let usual = mean + 4 * variation.max(250);
                let steady = (deadline / 16).max(2 * mean);
                usual.min(steady).max(SHORTEST.min(longest)).min(longest)
            }
        };
        for _ in 1..n {
            wait += wait / 4;
        }
        Duration::from_micros(wait)
    }
}
