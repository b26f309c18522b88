//! For tests and fuzzers: atomics that call an intruder before each load, in place of another
//! process.
//!
//! The actions of a hostile writer between two loads of a reader would otherwise be left to chance. Here
//! an intruder runs before each load of its thread, so a test can intervene at any point, reproducibly.

use std::cell::RefCell;
use std::ops::Deref;
use std::sync::atomic::{self, Ordering};

type Intruder = Box<dyn FnMut()>;

thread_local! {
    static INTRUDER: RefCell<Option<Intruder>> = const { RefCell::new(None) };
}

/// Calls `intruder` before each of this thread's loads; `None` stops that.
pub fn before_each_load(intruder: Option<Intruder>) {
    INTRUDER.set(intruder);
}

fn let_in() {
    INTRUDER.with_borrow_mut(|intruder| {
        if let Some(intruder) = intruder {
            intruder();
        }
    });
}

macro_rules! racing {
    ($name:ident, $word:ty) => {
        /// The standard type, with loads that call the intruder first.
        #[repr(transparent)]
        #[derive(Debug)]
        pub(crate) struct $name(atomic::$name);

        impl $name {
            #[inline]
            pub(crate) fn load(&self, ordering: Ordering) -> $word {
                let_in();
                self.0.load(ordering)
            }
        }

        impl Deref for $name {
            type Target = atomic::$name;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }
    };
}

racing!(AtomicU32, u32);
racing!(AtomicU64, u64);

#[cfg(test)]
impl AtomicU64 {
    pub(crate) const fn new(value: u64) -> Self {
        Self(atomic::AtomicU64::new(value))
    }
}
