//! The ring: claim a slot, write it, publish it. Nothing here waits for a reader.
//!
//! House rules. A slot belongs to the holder of its [`ClaimedSlot`], from the claim to the publication;
//! `busy` records that. Only the holder touches the slot's bytes and entry. The header's line of the
//! newest frame is written under `publishing`, which a claim never takes: a preempted publisher must not
//! delay the decode thread. Readers may read at any time, guarded by the sequences.

use std::fs::File;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use memmap2::MmapRaw;

use super::notifier_handle::NotifierHandle;
use super::pages::{Mapping, RingPages};
use super::refused::{PictureTooSmall, Refused};
use crate::clock::monotonic_ns;
use crate::futex;
use crate::geometry::Geometry;
use crate::layout::{self, Entry, Header};
use crate::memory::Meta;
use crate::meta::{Placement, PublishMeta};
use crate::nv12::{self, Picture, StoreKind};
use crate::seqlock::{self, HEAD, SLOT};
use crate::site::Site;
use crate::sync::{AtomicBool, Mutex, Ordering};

/// Waiters that a publisher wakes itself; waking one costs it about 4.5 us. One more than the four readers
/// that must be woken without delay: only a full count indicates that there may be more, and then the
/// notifier is woken too, which made the last of exactly four readers 1.4 times as late. Under the model
/// checker two readers are a crowd.
pub(super) const WAKE_AT_ONCE: u32 = if cfg!(loom) { 1 } else { 5 };

/// How long to wait before checking again a ring with copies in flight.
const IN_FLIGHT_RETRY_NS: u64 = 2_000_000;

/// One epoch's files, mapped for writing.
#[derive(Debug)]
pub(crate) struct Ring {
    meta: Meta,
    data: Arc<Mapping>,
    /// Holds the lock that shows readers that the writer is alive.
    _meta_lock: File,
    geometry: Geometry,
    slots: u32,
    lease_ns: u64,
    busy: Box<[AtomicBool]>,
    /// No slot is claimed any more.
    unclaimable: AtomicBool,
    /// Held while the newest frame's line is written. Uncontended, because every engine publishes a
    /// camera's frames from one thread at a time.
    publishing: Mutex<()>,
    /// Whether `copying` was last set to 1: lets the claiming thread check without a load from a line that
    /// readers share.
    runs: AtomicBool,
    /// Set by a publisher for the notifier: more readers may wait.
    pub(crate) crowd_waits: AtomicBool,
    /// Set by the notifier after it woke many: publishers then leave all waking to it.
    pub(crate) is_crowded: AtomicBool,
    notifier: NotifierHandle,
}

impl Ring {
    /// Takes mappings whose sizes match the header in `meta`.
    pub(crate) fn new(
        meta: MmapRaw,
        data: Arc<Mapping>,
        meta_lock: File,
        geometry: Geometry,
        slots: u32,
        lease_ns: u64,
        notifier: NotifierHandle,
    ) -> Self {
        let meta = Meta::new(meta).expect("the meta mapping holds a header");
        assert!(meta.entries() >= slots, "the meta mapping holds its entries");
        assert!(
            data.len() as u64 >= geometry.slot_stride() * u64::from(slots),
            "and data its slots"
        );
        Self {
            meta,
            data,
            _meta_lock: meta_lock,
            geometry,
            slots,
            lease_ns,
            busy: (0..slots).map(|_| AtomicBool::new(false)).collect(),
            unclaimable: AtomicBool::new(false),
            publishing: Mutex::new(()),
            runs: AtomicBool::new(false),
            crowd_waits: AtomicBool::new(false),
            is_crowded: AtomicBool::new(false),
            notifier,
        }
    }

