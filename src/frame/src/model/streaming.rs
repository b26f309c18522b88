//! Streaming stores as the model checker can follow them.
//!
//! A processor holds a non-temporal store back in a buffer of its own. No fence of the language orders it
//! with the stores around it; `sfence` does, on both sides. Here the buffer is a thread that makes the
//! stores in its own time: with nothing to order it but what an `sfence` gave it before it began, and
//! nothing that waits for it but the next `sfence`.

use std::cell::{Cell, RefCell};

use loom::thread::{self, JoinHandle};

use crate::sync::{Ordering, fence};
use crate::writer::ClaimedSlot;

struct Buffers {
    /// Stores that may not have been made yet.
    held_back: RefCell<Vec<JoinHandle<()>>>,
    /// Whether what came before the next store was drained.
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

/// Makes every pixel of a slot that was just claimed `value`, with streaming stores.
pub(crate) fn store(slot: &ClaimedSlot, value: u64) {
    BUFFERS.with(|buffers| {
        // An `sfence` before the claim orders nothing behind it.
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
