//! When each camera has work due, so that a turn visits only those cameras.

use std::collections::{BTreeSet, HashMap};

/// The number of a camera, in the order in which they were added.
pub(super) type Key = u64;

/// The next due time of each camera.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    due: BTreeSet<(u64, Key)>,
    at_ns: HashMap<Key, u64>,
}

impl Schedule {
    /// Sets when a camera is due; never for `u64::MAX`.
    pub(super) fn set(&mut self, key: Key, at_ns: u64) {
        self.remove(key);
        if at_ns != u64::MAX {
            self.due.insert((at_ns, key));
            self.at_ns.insert(key, at_ns);
        }
    }

    pub(super) fn remove(&mut self, key: Key) {
        if let Some(at_ns) = self.at_ns.remove(&key) {
            self.due.remove(&(at_ns, key));
        }
    }

    /// Moves the cameras that are due to `due`. [Set](Self::set) each of them again.
    pub(super) fn take_due(&mut self, now_ns: u64, due: &mut Vec<Key>) {
        while let Some(&(at_ns, key)) = self.due.first().filter(|(at_ns, _)| *at_ns <= now_ns) {
            self.due.remove(&(at_ns, key));
            self.at_ns.remove(&key);
            due.push(key);
        }
    }

    /// When the first is due; `u64::MAX` without any.
    pub(super) fn next_ns(&self) -> u64 {
        self.due.first().map_or(u64::MAX, |(at_ns, _)| *at_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_due_is_taken_and_each_once() {
        let mut schedule = Schedule::default();
        for (key, at_ns) in [(1, 30), (2, 10), (3, 20), (2, 15), (4, u64::MAX)] {
            schedule.set(key, at_ns);
        }
        schedule.remove(3);
        let mut due = Vec::new();
        assert_eq!(schedule.next_ns(), 15);
        schedule.take_due(29, &mut due);
        assert_eq!((due.as_slice(), schedule.next_ns()), (&[2][..], 30));
        schedule.take_due(30, &mut due);
        assert_eq!((due.as_slice(), schedule.next_ns()), (&[2, 1][..], u64::MAX));
    }
}
