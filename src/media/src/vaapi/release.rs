//! Releases pictures away from threads that must not wait for a driver: the last picture of a closed decoder destroys its
//! surfaces, and perhaps closes the node.

use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::frame::Frame;

/// The threads, by the numbers of their nodes. They live as long as the process.
static THREADS: Mutex<BTreeMap<u32, Sender<Frame>>> = Mutex::new(BTreeMap::new());

impl Frame {
    /// Releases the picture as [`clear`](Self::clear) does; one that VA-API decoded, on a thread of its node. Nothing
    /// waits for that thread: it may hang.
    ///
    /// It allocates, so use it only where this may be the last picture of its decoder.
    pub fn release_apart(&mut self) {
        let Some(node) = self.render_node() else { return self.clear() };
        let mut moved = Frame::new();
        moved.take_from(self);
        // Never held during a call of a driver.
        let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = threads.get(&node) {
            match thread.send(moved) {
                Ok(()) => return,
                // A panic ended it.
                Err(unsent) => moved = unsent.0,
            }
        }
        let (sender, frames) = channel::<Frame>();
        let work = move || frames.into_iter().for_each(drop);
        match thread::Builder::new().name("vas-va-drop".into()).spawn(work) {
            Ok(_) => {
                // The thread has just started and holds the other end.
                let _sent = sender.send(moved);
                threads.insert(node, sender);
            }
            Err(error) => {
                // Its surfaces stay allocated, which is better than a thread that hangs.
                tracing::error!("renderD{node}: no thread to release a picture on: {error}");
                std::mem::forget(moved);
            }
        }
    }
}
