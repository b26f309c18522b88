//! What one call at a time may use: a reader, or the readers of a site.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A value that calls take and return.
///
/// Its lock is held for moments only, with the GIL, and never while a call runs.
pub(crate) struct Lent<T> {
    slot: Mutex<Slot<T>>,
}

/// Where the value is.
enum Slot<T> {
    Idle(Box<T>),
    /// A call has it.
    Busy,
    /// There is none yet, or it was of the process that was forked.
    Absent,
    Closed,
}

/// Why a call gets no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A call of another thread has it.
    Busy,
    /// It was closed.
    Closed,
}

/// The value while a call has it. Dropping this returns it, so a panic or an exception loses nothing.
pub(crate) struct Taken<'a, T> {
    lent: &'a Lent<T>,
    value: Option<Box<T>>,
}

impl<T> Lent<T> {
    pub(crate) fn new(value: Box<T>) -> Self {
        Self { slot: Mutex::new(Slot::Idle(value)) }
    }

    fn slot(&self) -> MutexGuard<'_, Slot<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the value, if no other call has it.
    pub(crate) fn take(&self) -> Result<Taken<'_, T>, Refused> {
        let mut slot = self.slot();
        let value = match std::mem::replace(&mut *slot, Slot::Busy) {
            Slot::Idle(value) => Some(value),
            Slot::Absent => None,
            Slot::Busy => return Err(Refused::Busy),
            Slot::Closed => {
                *slot = Slot::Closed;
                return Err(Refused::Closed);
            }
        };
        Ok(Taken { lent: self, value })
    }

    /// Drops the value, now or when the call that has it returns it.
    pub(crate) fn close(&self) {
        let closed = std::mem::replace(&mut *self.slot(), Slot::Closed);
        drop(closed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(*self.slot(), Slot::Closed)
    }

    /// In a child of fork: the value and the thread that may have it are the parent's. What is idle is given to `leave`.
    pub(crate) fn after_fork(&self, leave: impl FnOnce(Box<T>)) {
        let mut slot = self.slot();
        if matches!(*slot, Slot::Closed) {
            return;
        }
        if let Slot::Idle(value) = std::mem::replace(&mut *slot, Slot::Absent) {
            leave(value);
        }
    }
}

impl<T> Taken<'_, T> {
    /// The value, made by `make` if there is none or `is_stale` says that it is of no use here.
    pub(crate) fn get_or_try<E>(
        &mut self,
        is_stale: impl FnOnce(&T) -> bool,
        make: impl FnOnce() -> Result<Box<T>, E>,
    ) -> Result<&mut T, E> {
        if self.value.as_deref().is_some_and(is_stale) {
            self.value = None;
        }
        match &mut self.value {
            Some(value) => Ok(value),
            empty => Ok(empty.insert(make()?)),
        }
    }
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        let mut slot = self.lent.slot();
        // Not if it was closed meanwhile.
        if matches!(*slot, Slot::Busy) {
            *slot = self.value.take().map_or(Slot::Absent, Slot::Idle);
        }
    }
}
