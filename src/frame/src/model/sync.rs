//! What `crate::sync` is under the model checker.

pub(crate) use loom::sync::Mutex;
pub(crate) use loom::sync::atomic::{
    AtomicBool, AtomicU32 as ModelU32, AtomicU64 as ModelU64, fence,
};
pub(crate) use loom::thread;

pub(crate) use super::streaming::drain as drain_streaming_stores;

/// Loads a word that nobody else is storing; the checker fails if somebody is.
pub(crate) fn load_own(word: &ModelU64) -> u64 {
    // SAFETY: the checker's own memory, which it watches itself.
    unsafe { word.unsync_load() }
}
