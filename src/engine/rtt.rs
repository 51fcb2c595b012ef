//! How long a server takes, and so how long to wait before asking again (U3).

use std::time::Duration;

/// Retransmit no sooner than this, in microseconds. A loaded server on a local network answers
/// in single milliseconds; asking it twice does not make it faster.
const MIN_WAIT: u64 = 25_000;

/// A share of the deadline: the longest first wait for any server leaves room
/// for two more tries.
const LONGEST_SHARE: u64 = 4;

/// The same for a server never heard of: a packet lost just then must not cost
/// the first answer its wholeness, and four tries fit.
const UNKNOWN_SHARE: u64 = 8;

/// A server that is quick on the whole and was slow a few times is not waited
/// for longer than this share of the deadline: eight tries still fit.
const STEADY_SHARE: u64 = 16;

/// Smoothed round-trip time of one server (RFC 6298, 2).
#[derive(Debug, Clone, Copy, Default)]
pub struct Rtt {
    /// Smoothed mean and variation in microseconds, once there is a sample.
    smoothed: Option<(u32, u32)>,
}

impl Rtt {
    /// Takes in one measurement, of a question that was sent once (Karn's rule).
    pub fn sample(&mut self, took: Duration) {
        let r = u32::try_from(took.as_micros()).unwrap_or(u32::MAX).min(60_000_000);
        self.smoothed = Some(match self.smoothed {
            None => (r, r / 2),
            Some((mean, var)) => ((mean * 7 + r) / 8, (var * 3 + mean.abs_diff(r)) / 4),
        });
    }

    /// The smoothed mean, once there is a sample.
    pub fn mean(self) -> Option<Duration> {
        self.smoothed.map(|(mean, _)| Duration::from_micros(mean.into()))
    }

    /// How long to wait for an answer to the `tries`-th try, of a question
    /// that has `deadline` in all. Each wait is a quarter as long again as the
    /// one before: with 10 % loss each way, nine tries are what it takes to
    /// bring 99.99 % of two clusters' answers home, and they have to fit.
    pub fn wait(self, tries: u8, deadline: Duration) -> Duration {
        // In microseconds: this is worked out for every question.
        let deadline = deadline.as_micros() as u64;
        let longest = deadline / LONGEST_SHARE;
        let first = match self.smoothed {
            None => deadline / UNKNOWN_SHARE,
            Some((mean, var)) => {
                let (mean, var) = (u64::from(mean), u64::from(var));
                let wait = mean + 4 * var.max(250);
                let steady = (deadline / STEADY_SHARE).max(mean * 2);
                wait.min(steady).clamp(MIN_WAIT.min(longest), longest)
            }
        };
        let wait = (1..tries.min(16)).fold(first, |wait, _| wait + wait / 4);
        Duration::from_micros(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_millis(800);

    #[test]
    fn u3_nine_tries_fit_the_deadline_of_a_fast_server() {
        let mut rtt = Rtt::default();
        rtt.sample(Duration::from_micros(300));
        let waits: Duration = (1..=9).map(|tries| rtt.wait(tries, DEADLINE)).sum();
        assert!(waits < DEADLINE, "{waits:?}");
    }

    #[test]
    fn u3_an_unknown_server_is_asked_again_in_time_for_an_answer() {
        let rtt = Rtt::default();
        assert_eq!(rtt.wait(1, DEADLINE), DEADLINE / 8);
        let waits: Duration = (1..=3).map(|tries| rtt.wait(tries, DEADLINE)).sum();
        assert!(waits < DEADLINE * 2 / 3, "{waits:?}");
    }

    #[test]
    fn u3_one_hiccup_of_a_fast_server_left_no_time_for_all_tries() {
        let mut rtt = Rtt::default();
        for _ in 0..50 {
            rtt.sample(Duration::from_micros(300));
        }
        rtt.sample(Duration::from_millis(60));
        let waits: Duration = (1..=7).map(|tries| rtt.wait(tries, DEADLINE)).sum();
        assert!(waits < DEADLINE, "{waits:?}");
    }

    #[test]
    fn a_slow_server_is_waited_for() {
        let mut rtt = Rtt::default();
        for _ in 0..50 {
            rtt.sample(Duration::from_millis(90));
        }
        let wait = rtt.wait(1, DEADLINE);
        assert!(wait > Duration::from_millis(90) && wait < Duration::from_millis(120), "{wait:?}");
    }
}
