//! Handles and what stands behind them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::abi::Handle;
use super::misuse::{Kind, report};
use super::status::{Result, Status};
use super::{lock, stats::Peak};

/// No program has memory here, so that a handle taken for a pointer faults.
const FIRST: usize = 0x00AB_0000_0000_0000;
static NEXT: AtomicUsize = AtomicUsize::new(FIRST);

/// The living objects of one kind.
pub(crate) struct Registry<T> {
    kind: &'static str,
    items: Mutex<BTreeMap<Handle, Arc<T>>>,
    /// How many live, and the most that ever did.
    pub(crate) count: Peak,
}

impl<T> Registry<T> {
    /// None yet; `kind` names them in reports.
    pub(crate) const fn new(kind: &'static str) -> Self {
        Self { kind, items: Mutex::new(BTreeMap::new()), count: Peak::new() }
    }

    /// Keeps what `make` makes of its own handle.
    pub(crate) fn insert_with(&self, make: impl FnOnce(Handle) -> T) -> (Handle, Arc<T>) {
        // Handles are never used twice, so a stale one is told from a living one.
        let handle = Handle(NEXT.fetch_add(16, Ordering::Relaxed));
        let item = Arc::new(make(handle));
        lock(&self.items).insert(handle, Arc::clone(&item));
        self.count.add(1);
        (handle, item)
    }

    /// Keeps it and gives it a handle.
    pub(crate) fn insert(&self, item: T) -> Handle {
        self.insert_with(|_| item).0
    }

    /// What the handle means.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_HANDLE`, and a misuse if it was destroyed before.
    pub(crate) fn get(&self, handle: Handle) -> Result<Arc<T>> {
        lock(&self.items).get(&handle).cloned().ok_or_else(|| self.unknown(handle))
    }

    /// Takes it out.
    ///
    /// # Errors
    /// As [`Registry::get`].
    pub(crate) fn remove(&self, handle: Handle) -> Result<Arc<T>> {
        let item = lock(&self.items).remove(&handle).ok_or_else(|| self.unknown(handle))?;
        self.count.subtract(1);
        Ok(item)
    }

    /// All that live, in the order of their making.
    pub(crate) fn all(&self) -> Vec<(Handle, Arc<T>)> {
        lock(&self.items).iter().map(|(handle, item)| (*handle, Arc::clone(item))).collect()
    }

    fn unknown(&self, handle: Handle) -> Status {
        if (FIRST..NEXT.load(Ordering::Relaxed)).contains(&handle.0) {
            let kind = self.kind;
            report(Kind::UseAfterDestroy, format_args!("{kind} {:#x} was destroyed", handle.0));
        }
        Status::INVALID_HANDLE
    }
}
