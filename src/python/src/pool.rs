//! Pictures' memory, reused from frame to frame.

use std::sync::{Arc, Mutex, PoisonError};

use vas_frame::Nv12Image;

/// Images kept for reuse. A program that keeps more frames than this at a time allocates for the others.
const KEPT: usize = 4;

/// Images of one camera that no frame uses.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    unused: Mutex<Vec<Nv12Image>>,
}

impl Pool {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { unused: Mutex::new(Vec::with_capacity(KEPT)) })
    }

    /// An image to be filled: of a frame that no one has any more, or a new one.
    pub(crate) fn take(self: &Arc<Self>) -> Pooled {
        let image = self.unused.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Pooled { image: image.unwrap_or_default(), pool: Arc::clone(self) }
    }
}

/// An image that returns to its pool when it is dropped.
#[derive(Debug)]
pub(crate) struct Pooled {
    pub(crate) image: Nv12Image,
    pool: Arc<Pool>,
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let mut unused = self.pool.unused.lock().unwrap_or_else(PoisonError::into_inner);
        if unused.len() < KEPT {
            unused.push(std::mem::take(&mut self.image));
        }
    }
}
