//! The one interface of download engines, which bring a decoded picture into its slot.
//!
//! A frame takes the same steps whatever memory it was decoded to: take a permit, claim a slot,
//! submit both with the picture. Completion publishes and counts the frame and returns permit and
//! picture. `export::conformance` holds every engine to it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vas_frame::{CameraId, ClaimedSlot, Flags, PublishMeta};
use vas_media::Frame;
use vas_pipeline::InputStats;
use vas_status::DropReason;

use super::panics::Panics;
use super::stats::ExportStats;

/// Frames of a camera that may be handed over and not yet published. They hold memory of the
/// decoder, which [`vas_pipeline::EXTRA_SURFACES`] allows for.
pub(super) const MAX_IN_FLIGHT: u32 = 3;

const _: () = assert!(MAX_IN_FLIGHT < vas_pipeline::EXTRA_SURFACES);

/// A camera's use of a download engine, by one thread at a time.
///
/// Nothing here waits, allocates or calls a driver, and a frame costs at most one system call, the
/// wake-up. Frames are published, and counted, in the order of their submission.
pub(super) trait Download {
    /// Permit for one frame, of [`MAX_IN_FLIGHT`]. Dropping it gives it back.
    type Permit;

    /// Takes a permit, before a slot is claimed.
    ///
    /// # Errors
    /// The reason to drop and count the frame for.
    fn admit(&self) -> Result<Self::Permit, DropReason>;

    /// Takes the picture out of `frame`. In the end the slot holds that picture, or no frame.
    fn submit(&self, permit: Self::Permit, frame: &mut Frame, slot: ClaimedSlot, meta: PublishMeta);

    /// Frames that are neither published nor given up.
    fn in_flight(&self) -> u32;
}

/// Where engines count the outcome of each of a camera's frames.
#[derive(Clone, Debug)]
pub(super) struct Account {
    camera: CameraId,
    input_stats: Arc<InputStats>,
    stats: Arc<ExportStats>,
    panics: Arc<Panics>,
}

impl Account {
    pub(super) fn new(
        camera: CameraId,
        input_stats: Arc<InputStats>,
        stats: Arc<ExportStats>,
        panics: Arc<Panics>,
    ) -> Self {
        Self { camera, input_stats, stats, panics }
    }

    /// Runs a piece of a part's work for this camera; see [`Panics::catch`].
    pub(super) fn catch<R>(&self, part: &'static str, work: impl FnOnce() -> R) -> Option<R> {
        self.panics.catch(part, Some(&self.camera), work)
    }

    /// Logs and counts a part's panic.
    pub(super) fn panicked(&self, part: &str, words: &str) {
        self.panics.note(part, Some(&self.camera), words);
    }

    /// See [`Panics::trip`].
    pub(super) fn trip(&self, place: &'static str) {
        self.panics.trip(place);
    }

    pub(super) fn camera(&self) -> &CameraId {
        &self.camera
    }

    /// Readers have the frame.
    pub(super) fn published(&self, meta: &PublishMeta, at_ns: u64) {
        let since = |then_ns| at_ns.saturating_sub(then_ns);
        self.stats.published(since(meta.arrival_ns), since(meta.decoded_ns));
        let marked = Flags::CORRUPT.with(Flags::AFTER_LOSS, true).bits();
        self.input_stats.counters.exported_frame(meta.flags.bits() & marked != 0);
    }

    /// The copy failed. The slot holds no frame; older ones stay readable.
    pub(super) fn failed(&self, why: &dyn fmt::Display) {
        self.dropped(DropReason::CopyFailed);
        tracing::warn!(camera = %self.camera, "a frame was not exported: {why}");
    }

    pub(super) fn dropped(&self, why: DropReason) {
        self.input_stats.counters.dropped(why);
    }
}

/// Where a picture lies, which decides the engine that can download it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// In the memory of this process.
    Host,
    /// On the NVIDIA GPU of this index.
    Cuda(usize),
    /// In surfaces of the render node of this number.
    Vaapi(u32),
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("the processor's memory"),
            Self::Cuda(device) => write!(f, "GPU {device}"),
            Self::Vaapi(node) => write!(f, "renderD{node}"),
        }
    }
}

impl Memory {
    /// The memory of a frame.
    pub(super) fn of(frame: &Frame) -> Self {
        if let Some(node) = frame.render_node() {
            return Self::Vaapi(node);
        }
        frame.surface().map_or(Self::Host, |surface| Self::Cuda(surface.device))
    }
}

/// The numbers of render nodes begin here in [`MemoryInUse`].
const FIRST_NODE: u64 = 1 << 32;

/// The memory that a camera's frames come from, for the status.
#[derive(Debug, Default)]
pub(super) struct MemoryInUse(AtomicU64);

impl MemoryInUse {
    pub(super) fn set(&self, memory: Memory) {
        let number = match memory {
            Memory::Host => 0,
            Memory::Cuda(device) => device as u64 + 1,
            Memory::Vaapi(node) => FIRST_NODE + u64::from(node),
        };
        self.0.store(number, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Memory {
        match self.0.load(Ordering::Relaxed) {
            0 => Memory::Host,
            number if number < FIRST_NODE => Memory::Cuda(number as usize - 1),
            number => Memory::Vaapi((number - FIRST_NODE) as u32),
        }
    }
}
