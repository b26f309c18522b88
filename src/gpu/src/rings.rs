//! The rings that frames go into, each pinned once. Owned by the engine's thread.

use std::sync::Arc;
use std::time::Instant;

use vas_cuda::{CudaError, code};
use vas_frame::RingPages;

use crate::cuda::{Gpu, Registration};

/// An engine's state, for status and logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Rings that are copied into directly.
    pub pinned_rings: usize,
    /// Bytes of these rings.
    pub pinned_bytes: usize,
    /// Rings that could not be pinned: their frames are staged in the driver's memory and copied
    /// once more by the CPU.
    pub staged_rings: usize,
    /// Bytes of staging memory.
    pub staging_bytes: usize,
    /// Why pinning last failed.
    pub not_pinned: Option<CudaError>,
    /// The driver's answer when the device was found lost.
    pub lost: Option<CudaError>,
}

/// All rings that were seen and still exist.
pub(crate) struct Rings {
    gpu: Arc<Gpu>,
    known: Vec<Ring>,
    /// To be unpinned after the frames in flight to them.
    leaving: Vec<Ring>,
    not_pinned: Option<CudaError>,
}

/// A ring's pages, held so that their address is not reused.
pub(crate) enum Ring {
    Pinned(Registration),
    /// The driver refused to pin them. It is not asked again for each frame.
    Pageable(RingPages, CudaError),
}

impl Ring {
    fn pages(&self) -> &RingPages {
        match self {
            Self::Pinned(registration) => registration.pages(),
            Self::Pageable(pages, _) => pages,
        }
    }

    fn are_left(&mut self) -> bool {
        match self {
            Self::Pinned(registration) => registration.pages_mut().are_left(),
            Self::Pageable(pages, _) => pages.are_left(),
        }
    }
}

impl Rings {
    pub(crate) fn new(gpu: &Arc<Gpu>) -> Self {
        Self { gpu: Arc::clone(gpu), known: Vec::new(), leaving: Vec::new(), not_pinned: None }
    }

    /// Whether these pages are pinned; `None` if they are new.
    pub(crate) fn is_pinned(&self, pages: &RingPages) -> Option<bool> {
        let mut known = self.known.iter();
        let ring = known.find(|ring| ring.pages().start() == pages.start())?;
        Some(matches!(ring, Ring::Pinned(_)))
    }

    /// Pins new pages, for all later epochs that use them.
    pub(crate) fn pin(&mut self, pages: RingPages) -> bool {
        // Release unused memory before pinning more.
        self.sweep();
        let (start, bytes) = (Instant::now(), pages.bytes());
        let ring = match Registration::new(&self.gpu, pages) {
            Ok(registration) => {
                let took = start.elapsed();
                tracing::info!("pinned a ring of {} MiB in {took:?}", bytes >> 20);
                Ring::Pinned(registration)
            }
            Err((error, pages)) => {
                if self.not_pinned.replace(error) != Some(error) {
                    tracing::warn!(
                        "a ring of {} MiB can't be pinned: {error}; its frames are copied once more",
                        bytes >> 20
                    );
                }
                Ring::Pageable(pages, error)
            }
        };
        let is_pinned = matches!(ring, Ring::Pinned(_));
        self.known.push(ring);
        is_pinned
    }

    /// Unpins and unmaps pages that no writer, claimed slot or retired ring holds any more. A frame
    /// in flight holds its slot, so no copy into these runs.
    pub(crate) fn sweep(&mut self) {
        self.known.retain_mut(|ring| !ring.are_left());
    }

    /// Retries rings that another device still had pinned when this one was to take them over.
    pub(crate) fn retry(&mut self) {
        let was_taken = |ring: &mut Ring| matches!(ring, Ring::Pageable(_, error) if error.code == code::ALREADY_REGISTERED);
        let again: Vec<_> = self.known.extract_if(.., was_taken).collect();
        for ring in again {
            self.pin(ring.pages().clone());
        }
    }

    /// Gives up a ring, if it is here.
    pub(crate) fn leave(&mut self, pages: &RingPages) {
        let is_it = |ring: &mut Ring| ring.pages().start() == pages.start();
        self.leaving.extend(self.known.extract_if(.., is_it));
    }

    /// Gives up all rings.
    pub(crate) fn leave_all(&mut self) {
        self.leaving.append(&mut self.known);
    }

    pub(crate) fn have_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Takes the rings that were given up, to be dropped once no copy into them runs.
    pub(crate) fn take_leaving(&mut self) -> Vec<Ring> {
        std::mem::take(&mut self.leaving)
    }

    pub(crate) fn show(&self, status: &mut Status) {
        let pinned = self.known.iter().filter(|ring| matches!(ring, Ring::Pinned(_)));
        status.pinned_rings = pinned.clone().count();
        status.pinned_bytes = pinned.map(|ring| ring.pages().bytes()).sum();
        status.staged_rings = self.known.len() - status.pinned_rings;
        status.not_pinned = self.not_pinned;
    }
}
