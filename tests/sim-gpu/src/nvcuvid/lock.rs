//! `cuvidCtxLock`: a lock for a context. FFmpeg creates none; its loader requires the functions.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::sim::abi::{Handle, Out};
use crate::sim::lock;
use crate::sim::registry::Registry;
use crate::sim::site::export;

/// All living context locks.
pub(crate) static LOCKS: Registry<ContextLock> = Registry::new("context lock");

/// Held across two calls, so a Rust guard does not fit.
#[derive(Default)]
pub(crate) struct ContextLock {
    held: Mutex<bool>,
    free: Condvar,
}

export! {
    fn cuvidCtxLockCreate(made: Out<Handle>, _context: Handle) |_call| {
        made.set(LOCKS.insert(ContextLock::default()))
    }

    fn cuvidCtxLockDestroy(held: Handle) |_call| {
        LOCKS.remove(held).map(|_| ())
    }

    fn cuvidCtxLock(taken: Handle, _flags: u32) |_call| {
        let taken = LOCKS.get(taken)?;
        let mut held = lock(&taken.held);
        while *held {
            held = taken.free.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        *held = true;
        Ok(())
    }

    fn cuvidCtxUnlock(given: Handle, _flags: u32) |_call| {
        let given = LOCKS.get(given)?;
        *lock(&given.held) = false;
        given.free.notify_one();
        Ok(())
    }
}
