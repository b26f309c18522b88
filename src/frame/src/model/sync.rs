//! The items of `crate::sync` under the model checker.

pub(crate) use loom::sync::Mutex;
pub(crate) use loom::sync::atomic::{
    AtomicBool, AtomicU32 as ModelU32, AtomicU64 as ModelU64, fence,
};
pub(crate) use loom::thread;

pub(crate) use super::streaming::drain as drain_streaming_stores;

/// Loads a word that no other thread stores at the moment; the checker fails otherwise.
pub(crate) fn load_own(word: &ModelU64) -> u64 {
    // SAFETY: the memory belongs to the checker, which detects races itself.
    unsafe { word.unsync_load() }
}