    /// The words that readers share under the model checker.
    #[cfg(loom)]
    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }

    pub(crate) fn header(&self) -> &Header {
        self.meta.header()
    }

    pub(crate) fn entry(&self, slot: u32) -> &Entry {
        self.meta.entry(slot)
    }

    pub(crate) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    pub(crate) fn data(&self) -> &Arc<Mapping> {
        &self.data
    }

    /// When the last lease of this ring ends.
    fn leased_until_ns(&self) -> u64 {
        let lease = |s| self.entry(s).reuse_not_before_ns.load(Ordering::Relaxed);
        (0..self.slots).map(lease).max().unwrap_or(0)
    }

    /// Succeeds if no copy is or can be in flight to this ring and all leases have ended: then all
    /// stores into its slots happened before. The error is the time to retry.
    pub(crate) fn unused_at(&self, now_ns: u64) -> Result<(), u64> {
        // A reference count is not enough: it orders nothing, and the pages could be reused while the
        // stores of the last copy are still in flight.
        if !self.is_at_rest() {
            return Err(now_ns + IN_FLIGHT_RETRY_NS);
        }
        let until = self.leased_until_ns();
        if until > now_ns { Err(until) } else { Ok(()) }
    }

    pub(crate) fn is_at_rest(&self) -> bool {
        // Partner: the release store in `RingWriter`'s drop. A thread that sees it sees every claim.
        if !self.unclaimable.load(Site::LeaveLoad.order(Ordering::Acquire)) {
            return false;
        }
        // Partner: the release store in `ClaimedSlot::free`, which follows the last store into the slot.
        let order = Site::RestLoad.order(Ordering::Acquire);
        self.busy.iter().all(|busy| !busy.load(order))
    }

    /// Makes every frame unreadable for good, before the pages are reused.
    pub(crate) fn invalidate(&self) {
        for slot in 0..self.slots {
            seqlock::begin_write(&self.entry(slot).sequence);
        }
    }

    /// Marks this ring as ended for all readers.
    pub(crate) fn close(&self, state: u32) {
        // Partner: the acquire fence in a reader's `is_live`.
        self.header().state.store(state, Site::StateStore.order(Ordering::Release));
        self.count();
        futex::wake(&self.header().published, i32::MAX as u32);
    }

    /// Marks copying as running, without a frame left out since `first_frame_id`.
    fn resume(&self, first_frame_id: u64) {
        // Before the words that readers see; `pause` uses the opposite order. If both run at once, either the
        // pause ends last and the next frame resumes, or this ends last and the next pause is stored again.
        self.runs.store(true, Ordering::Release);
        let header = self.header();
        header.resumed_frame_id.store(first_frame_id, Ordering::Relaxed);
        // Partner: the acquire fence in `Mapped::runs_since`. A reader that sees the 1 sees the id.
        header.copying.store(1, Site::ResumeStore.order(Ordering::Release));
    }

    /// Marks copying as paused: from now on the newest frame here may be of any age.
    ///
    /// Called by the claiming thread, by an engine that abandons a frame, and by the check for quiet
    /// cameras.
    fn pause(&self) {
        let copying = &self.header().copying;
        // Stores only on a change, since this is called for each frame that is left out.
        if copying.load(Ordering::Relaxed) != 0 {
            copying.store(0, Ordering::Relaxed);
        }
        self.runs.store(false, Ordering::Release);
    }

    /// Pauses if no frame was published for `quiet`: the camera is away, or an earlier stage is stuck. Returns when
    /// that will be so if nothing is published until then; `None` while the ring is paused.
    pub(crate) fn pause_if_quiet(&self, now_ns: u64, quiet: Duration) -> Option<u64> {
        let header = self.header();
        if header.copying.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let quiet_ns = u64::try_from(quiet.as_nanos()).unwrap_or(u64::MAX);
        let newest_id = header.frame_id.load(Ordering::Relaxed);
        let newest_ns = header.timestamp_ns.load(Ordering::Relaxed);
        // A newest frame from before the run of copying is returned to no reader anyway: the run's
        // first frame is on its way.
        let is_of_run = newest_id >= header.resumed_frame_id.load(Ordering::Relaxed);
        let since_ns = if is_of_run { newest_ns } else { now_ns };
        let quiet_at_ns = since_ns.saturating_add(quiet_ns);
        if now_ns < quiet_at_ns {
            return Some(quiet_at_ns);
        }
        self.pause();
        None
    }

    /// Slot of the newest frame, if there is one.
    fn newest(&self) -> Option<u32> {
        let header = self.header();
        (header.frame_id.load(Ordering::Relaxed) != 0)
            .then(|| header.newest_slot.load(Ordering::Relaxed))
    }

    /// The slot to write next, from `first` on: not being written, not the newest, out of its lease.
    fn choose(&self, first: u32, now_ns: u64) -> Result<u32, Refused> {
        let mut refused = Refused::InFlight;
        for i in 0..self.slots {
            let slot = (first + i) % self.slots;
            // Partner: the release store in `free`. A thread that finds a slot free also sees the head
            // that its publication wrote, so the newest slot is never taken for an older one.
            if self.busy[slot as usize].load(Site::FreeLoad.order(Ordering::Acquire)) {
                continue;
            }
            if self.newest() == Some(slot) && self.slots > 1 {
                continue;
            }
            if self.entry(slot).reuse_not_before_ns.load(Ordering::Relaxed) > now_ns {
                refused = Refused::Lease;
                continue;
            }
            return Ok(slot);
        }
        Err(refused)
    }
}

/// The exclusive right to claim slots of a ring, held by one thread of a camera.
#[derive(Debug)]
pub struct RingWriter {
    ring: Arc<Ring>,
    next: u32,
}

impl RingWriter {
    pub(crate) fn new(ring: Arc<Ring>) -> Self {
        Self { ring, next: 0 }
    }

