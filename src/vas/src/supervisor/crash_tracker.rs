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
pub(super) struct Blame {
    cameras: HashMap<CameraId, Record>,
}

#[derive(Debug, Default)]
struct Record {
    crashes: Vec<Instant>,
    apart: Option<Apart>,
}

/// A camera that is set apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Apart {
    pub(super) since: Instant,
    /// What its last crash was.
    pub(super) how: String,
}

impl Apart {
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

impl Blame {
    /// A shard died in a thread of `camera`. `true`: the camera is set apart from now on.
    pub(super) fn crashed(&mut self, camera: &CameraId, how: &str, now: Instant) -> bool {
        let record = self.cameras.entry(camera.clone()).or_default();
        record.crashes.retain(|crash| now.saturating_duration_since(*crash) < WITHIN);
        record.crashes.push(now);
        if record.crashes.len() < MOST_CRASHES {
            return false;
        }
        record.crashes.clear();
        record.apart = Some(Apart { since: now, how: how.to_owned() });
        true
    }

    /// Whether a camera is set apart.
    pub(super) fn apart(&self, camera: &CameraId) -> Option<&Apart> {
        self.cameras.get(camera)?.apart.as_ref()
    }

    /// Cameras whose time is over: they are to be tried again.
    pub(super) fn take_over(&mut self, now: Instant) -> Vec<CameraId> {
        let mut over = Vec::new();
        for (camera, record) in &mut self.cameras {
            let is_over = |apart: &mut Apart| now >= apart.since + APART_FOR;
            if record.apart.take_if(is_over).is_some() {
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
        let (mut blame, start) = (Blame::default(), Instant::now());
        let (gate, yard) = (CameraId::new("gate").unwrap(), CameraId::new("yard").unwrap());
        let at = |minutes: u64| start + Duration::from_secs(60 * minutes);
        assert!(!blame.crashed(&gate, "SIGSEGV", at(0)));
        assert!(!blame.crashed(&gate, "SIGSEGV", at(9)));
        assert!(!blame.crashed(&yard, "SIGSEGV", at(9)));
        // The first is too long ago.
        assert!(!blame.crashed(&gate, "SIGSEGV", at(10)));
        assert_eq!(blame.apart(&gate), None);
        assert!(blame.crashed(&gate, "SIGBUS", at(11)));
        assert_eq!(
            blame.apart(&gate).unwrap().words(at(12)),
            "it crashed its shard 3 times within 10 minutes (SIGBUS at last); tried again in 59 minutes, \
             or when the config is read again"
        );
        assert_eq!(blame.apart(&yard), None);
        assert!(blame.take_over(at(70)).is_empty());
        assert_eq!(blame.take_over(at(71)), std::slice::from_ref(&gate));
        assert_eq!(blame.apart(&gate), None);
        // From the beginning.
        assert!(!blame.crashed(&gate, "SIGSEGV", at(72)));
        assert!(!blame.crashed(&gate, "SIGSEGV", at(72)));
        assert!(blame.crashed(&gate, "SIGSEGV", at(72)));
        blame.forgive();
        assert_eq!(blame.apart(&gate), None);
    }
}
