//! Notifications to systemd, over `NOTIFY_SOCKET` (sd_notify(3)). Without systemd, nothing.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// The service's state as reported to systemd.
#[derive(Debug)]
pub(super) struct Systemd {
    /// How often it expects a notification, if it does.
    watchdog: Option<Duration>,
    next: Instant,
    ready: bool,
    status: String,
}

impl Systemd {
    pub(super) fn of_this_process() -> Self {
        // Half of its timeout, as it advises.
        let watchdog = sd_notify::watchdog_enabled().map(|longest| longest / 2);
        Self { watchdog, next: Instant::now(), ready: false, status: String::new() }
    }

    /// How often to call [`alive`](Self::alive), if at all.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// All is well, at `now`.
    pub(super) fn alive(&mut self, now: Instant) {
        let Some(every) = self.watchdog else { return };
        if now >= self.next {
            self.next = now + every;
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// Reports once that the service is up.
    pub(super) fn ready(&mut self) {
        if !std::mem::replace(&mut self.ready, true) {
            tell(&[NotifyState::Ready]);
        }
    }

    /// The config is being reloaded, until [`reloaded`](Self::reloaded).
    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(when) => tell(&[NotifyState::Reloading, when]),
            Err(error) => tracing::warn!("can't read the time for systemd: {error}"),
        }
    }

    pub(super) fn reloaded(&self) {
        // Before the service is up, `ready` is still to come.
        if self.ready {
            tell(&[NotifyState::Ready]);
        }
    }

    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// A line for `systemctl status`.
    pub(super) fn status(&mut self, words: String) {
        if words != self.status {
            tell(&[NotifyState::Status(&words)]);
            self.status = words;
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("can't notify systemd: {error}");
    }
}