    /// The geometry of this ring's pictures.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        self.ring.geometry()
    }

    /// The number of slots.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.ring.slots
    }

    /// The pages that hold the slots.
    #[must_use]
    pub fn pages(&self) -> RingPages {
        RingPages::new(self.ring.data())
    }

    /// States to readers that frames are published without a pause from `first_frame_id` on. A ring
    /// starts paused. Call this for each frame, since other threads pause the ring too.
    pub fn resume(&mut self, first_frame_id: u64) {
        if !self.ring.runs.load(Ordering::Relaxed) {
            self.ring.resume(first_frame_id);
        }
    }

    /// States to readers that a frame is left out, for whatever reason. Readers that attach later get
    /// nothing from before.
    pub fn pause(&mut self) {
        self.ring.pause();
    }

    /// Claims the slot that was unused for longest. Does not allocate or wait.
    ///
    /// The slot's previous frame can't be read any more.
    ///
    /// # Errors
    /// If each slot is leased or in flight: drop the frame and count it.
    pub fn claim(&mut self, now_ns: u64) -> Result<ClaimedSlot, Refused> {
        let slot = self.ring.choose(self.next, now_ns)?;
        self.next = (slot + 1) % self.ring.slots;
        self.ring.busy[slot as usize].store(true, Ordering::Relaxed);
        // Before the sequence changes, because this is a locked instruction: after it, no test
        // could detect a missing `sfence` in `before_pixels`.
        let ring = Arc::clone(&self.ring);
        let odd = seqlock::begin_write(&ring.entry(slot).sequence);
        Ok(ClaimedSlot { ring, slot, odd, stage: Stage::Open })
    }
}

impl Drop for RingWriter {
    fn drop(&mut self) {
        // Partner: the acquire load in `Ring::is_at_rest`.
        self.ring.unclaimable.store(true, Site::LeaveStore.order(Ordering::Release));
    }
}

/// A slot that is being written. Publish it; if it is dropped instead, it holds no frame.
#[derive(Debug)]
pub struct ClaimedSlot {
    ring: Arc<Ring>,
    slot: u32,
    odd: u64,
    stage: Stage,
}

/// The stage of a slot, from which its drop knows what is left to do, also after a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The slot may be written.
    Open,
    /// The slot holds a frame.
    Closed,
    /// The claiming thread may claim the slot again.
    Free,
}

