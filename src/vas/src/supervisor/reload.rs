//! SIGHUP: another config for the running service.

use std::time::Instant;

use vas_config::Config;
use vas_frame::CameraId;

use super::settings::{self, Changed};
use super::{Supervisor, check_count, read};
use vas_channel::Given;

impl Supervisor {
    /// Reloads the config. An invalid one changes nothing.
    pub(super) fn reload(&mut self, now: Instant) {
        self.systemd.reloading();
        let read = read(&self.asked).map_err(|error| error.to_string()).and_then(|read| {
            check_count(&read.1).map_err(|error| error.to_string())?;
            Ok(read)
        });
        match read {
            Ok((given, config)) => self.take(given, config, now),
            Err(words) => {
                for line in words.lines() {
                    tracing::error!("config rejected: {line}");
                }
                tracing::error!("the cameras keep running with the previous config");
            }
        }
        self.systemd.reloaded();
    }

    fn take(&mut self, given: Given, config: Config, now: Instant) {
        tracing::info!("config reloaded: {}", Changed::between(&self.cameras.1, &config));
        for what in settings::for_a_restart(&self.settings.1, &config) {
            tracing::warn!("{what} has changed: this takes effect when the service is restarted");
        }
        let in_shards = self.cameras.0.files().variables();
        for name in given.files().variables().difference(&in_shards) {
            if std::env::var_os(name).is_some() {
                tracing::warn!(
                    "{name} is new in the config: it stays visible in the environment of a shard until that is restarted"
                );
            }
        }
        let before = std::mem::replace(&mut self.cameras, (given, config)).1;
        self.crash_tracker.forgive();
        self.endpoints.keep(&self.cameras.1);
        // Files of a shard without a process must be removed here.
        let gone = before.cameras.iter().map(|camera| &camera.id);
        let gone = gone.filter(|id| !self.cameras.1.cameras.iter().any(|camera| camera.id == **id));
        let down = |id: &&CameraId| {
            self.shards.iter().any(|shard| shard.process.is_none() && shard.ids.contains(id))
        };
        let (unowned, owned): (Vec<_>, Vec<_>) = gone.partition(down);
        self.sweep(unowned);
        self.taken_out.extend(owned.into_iter().cloned());
        self.place(now);
    }
}
