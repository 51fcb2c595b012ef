//! The engine's clock: whatever its caller says it is.

use std::time::Duration;

/// A moment on the caller's monotonic clock, in microseconds since a start
/// of the caller's choosing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Time(u64);

impl Time {
    /// The moment `micros` microseconds after the start.
    pub const fn from_micros(micros: u64) -> Self {
        Time(micros)
    }

    /// Microseconds since the start.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long it has been since `earlier`; zero if that is yet to come.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The whole millisecond at or before this moment. Timers are kept by the
    /// millisecond; rounding down keeps a deadline from being overrun.
    pub fn floor(self) -> Self {
        Time(self.0 - self.0 % 1000)
    }

    /// Whole milliseconds since the start.
    pub(super) fn tick(self) -> u64 {
        self.0 / 1000
    }
}

impl std::ops::Add<Duration> for Time {
    type Output = Time;

    fn add(self, rhs: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX)))
    }
}
