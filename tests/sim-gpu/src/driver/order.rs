//! The happened-before relation: a vector clock over streams.
//!
//! Work on a stream is numbered. A stream's clock holds, for every stream, the number up to which work is
//! known to have happened before the stream's next work: by its own order, by event waits, or because the
//! host saw it finished before it queued that work. Using a surface whose picture is not covered is a race,
//! whether or not it went wrong this time.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::sim::lock;

/// Per stream, the number of the last piece of work that is covered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order(BTreeMap<u64, u64>);

/// The work that the host saw finished. All threads share it: hand-overs between threads are assumed to
/// be ordered, so that no correct program is reported.
static HOST: Mutex<Order> = Mutex::new(Order::new());

impl Order {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Covers work `number` of `stream` and all before it there.
    pub(crate) fn cover(&mut self, stream: u64, number: u64) {
        let known = self.0.entry(stream).or_default();
        *known = number.max(*known);
    }

    /// Covers what `other` covers.
    pub(crate) fn join(&mut self, other: &Self) {
        for (stream, number) in &other.0 {
            self.cover(*stream, *number);
        }
    }

    /// Whether work `number` of `stream` is covered.
    pub(crate) fn covers(&self, stream: u64, number: u64) -> bool {
        self.0.get(&stream).is_some_and(|known| *known >= number)
    }
}

/// Records that the host saw all this finished.
pub(crate) fn host_saw(order: &Order) {
    lock(&HOST).join(order);
}

/// Covers what the host has seen finished.
pub(crate) fn join_host(order: &mut Order) {
    order.join(&lock(&HOST));
}
