//! Atomics, locks and threads, in one module so that a model checker or a fuzzer can replace them.
//!
//! The model checker follows `ModelU32` and `ModelU64`: the words on which the protocol depends. If it
//! followed the other words of an entry too, each of which may be seen old or new, there would be too many
//! orders to try.

pub(crate) use std::sync::atomic::Ordering;

#[cfg(all(any(test, fuzzing), not(loom)))]
pub(crate) use crate::racing::{AtomicU32, AtomicU64};
#[cfg(any(loom, not(any(test, fuzzing))))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64};

#[cfg(not(loom))]
mod real {
    pub(crate) use std::sync::Mutex;
    pub(crate) use std::sync::atomic::{AtomicBool, fence};
    pub(crate) use std::thread;

    pub(crate) use super::{AtomicU32 as ModelU32, AtomicU64 as ModelU64};

    /// Loads a word that no other thread stores at the moment, so the last value is returned.
    #[inline(always)]
    pub(crate) fn load_own(word: &ModelU64) -> u64 {
        word.load(super::Ordering::Relaxed)
    }

    /// Makes stores that bypass the cache visible before the stores that follow.
    ///
    /// Only `sfence` orders non-temporal stores: with a release store in its place, 10 to 45 % of the
    /// reads that a reader accepted were torn (measured for this project; Intel SDM 3A 8.2.2).
    #[inline(always)]
    pub(crate) fn drain_streaming_stores() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `sfence` is part of SSE, which every x86-64 has, and accesses no Rust memory.
        unsafe {
            std::arch::x86_64::_mm_sfence();
        }
    }
}

#[cfg(not(loom))]
pub(crate) use real::*;

#[cfg(loom)]
pub(crate) use crate::model::sync::*;
