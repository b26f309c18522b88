//! Handles and the objects behind them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use vas_sim_common::Peak;

use super::abi::Handle;
use super::lock;
use super::misuse::{Kind, report};
use super::status::{Result, Status};

/// No program has memory at these addresses, so a handle used as a pointer faults.
const FIRST: usize = 0x00AB_0000_0000_0000;
static NEXT: AtomicUsize = AtomicUsize::new(FIRST);

/// The living objects of one kind.
pub(crate) struct Registry<T> {
    kind: &'static str,
    items: Mutex<BTreeMap<Handle, Arc<T>>>,
    /// The number of live objects: current and highest.
    pub(crate) count: Peak,
}

impl<T> Registry<T> {
    /// An empty registry; `kind` names the objects in reports.
    pub(crate) const fn new(kind: &'static str) -> Self {
        Self { kind, items: Mutex::new(BTreeMap::new()), count: Peak::new() }
    }

    /// Stores the object that `make` creates from its handle.
    pub(crate) fn insert_with(&self, make: impl FnOnce(Handle) -> T) -> (Handle, Arc<T>) {
        // Handles are never reused, so a stale one is distinguished from a live one.
        let handle = Handle(NEXT.fetch_add(16, Ordering::Relaxed));
        let item = Arc::new(make(handle));
        lock(&self.items).insert(handle, Arc::clone(&item));
        self.count.add(1);
        (handle, item)
    }

    /// Stores an object and returns its handle.
    pub(crate) fn insert(&self, item: T) -> Handle {
        self.insert_with(|_| item).0
    }

    /// The object of a handle.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_HANDLE`, and a misuse if it was destroyed before.
    pub(crate) fn get(&self, handle: Handle) -> Result<Arc<T>> {
        lock(&self.items).get(&handle).cloned().ok_or_else(|| self.unknown(handle))
    }

    /// Removes and returns an object.
    ///
    /// # Errors
    /// As [`Registry::get`].
    pub(crate) fn remove(&self, handle: Handle) -> Result<Arc<T>> {
        let item = lock(&self.items).remove(&handle).ok_or_else(|| self.unknown(handle))?;
        self.count.subtract(1);
        Ok(item)
    }

    /// All live objects, in the order of creation.
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
