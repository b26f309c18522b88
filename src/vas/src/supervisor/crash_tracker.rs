//! Which cameras crash their shards and are quarantined. Pure: time is an argument.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use vas_frame::CameraId;

/// This many crashes within this time quarantine a camera.
const MOST_CRASHES: usize = 3;
const WITHIN: Duration = Duration::from_secs(600);
/// How long the quarantine lasts, unless the config is reloaded.
const APART_FOR: Duration = Duration::from_secs(3600);

/// The crashes of each camera.
#[derive(Debug, Default)]
pub(super) struct CrashTracker {
    cameras: HashMap<CameraId, Record>,
}

#[derive(Debug, Default)]
struct Record {
    crashes: Vec<Instant>,
    quarantine: Option<Quarantine>,
}

/// A camera's quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quarantine {
    pub(super) since: Instant,
    /// How its last crash happened.
    pub(super) how: String,
}

impl Quarantine {
    /// Why, and until when, for people.
    pub(super) fn words(&self, now: Instant) -> String {
        let left = (self.since + APART_FOR).saturating_duration_since(now);
        format!(
            "it crashed its shard {MOST_CRASHES} times within {} minutes (last: {}); next try in {} \
             minutes, or when the config is reloaded",
            WITHIN.as_secs() / 60,
            self.how,
            left.as_secs().div_ceil(60),
        )
    }
}

impl CrashTracker {
    /// A shard died in a thread of `camera`. `true`: the camera is quarantined from now on.
    pub(super) fn crashed(&mut self, camera: &CameraId, how: &str, now: Instant) -> bool {
        let record = self.cameras.entry(camera.clone()).or_default();
        record.crashes.retain(|crash| now.saturating_duration_since(*crash) < WITHIN);
        record.crashes.push(now);
        if record.crashes.len() < MOST_CRASHES {
            return false;
        }
        record.crashes.clear();
        record.quarantine = Some(Quarantine { since: now, how: how.to_owned() });
        true
    }

    /// A camera's quarantine, if any.
    pub(super) fn quarantine(&self, camera: &CameraId) -> Option<&Quarantine> {
        self.cameras.get(camera)?.quarantine.as_ref()
    }

    /// Takes the cameras whose quarantine is over: they are to be started again.
    pub(super) fn take_over(&mut self, now: Instant) -> Vec<CameraId> {
        let mut over = Vec::new();
        for (camera, record) in &mut self.cameras {
            let is_over = |quarantine: &mut Quarantine| now >= quarantine.since + APART_FOR;
            if record.quarantine.take_if(is_over).is_some() {
                over.push(camera.clone());
            }
        }
        over
    }

    /// Forgets everything: the config was reloaded, and may contain a remedy.
    pub(super) fn forgive(&mut self) {
        self.cameras.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_crashes_in_ten_minutes_set_apart_for_an_hour() {
        let (mut crash_tracker, start) = (CrashTracker::default(), Instant::now());
        let (gate, yard) = (CameraId::new("gate").unwrap(), CameraId::new("yard").unwrap());
        let at = |minutes: u64| start + Duration::from_secs(60 * minutes);
        assert!(!crash_tracker.crashed(&gate, "SIGSEGV", at(0)));
        assert!(!crash_tracker.crashed(&gate, "SIGSEGV", at(9)));
        assert!(!crash_tracker.crashed(&yard, "SIGSEGV", at(9)));
        // The first was too long ago.
        assert!(!crash_tracker.crashed(&gate, "SIGSEGV", at(10)));
        assert_eq!(crash_tracker.quarantine(&gate), None);
        assert!(crash_tracker.crashed(&gate, "SIGBUS", at(11)));
        assert_eq!(
            crash_tracker.quarantine(&gate).unwrap().words(at(12)),
            "it crashed its shard 3 times within 10 minutes (last: SIGBUS); next try in 59 minutes, \
             or when the config is reloaded"
        );
        assert_eq!(crash_tracker.quarantine(&yard), None);
        assert!(crash_tracker.take_over(at(70)).is_empty());
        assert_eq!(crash_tracker.take_over(at(71)), std::slice::from_ref(&gate));
        assert_eq!(crash_tracker.quarantine(&gate), None);
        // Counts from zero again.
        assert!(!crash_tracker.crashed(&gate, "SIGSEGV", at(72)));
        assert!(!crash_tracker.crashed(&gate, "SIGSEGV", at(72)));
        assert!(crash_tracker.crashed(&gate, "SIGSEGV", at(72)));
        crash_tracker.forgive();
        assert_eq!(crash_tracker.quarantine(&gate), None);
    }
}
