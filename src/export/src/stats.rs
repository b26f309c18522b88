//! What the status is told of a camera's export.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use vas_frame::Demanded;

use super::ages::Ages;

/// What can be seen of a camera's export.
#[derive(Debug, Default)]
pub(crate) struct ExportFacts {
    facts: Mutex<Facts>,
    /// How old frames were when they were published; told by whoever publishes them.
    ages: Ages,
    /// The longest way from decode to publication since it was last asked for.
    longest_ns: AtomicU64,
}

#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// `opening`, `open` or `refused`.
    pub(crate) state: &'static str,
    pub(crate) detail: String,
    pub(crate) slots: u32,
    pub(crate) ring_bytes: u64,
    pub(crate) lease_ms: u64,
    pub(crate) retired_bytes: u64,
    /// What readers ask for.
    pub(crate) demanded: Demanded,
    pub(crate) download: DownloadFacts,
}

/// How frames come into the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DownloadFacts {
    /// `host`, `cuda` or `none`.
    pub(crate) engine: &'static str,
    /// Why there is none, or why frames are copied once more on their way.
    pub(crate) why: Option<String>,
}

impl DownloadFacts {
    /// Whether a GPU writes into the ring itself, which takes pinned memory.
    pub(crate) fn pins_ring(&self) -> bool {
        self.engine == "cuda" && self.why.is_none()
    }
}

impl Default for DownloadFacts {
    fn default() -> Self {
        Self { engine: "host", why: None }
    }
}

impl ExportFacts {
    pub(crate) fn get(&self) -> Facts {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ages of frames at their publication.
    pub(crate) fn ages(&self) -> &Ages {
        &self.ages
    }

    /// A frame was published: how old it was by then, and how long ago it was decoded.
    pub(super) fn published(&self, age_ns: u64, download_ns: u64) {
        self.ages.record(age_ns);
        self.longest_ns.fetch_max(download_ns, Ordering::Relaxed);
    }

    /// The longest time from a frame's decode to its publication since this was last asked; `None` when no
    /// frame was published.
    pub(crate) fn take_longest_ns(&self) -> Option<u64> {
        Some(self.longest_ns.swap(0, Ordering::Relaxed)).filter(|&longest_ns| longest_ns > 0)
    }

    /// Says why there is no export; whether that is news.
    pub(crate) fn refuse(&self, words: &str) -> bool {
        let mut news = false;
        self.set(|facts| {
            news = facts.state != "refused" || facts.detail != words;
            facts.state = "refused";
            words.clone_into(&mut facts.detail);
            facts.slots = 0;
            facts.ring_bytes = 0;
        });
        news
    }

    /// What it was refused for is over; a ring comes with its first reader.
    pub(crate) fn no_longer_refuse(&self) {
        self.set(|facts| {
            if facts.state == "refused" {
                facts.state = "opening";
                facts.detail.clear();
            }
        });
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.facts.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            state: "opening",
            detail: String::new(),
            slots: 0,
            ring_bytes: 0,
            lease_ms: 0,
            retired_bytes: 0,
            demanded: Demanded::Nothing,
            download: DownloadFacts::default(),
        }
    }
}
