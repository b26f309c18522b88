//! Identifiers and the objects behind them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use vas_sim_common::Peak;

use super::lock;
use super::misuse::{Kind, report};
use super::status::{Result, Status};
use crate::driver::display::Display;

/// Far from small numbers and from `VA_INVALID_ID`, so that neither is ever an object.
const FIRST: u32 = 0x0A00_0000;
static NEXT: AtomicU32 = AtomicU32::new(FIRST);

/// An identifier. None is ever used again, so a stale one is distinguished from a live one.
pub(crate) fn new_id() -> u32 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The living objects of one kind, of all displays.
pub(crate) struct Registry<T> {
    kind: &'static str,
    invalid: Status,
    items: Mutex<BTreeMap<u32, (usize, Arc<T>)>>,
    /// The number of live objects: current and highest.
    pub(crate) count: Peak,
}

impl<T> Registry<T> {
    /// An empty registry; `kind` names the objects in reports, `invalid` is the status for an unknown one.
    pub(crate) const fn new(kind: &'static str, invalid: Status) -> Self {
        Self { kind, invalid, items: Mutex::new(BTreeMap::new()), count: Peak::new() }
    }

    /// Stores an object and returns its identifier.
    pub(crate) fn insert(&self, display: &Display, item: T) -> u32 {
        let id = new_id();
        self.insert_as(display, id, Arc::new(item));
        id
    }

    /// Stores the object that `make` creates from its identifier.
    ///
    /// # Errors
    /// Those of `make`.
    pub(crate) fn try_insert_with(
        &self,
        display: &Display,
        make: impl FnOnce(u32) -> Result<T>,
    ) -> Result<u32> {
        let id = new_id();
        self.insert_as(display, id, Arc::new(make(id)?));
        Ok(id)
    }

    /// Stores an object under an identifier of [`new_id`].
    pub(crate) fn insert_as(&self, display: &Display, id: u32, item: Arc<T>) {
        lock(&self.items).insert(id, (display.number, item));
        self.count.add(1);
    }

    /// The object of an identifier.
    ///
    /// # Errors
    /// The status for an unknown object; a misuse if it was destroyed or belongs to another display.
    pub(crate) fn get(&self, display: &Display, id: u32) -> Result<Arc<T>> {
        match lock(&self.items).get(&id) {
            Some((owner, item)) if *owner == display.number => Ok(Arc::clone(item)),
            Some(_) => Err(self.foreign(id)),
            None => Err(self.unknown(id, Kind::UseAfterDestroy)),
        }
    }

    /// Removes and returns an object.
    ///
    /// # Errors
    /// As [`Registry::get`].
    pub(crate) fn remove(&self, display: &Display, id: u32) -> Result<Arc<T>> {
        let mut items = lock(&self.items);
        match items.get(&id) {
            Some((owner, _)) if *owner == display.number => {}
            Some(_) => return Err(self.foreign(id)),
            None => return Err(self.unknown(id, Kind::DoubleDestroy)),
        }
        let (_, item) = items.remove(&id).expect("it is there");
        self.count.subtract(1);
        Ok(item)
    }

    /// Removes all objects of a display and reports each as a leak.
    pub(crate) fn end(&self, display: &Display) -> usize {
        let mut items = lock(&self.items);
        let left: Vec<u32> =
            items.iter().filter(|(_, (o, _))| *o == display.number).map(|(id, _)| *id).collect();
        for id in &left {
            items.remove(id);
            self.count.subtract(1);
            let (kind, node) = (self.kind, &display.node.name);
            report(Kind::Leak, format_args!("{kind} {id:#x} of {node} at vaTerminate"));
        }
        left.len()
    }

    fn foreign(&self, id: u32) -> Status {
        let kind = self.kind;
        report(Kind::ForeignObject, format_args!("{kind} {id:#x} belongs to another display"));
        self.invalid
    }

    fn unknown(&self, id: u32, misuse: Kind) -> Status {
        if (FIRST..NEXT.load(Ordering::Relaxed)).contains(&id) {
            report(misuse, format_args!("{} {id:#x} was destroyed", self.kind));
        }
        self.invalid
    }
}
