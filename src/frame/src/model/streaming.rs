//! Streaming stores that the model checker can follow.
//!
//! A processor holds non-temporal stores back in a write-combining buffer. No fence of the language
//! orders them with the stores around them; `sfence` does, on both sides. Here the buffer is a thread
//! that performs the stores at any time: only an `sfence` before it starts orders it after earlier
//! stores, and only the next `sfence` waits for it.

use std::cell::{Cell, RefCell};

use loom::thread::{self, JoinHandle};

use crate::sync::{Ordering, fence};
use crate::writer::ClaimedSlot;

struct Buffers {
    /// Stores that may not have been performed yet.
    held_back: RefCell<Vec<JoinHandle<()>>>,
    /// Whether an `sfence` came directly before the next store.
    drained: Cell<bool>,
}

loom::thread_local! {
    static BUFFERS: Buffers = Buffers { held_back: RefCell::default(), drained: Cell::new(false) };
}

/// `sfence`.
pub(crate) fn drain() {
    BUFFERS.with(|buffers| {
        buffers.drained.set(true);
        for stores in buffers.held_back.borrow_mut().drain(..) {
            stores.join().expect("it only stores");
        }
    });
}

/// Sets every pixel of a slot that was just claimed to `value`, with streaming stores.
pub(crate) fn store(slot: &ClaimedSlot, value: u64) {
    BUFFERS.with(|buffers| {
        // An `sfence` before the claim does not order stores after it.
        buffers.drained.set(false);
        let pixels = slot.pixels();
        let drained = buffers.drained.get();
        let stores = thread::spawn(move || {
            if drained {
                fence(Ordering::Release);
            }
            pixels.store(value);
        });
        buffers.held_back.borrow_mut().push(stores);
    });
}
