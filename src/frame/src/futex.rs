//! Waits on the publish counter, across processes, in memory that the waiter can't write.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use crate::sync::ModelU32;
use rustix::thread::futex;

/// Waits while the word is `seen`, for at most `timeout`. A return proves nothing: check again.
pub(crate) fn wait(word: &ModelU32, seen: u32, timeout: Duration) {
    wait_word(word, seen, timeout);
}

/// As [`wait`], on a word that no model checks.
pub(crate) fn wait_word(word: &AtomicU32, seen: u32, timeout: Duration) {
    let timeout = rustix::time::Timespec {
        tv_sec: timeout.as_secs().min(i64::MAX as u64) as i64,
        tv_nsec: i64::from(timeout.subsec_nanos()),
    };
    // After every outcome (woken, value changed, timed out, interrupted) the caller checks again.
    let _ = futex::wait(word, futex::Flags::empty(), seen, Some(&timeout));
}

/// Wakes at most `count` waiters and returns how many it woke.
pub(crate) fn wake(word: &ModelU32, count: u32) -> usize {
    wake_word(word, count)
}

/// As [`wake`], on a word that no model checks.
pub(crate) fn wake_word(word: &AtomicU32, count: u32) -> usize {
    // FUTEX_WAKE fails only for a bad address or alignment, and a reference has neither.
    futex::wake(word, futex::Flags::empty(), count).unwrap_or(0)
}
