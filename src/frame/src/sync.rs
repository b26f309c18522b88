//! Atomics and fences behind one name, so that a model checker or a fuzzer can stand in for them.

pub(crate) use std::sync::atomic::{Ordering, fence};

#[cfg(any(test, fuzzing))]
pub(crate) use crate::racing::{AtomicU32, AtomicU64};
#[cfg(not(any(test, fuzzing)))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64};
