//! Atomics and fences behind one name, so that a model checker can stand in for them.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
