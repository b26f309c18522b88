//! What every call of the simulated device passes through: configuration, faults, log and misuse
//! checks.

pub(crate) mod abi;
pub(crate) mod api;
pub(crate) mod config;
pub(crate) mod control;
pub(crate) mod delay;
pub(crate) mod exit;
pub(crate) mod fault;
pub(crate) mod log;
pub(crate) mod misuse;
pub(crate) mod registry;
pub(crate) mod site;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod thread;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks even a poisoned mutex: the device's state stays usable for the report.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