impl ClaimedSlot {
    /// The geometry of the slot's picture.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        self.ring.geometry()
    }

    /// The pages that hold the slot.
    #[must_use]
    pub fn pages(&self) -> RingPages {
        RingPages::new(self.ring.data())
    }

    /// Luma and chroma plane, row padding included, for a copy function in another crate.
    ///
    /// The calling thread must be the one that writes them.
    #[must_use]
    pub fn planes_mut(&mut self) -> (&mut [u8], &mut [u8]) {
        self.before_pixels();
        let geometry = self.ring.geometry;
        let start = u64::from(self.slot) * geometry.slot_stride();
        // SAFETY: the slot lies in the mapping (`Ring::new`) and belongs to `self` alone while `self`
        // lives (`busy`, set by the only `RingWriter`); other processes map it read-only. The mapping
        // lives as long as the ring, which `self` holds.
        let slot = unsafe {
            let start = self.ring.data.as_mut_ptr().add(start as usize);
            std::slice::from_raw_parts_mut(start, geometry.picture_bytes() as usize)
        };
        slot.split_at_mut(geometry.uv_offset() as usize)
    }

    /// Copies a picture into the slot, in one pass.
    ///
    /// # Errors
    /// [`PictureTooSmall`] if a plane holds less than the slot's size requires; nothing is written
    /// then.
    pub fn write(
        &mut self,
        picture: &Picture<'_>,
        store: StoreKind,
    ) -> Result<(), PictureTooSmall> {
        let geometry = *self.geometry();
        if !picture.fits(&geometry) {
            return Err(PictureTooSmall { width: geometry.width(), height: geometry.height() });
        }
        let (luma, chroma) = self.planes_mut();
        nv12::write(picture, &geometry, luma, chroma, store);
        Ok(())
    }

    /// Makes the frame readable and wakes waiting readers. Returns the publication time.
    ///
    /// Publish a camera's frames in the order of their ids.
    pub fn publish(mut self, meta: &PublishMeta) -> u64 {
        let ring = &*self.ring;
        let now_ns = monotonic_ns();
        SLOT.before_stores();
        self.fill_entry(meta, now_ns);
        self.close();
        self.stage = Stage::Closed;

        let publishing = ring.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let header = ring.header();
        let odd = seqlock::begin_write(&header.head_sequence);
        HEAD.before_stores();
        header.frame_id.store(meta.frame_id, Ordering::Relaxed);
        header.timestamp_ns.store(now_ns, Ordering::Relaxed);
        header.newest_slot.store(self.slot, Ordering::Relaxed);
        HEAD.end_write(&header.head_sequence, odd);
        drop(publishing);
        self.stage = Stage::Free;
        self.free();
        ring.wake();
        now_ns
    }

    /// The model checker's replacement for planes.
    #[cfg(loom)]
    pub(crate) fn pixels(&self) -> crate::memory::Pixels {
        self.before_pixels();
        self.ring.meta.pixels(self.slot)
    }

    /// Called by the thread that is about to store pixels.
    fn before_pixels(&self) {
        // Partner: the acquire fence before a reader's second load of the sequence.
        Site::SlotStore.fence(Ordering::Release);
        // Does the same for streaming stores, which a fence of the language does not order.
        Site::SlotOpenDrain.drain();
    }

    /// Ends the write of the slot, streaming stores included.
    fn close(&self) {
        Site::SlotCloseDrain.drain();
        SLOT.end_write(&self.ring.entry(self.slot).sequence, self.odd);
    }

    /// Returns the slot to the claiming thread.
    fn free(&self) {
        // Partners: the acquire loads in `choose` and in `Ring::is_at_rest`.
        let order = Site::FreeStore.order(Ordering::Release);
        self.ring.busy[self.slot as usize].store(false, order);
    }

    fn fill_entry(&self, meta: &PublishMeta, now_ns: u64) {
        let relaxed = Ordering::Relaxed;
        let entry = self.ring.entry(self.slot);
        let geometry = self.ring.geometry();
        entry.frame_id.store(meta.frame_id, relaxed);
        entry.pts_ns.store(meta.pts_ns.unwrap_or(layout::PTS_UNKNOWN) as u64, relaxed);
        entry.arrival_ns.store(meta.arrival_ns, relaxed);
        entry.decoded_ns.store(meta.decoded_ns, relaxed);
        entry.gate_ns.store(meta.gate_ns, relaxed);
        entry.published_ns.store(now_ns, relaxed);
        entry.reuse_not_before_ns.store(now_ns.saturating_add(self.ring.lease_ns), relaxed);
        entry.wall_clock_ns.store(meta.wall_clock_ns.unwrap_or(0) as u64, relaxed);
        entry.wall_quality.store(u32::from(meta.wall_clock_ns.is_some()), relaxed);
        entry.flags.store(meta.flags.bits(), relaxed);
        entry.width.store(geometry.width(), relaxed);
        entry.height.store(geometry.height(), relaxed);
        entry.coded_width.store(meta.coded.width, relaxed);
        entry.coded_height.store(meta.coded.height, relaxed);
        entry.crop_left.store(meta.crop.left, relaxed);
        entry.crop_top.store(meta.crop.top, relaxed);
        let Placement { source, content } = meta.placement_in(geometry);
        entry.content_x.store(content.x, relaxed);
        entry.content_y.store(content.y, relaxed);
        entry.content_width.store(content.width, relaxed);
        entry.content_height.store(content.height, relaxed);
        entry.source_size.store(layout::pack_size(source), relaxed);
        entry.decoder.store(meta.decoder as u32, relaxed);
    }
}

impl Drop for ClaimedSlot {
    /// Abandons the frame: the slot then holds none, and the older frames stay readable.
    fn drop(&mut self) {
        match self.stage {
            Stage::Free => return,
            // A panic between the slot and the head: the frame is readable, but waiting readers
            // were not woken.
            Stage::Closed => return self.free(),
            Stage::Open => {}
        }
        let entry = self.ring.entry(self.slot);
        SLOT.before_stores();
        entry.frame_id.store(0, Ordering::Relaxed);
        entry.reuse_not_before_ns.store(0, Ordering::Relaxed);
        self.close();
        self.ring.pause();
        self.free();
    }
}

impl Ring {
    /// Advances the publish counter, so that a reader that is about to wait does not.
    fn count(&self) {
        // Partner: the acquire fence behind a reader's load of the counter; the reader then sees the
        // stores made before.
        self.header().published.fetch_add(1, Site::CountAdd.order(Ordering::Release));
    }

    /// Wakes waiting readers: a few here, the others by the notifier.
    pub(crate) fn wake(&self) {
        self.count();
        // Waking a few costs more the more readers wait: they contend for the kernel's queue.
        let crowded = self.is_crowded.load(Ordering::Relaxed);
        let woken = if crowded { 0 } else { futex::wake(&self.header().published, WAKE_AT_ONCE) };
        if crowded || woken == WAKE_AT_ONCE as usize {
            self.crowd_waits.store(true, Ordering::Relaxed);
            self.notifier.notify();
        }
    }
}
