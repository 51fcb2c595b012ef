//! What the service manager is told, in the words of `sd_notify`: that the
//! daemon is ready, reads its configuration again, is well, or stops. Without
//! `NOTIFY_SOCKET` in the environment nobody is told.

use sd_notify::NotifyState;
use std::time::Duration;

/// Who started this process and wants to hear how it goes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manager {
    alive_within: Option<Duration>,
}

impl Manager {
    /// As the environment says.
    pub fn from_env() -> Self {
        Manager { alive_within: sd_notify::watchdog_enabled().filter(|time| !time.is_zero()) }
    }

    /// How often it is to be told that all is well, if it wants to be told.
    pub fn interval(&self) -> Option<Duration> {
        self.alive_within.map(|time| time / 2)
    }

    /// Queries are answered, as `status` says.
    pub fn ready(&self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// The configuration is read again; `ready` follows.
    pub fn reloading(&self) {
        // Since systemd 253 a reload has to say when it began.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(_) => tell(&[NotifyState::Reloading]),
        }
    }

    /// What is served has changed, or could not be.
    pub fn status(&self, status: &str) {
        tell(&[NotifyState::Status(status)]);
    }

    /// Every worker goes around.
    pub fn alive(&self) {
        tell(&[NotifyState::Watchdog]);
    }

    /// The end has begun.
    pub fn stopping(&self) {
        tell(&[
            NotifyState::Stopping,
            NotifyState::Status("stops when what is in flight is answered"),
        ]);
    }
}

fn tell(words: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(words) {
        tracing::warn!("the service manager cannot be told {words:?}: {error}");
    }
}
