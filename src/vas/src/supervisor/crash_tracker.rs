//! Which cameras crash their shards, and are set apart. Pure: time is an argument.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use vas_frame::CameraId;

/// So many crashes within this time set a camera apart.
const MOST_CRASHES: usize = 3;
const WITHIN: Duration = Duration::from_secs(600);
/// How long it is set apart, unless the config is read again.
const APART_FOR: Duration = Duration::from_secs(3600);

/// What is held against cameras.
#[derive(Debug, Default)]
pub(super) struct CrashTracker {
    cameras: HashMap<CameraId, Record>,
}

#[derive(Debug, Default)]
struct Record {
    crashes: Vec<Instant>,
    quarantine: Option<Quarantine>,
}

/// A camera that is set apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quarantine {
    pub(super) since: Instant,
    /// What its last crash was.
    pub(super) how: String,
}

impl Quarantine {
    /// Why, and until when, for people.
    pub(super) fn words(&self, now: Instant) -> String {
        let left = (self.since + APART_FOR).saturating_duration_since(now);
        format!(
            "it crashed its shard {MOST_CRASHES} times within {} minutes ({} at last); tried again in {} \
             minutes, or when the config is read again",
            WITHIN.as_secs() / 60,
            self.how,
            left.as_secs().div_ceil(60),
        )
    }
}

impl CrashTracker {
    /// A shard died in a thread of `camera`. `true`: the camera is set apart from now on.
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

    /// Whether a camera is set apart.
    pub(super) fn quarantine(&self, camera: &CameraId) -> Option<&Quarantine> {
        self.cameras.get(camera)?.quarantine.as_ref()
    }

    /// Cameras whose time is over: they are to be tried again.
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

    /// Forgets everything: the config was read again, and whoever wrote it may have done something about it.
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
        // The first is too long ago.
        assert!(!crash_tracker.crashed(&gate, "SIGSEGV", at(10)));
        assert_eq!(crash_tracker.quarantine(&gate), None);
        assert!(crash_tracker.crashed(&gate, "SIGBUS", at(11)));
        assert_eq!(
            crash_tracker.quarantine(&gate).unwrap().words(at(12)),
            "it crashed its shard 3 times within 10 minutes (SIGBUS at last); tried again in 59 minutes, \
             or when the config is read again"
        );
        assert_eq!(crash_tracker.quarantine(&yard), None);
        assert!(crash_tracker.take_over(at(70)).is_empty());
        assert_eq!(crash_tracker.take_over(at(71)), std::slice::from_ref(&gate));
        assert_eq!(crash_tracker.quarantine(&gate), None);
        // From the beginning.
        assert!(!crash_tracker.crashed(&gate, "SIGSEGV", at(72)));
        assert!(!crash_tracker.crashed(&gate, "SIGSEGV", at(72)));
        assert!(crash_tracker.crashed(&gate, "SIGSEGV", at(72)));
        crash_tracker.forgive();
        assert_eq!(crash_tracker.quarantine(&gate), None);
    }
}
