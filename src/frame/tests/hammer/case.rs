//! A test case: a ring, its pictures and how they are stored.

use std::fmt;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use vas_frame::{CameraId, Color, Geometry};

/// How the writer stores a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stores {
    /// `StoreKind::Auto`.
    Auto,
    /// `StoreKind::Cached`.
    Cached,
    /// `StoreKind::Streaming`.
    Streaming,
    /// As a copy function of another crate may: streaming stores that leave cache lines incomplete.
    Partial,
}

impl Stores {
    pub(crate) const ALL: [Self; 4] = [Self::Cached, Self::Streaming, Self::Auto, Self::Partial];
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) slots: u32,
    pub(crate) size: (u32, u32),
    pub(crate) stores: Stores,
    /// The writer's sites that are switched off, one bit each.
    pub(crate) weakened: u32,
}

impl Case {
    pub(crate) const TITLE: &str = "     size    stores  slots";

    pub(crate) fn new(slots: u32, size: (u32, u32), stores: Stores) -> Self {
        Self { slots, size, stores, weakened: 0 }
    }

    pub(crate) fn geometry(&self) -> Geometry {
        Geometry::new(self.size.0, self.size.1, Color::default(), 8).unwrap()
    }

    /// As text for the writer's environment.
    pub(crate) fn to_words(self) -> String {
        let Self { slots, size, stores, weakened } = self;
        format!("{slots} {} {} {stores:?} {weakened}", size.0, size.1)
    }

    pub(crate) fn from_words(words: &str) -> Self {
        let words: Vec<_> = words.split(' ').collect();
        let number = |i: usize| words[i].parse().unwrap();
        let named = |stores: &Stores| format!("{stores:?}") == words[3];
        let stores = Stores::ALL.into_iter().find(named).unwrap();
        Self { slots: number(0), size: (number(1), number(2)), stores, weakened: number(4) }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = format!("{}x{}", self.size.0, self.size.1);
        let stores = format!("{:?}", self.stores);
        write!(f, "{size:>9} {stores:>9} {:>6}", self.slots)
    }
}

pub(crate) fn camera() -> CameraId {
    CameraId::new("hammer").unwrap()
}

/// One of two processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Writer,
    Reader,
}

/// Pins a thread to one processor as long as this lives.
pub(crate) struct Pinned {
    before: CpuSet,
}

impl Pinned {
    /// Pins the calling thread to a processor that the other side does not use.
    ///
    /// # Panics
    /// If only one processor is allowed: two processes that alternate on it prove nothing.
    pub(crate) fn to(side: Side) -> Self {
        let before = sched_getaffinity(None).unwrap();
        let mut allowed = (0..CpuSet::MAX_CPU).filter(|&cpu| before.is_set(cpu));
        let (first, second) = (allowed.next().unwrap(), allowed.next());
        let second = second.expect("the hammer needs two processors");
        let mut own = CpuSet::new();
        own.set(if side == Side::Writer { first } else { second });
        sched_setaffinity(None, &own).unwrap();
        Self { before }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        sched_setaffinity(None, &self.before).unwrap();
    }
}
