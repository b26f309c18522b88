//! The rings that frames go into, each pinned once. Owned by the engine's thread.

use std::sync::Arc;
use std::time::Instant;

use vas_cuda::{CudaError, NoKernels, code};
use vas_frame::RingPages;

use crate::convert::Conversion;
use crate::cuda::{Gpu, Registration};
use crate::engine::FindKernels;
use crate::outcome::Failure;

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
    /// Bytes of device memory for converted pictures.
    pub scratch_bytes: usize,
    /// Why frames of some ring can't be converted.
    pub not_converted: Option<NoKernels>,
    /// Why pinning last failed.
    pub not_pinned: Option<CudaError>,
    /// The driver's answer when the device was found lost.
    pub lost: Option<CudaError>,
}

/// All rings that were seen and still exist.
pub(crate) struct Rings {
    gpu: Arc<Gpu>,
    kernels: FindKernels,
    known: Vec<Ring>,
    /// To be unpinned after the frames in flight to them.
    leaving: Vec<Ring>,
    not_pinned: Option<CudaError>,
    /// Why a conversion was last refused, until one is made.
    not_converted: Option<NoKernels>,
}

/// A ring, and what its frames are converted with.
pub(crate) struct Ring {
    /// Before the pages: nothing is converted for them any more.
    conversion: Option<Result<Conversion, NoKernels>>,
    pages: Pages,
}

/// A ring's pages, held so that their address is not reused.
enum Pages {
    Pinned(Registration),
    /// The driver refused to pin them. It is not asked again for each frame.
    Pageable(RingPages, CudaError),
}

impl Ring {
    fn pages(&self) -> &RingPages {
        match &self.pages {
            Pages::Pinned(registration) => registration.pages(),
            Pages::Pageable(pages, _) => pages,
        }
    }

    fn is_pinned(&self) -> bool {
        matches!(self.pages, Pages::Pinned(_))
    }

    fn are_left(&mut self) -> bool {
        match &mut self.pages {
            Pages::Pinned(registration) => registration.pages_mut().are_left(),
            Pages::Pageable(pages, _) => pages.are_left(),
        }
    }
}

impl Rings {
    pub(crate) fn new(gpu: &Arc<Gpu>, kernels: FindKernels) -> Self {
        Self {
            gpu: Arc::clone(gpu),
            kernels,
            known: Vec::new(),
            leaving: Vec::new(),
            not_pinned: None,
            not_converted: None,
        }
    }

    /// Whether these pages are pinned; `None` if they are new.
    pub(crate) fn is_pinned(&self, pages: &RingPages) -> Option<bool> {
        let mut known = self.known.iter();
        let ring = known.find(|ring| ring.pages().start() == pages.start())?;
        Some(ring.is_pinned())
    }

    /// Prepares the conversion of a known ring's frames, with memory of that size at least. `true`: it was not before.
    pub(crate) fn prepare(&mut self, pages: &RingPages, bytes: usize) -> bool {
        let Some(ring) = find(&mut self.known, pages) else { return false };
        let enough = |has: &Result<Conversion, NoKernels>| match has {
            Ok(conversion) => conversion.bytes() >= bytes,
            // The driver is not asked again for each frame.
            Err(_) => true,
        };
        if ring.conversion.as_ref().is_some_and(enough) {
            return false;
        }
        // What is too small is of an earlier epoch, of which nothing is in flight.
        ring.conversion = None;
        let made = Conversion::new(&self.gpu, &self.kernels, bytes);
        let refused = made.as_ref().err().copied();
        if let Some(error) = refused
            && self.not_converted != refused
        {
            // Not each time that it is tried again.
            tracing::warn!("frames of a ring can't be converted on the GPU: {error}");
        }
        self.not_converted = refused;
        ring.conversion = Some(made);
        true
    }

    /// The conversion that was prepared.
    ///
    /// # Errors
    /// [`Failure::NotConverted`]: the driver refused it.
    pub(crate) fn conversion(&mut self, pages: &RingPages) -> Result<&mut Conversion, Failure> {
        let ring = find(&mut self.known, pages).ok_or(Failure::Internal)?;
        let conversion = ring.conversion.as_mut().ok_or(Failure::Internal)?;
        conversion.as_mut().map_err(|error| Failure::NotConverted(*error))
    }

    /// Pins new pages, for all later epochs that use them.
    pub(crate) fn pin(&mut self, pages: RingPages) -> bool {
        // Release unused memory before pinning more.
        self.sweep();
        self.add(pages, None)
    }

    fn add(&mut self, pages: RingPages, conversion: Option<Result<Conversion, NoKernels>>) -> bool {
        let (start, bytes) = (Instant::now(), pages.bytes());
        let pages = match Registration::new(&self.gpu, pages) {
            Ok(registration) => {
                let took = start.elapsed();
                tracing::info!("pinned a ring of {} MiB in {took:?}", bytes >> 20);
                Pages::Pinned(registration)
            }
            Err((error, pages)) => {
                if self.not_pinned.replace(error) != Some(error) {
                    tracing::warn!(
                        "a ring of {} MiB can't be pinned: {error}; its frames are copied once more",
                        bytes >> 20
                    );
                }
                Pages::Pageable(pages, error)
            }
        };
        let ring = Ring { conversion, pages };
        let is_pinned = ring.is_pinned();
        self.known.push(ring);
        is_pinned
    }

    /// Unpins and unmaps pages that no writer, claimed slot or retired ring holds any more. A frame
    /// in flight holds its slot, so no copy into these runs.
    pub(crate) fn sweep(&mut self) {
        self.known.retain_mut(|ring| !ring.are_left());
    }

    /// Retries rings that another device still had pinned when this one was to take them over, and conversions that the
    /// driver refused.
    pub(crate) fn retry(&mut self) {
        let was_taken = |ring: &mut Ring| matches!(ring.pages, Pages::Pageable(_, error) if error.code == code::ALREADY_REGISTERED);
        let again: Vec<_> = self.known.extract_if(.., was_taken).collect();
        for Ring { conversion, pages } in again {
            if let Pages::Pageable(pages, _) = pages {
                self.add(pages, conversion);
            }
        }
        for ring in &mut self.known {
            // With the next frame.
            ring.conversion.take_if(|conversion| conversion.is_err());
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
        let pinned = self.known.iter().filter(|ring| ring.is_pinned());
        status.pinned_rings = pinned.clone().count();
        status.pinned_bytes = pinned.map(|ring| ring.pages().bytes()).sum();
        status.staged_rings = self.known.len() - status.pinned_rings;
        status.not_pinned = self.not_pinned;
        let conversions = self.known.iter().filter_map(|ring| ring.conversion.as_ref());
        status.scratch_bytes = conversions.clone().flatten().map(Conversion::bytes).sum();
        status.not_converted = conversions.filter_map(|made| made.as_ref().err()).next().copied();
    }
}

fn find<'a>(known: &'a mut [Ring], pages: &RingPages) -> Option<&'a mut Ring> {
    known.iter_mut().find(|ring| ring.pages().start() == pages.start())
}
