//! What the service manager is told, in the words of `sd_notify`: that the
//! daemon is ready, reads its configuration again, is well, or stops. Without
//! `NOTIFY_SOCKET` in the environment nobody is told.

use crate::tell::Reporter;
use sd_notify::NotifyState;
use std::time::Duration;
use tracing::Level;

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
    pub fn ready(&self, status: &str, reporter: &Reporter) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)], reporter);
    }

    /// The configuration is read again; `ready` follows.
    pub fn reloading(&self, reporter: &Reporter) {
        // Since systemd 253 a reload has to say when it began.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now], reporter),
            Err(_) => tell(&[NotifyState::Reloading], reporter),
        }
    }

    /// What is served has changed, or could not be.
    pub fn status(&self, status: &str, reporter: &Reporter) {
        tell(&[NotifyState::Status(status)], reporter);
    }

    /// Every worker goes around.
    pub fn alive(&self, reporter: &Reporter) {
        tell(&[NotifyState::Watchdog], reporter);
    }

    /// The end has begun.
    pub fn stopping(&self, reporter: &Reporter) {
        let status = NotifyState::Status("stops when what is in flight is answered");
        tell(&[NotifyState::Stopping, status], reporter);
    }
}

fn tell(words: &[NotifyState<'_>], reporter: &Reporter) {
    if let Err(error) = sd_notify::notify(words) {
        let text = format!("the service manager cannot be told {words:?}: {error}");
        reporter.line(Level::WARN, "manager_untold", text);
    }
}
