//! Test support: what the simulated devices (`vas-sim-gpu`, `vas-sim-vaapi`) have in common.
//!
//! Both derive a picture from the bitstream in the same way ([`picture`]), so that one prediction
//! ([`bitstream`]) serves the tests of every decoder. Their settings change through the same file
//! ([`control`]), and their faults are written in the same grammar ([`fault`]).

pub mod bitstream;
pub mod control;
mod delay;
mod environment;
pub mod fault;
mod level;
mod output;
pub mod picture;
pub mod testing;
mod thread;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use delay::jittered;
pub use environment::{Environment, list};
pub use level::Peak;
pub use output::{Findings, Output};
pub use thread::{ForbiddenCalls, forbid_this_thread, thread_name};

/// Locks even a poisoned mutex: a device's state stays usable for the report.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
