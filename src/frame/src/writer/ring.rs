//! The ring itself: claim a slot, write it, publish it. Nothing here waits for a reader.
//!
//! House rules. A slot belongs to whoever holds its [`ClaimedSlot`], from the claim to the publication;
//! `busy` says so. Only the holder touches the slot's bytes and entry. The header's line of the newest
//! frame is written under `publishing`, which a claim never takes: a publisher that loses its processor
//! must not hold up the decode thread. Readers may look at any time: that is what the sequences are for.

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
use crate::nv12::{self, Picture, StoreKind};
use crate::seqlock::{self, HEAD, SLOT};
use crate::site::Site;
use crate::stamp::Stamp;
use crate::sync::{AtomicBool, Mutex, Ordering};

/// Waiters that a publisher wakes itself; waking one costs it about 4.5 us. One more than the four readers
/// that are to be woken without delay: a full count is the only sign that there may be more, and the
/// notifier is then woken too, which at exactly four readers made the last one 1.4 times as late.
/// The model checker has two readers for a crowd.
pub(super) const WAKE_AT_ONCE: u32 = if cfg!(loom) { 1 } else { 5 };

/// When to ask again about a ring to which copies are in flight.
const IN_FLIGHT_RETRY_NS: u64 = 2_000_000;

/// One epoch's files, mapped for writing.
#[derive(Debug)]
pub(crate) struct Ring {
    meta: Meta,
    data: Arc<Mapping>,
    /// Holds the lock that tells readers that the writer lives.
    _meta_lock: File,
    geometry: Geometry,
    slots: u32,
    lease_ns: u64,
    busy: Box<[AtomicBool]>,
    /// Nobody claims slots any more.
    unclaimable: AtomicBool,
    /// Held while the newest frame's line is written. Uncontended where an engine publishes a camera's
    /// frames from one thread at a time, as all do.
    publishing: Mutex<()>,
    /// Whether `copying` was last made 1, as far as the claiming thread is to know without looking at words that
    /// readers share.
    runs: AtomicBool,
    /// Set by a publisher for the notifier: somebody is left to be woken.
    pub(crate) crowd_waits: AtomicBool,
    /// Set by the notifier: it woke many, so that publishers leave all of them to it.
    pub(crate) is_crowded: AtomicBool,
    notifier: NotifierHandle,
}

impl Ring {
    /// Takes mappings whose sizes fit the header that was written into `meta`.
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

    /// The words that a reader under the model checker maps too.
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

    /// Whether no copy is in flight to this ring nor can be, and no frame of it is promised to readers;
    /// otherwise when to ask again. All that was stored into its slots then came before.
    pub(crate) fn unused_at(&self, now_ns: u64) -> Result<(), u64> {
        // Counting who holds the ring would not do: a count orders nothing, and the pages would be given to
        // somebody else while the stores of the last copy are still on their way.
        if !self.is_at_rest() {
            return Err(now_ns + IN_FLIGHT_RETRY_NS);
        }
        let until = self.leased_until_ns();
        if until > now_ns { Err(until) } else { Ok(()) }
    }

    fn is_at_rest(&self) -> bool {
        // Partner: the release store in `RingWriter`'s drop. Who sees it sees each slot claimed that was.
        if !self.unclaimable.load(Site::LeaveLoad.order(Ordering::Acquire)) {
            return false;
        }
        // Partner: the release store in `ClaimedSlot::free`, which came after the last store into the slot.
        let order = Site::RestLoad.order(Ordering::Acquire);
        self.busy.iter().all(|busy| !busy.load(order))
    }

    /// Makes every frame unreadable for good: the pages are about to hold something else.
    pub(crate) fn invalidate(&self) {
        for slot in 0..self.slots {
            seqlock::begin_write(&self.entry(slot).sequence);
        }
    }

    /// Tells all readers that this ring publishes no more.
    pub(crate) fn close(&self, state: u32) {
        // Partner: the acquire fence in a reader's `is_live`.
        self.header().state.store(state, Site::StateStore.order(Ordering::Release));
        self.count();
        futex::wake(&self.header().published, i32::MAX as u32);
    }

    /// Says that no frame of the camera was left out from `first_frame_id` on, until further notice.
    fn resume(&self, first_frame_id: u64) {
        // Before the words that readers see, and `pause` the other way round: of two threads at once, either the
        // last word is a pause and the next frame resumes, or it is ours and the next pause is told again.
        self.runs.store(true, Ordering::Release);
        let header = self.header();
        header.resumed_frame_id.store(first_frame_id, Ordering::Relaxed);
        // Partner: the acquire fence in `Mapped::runs_since`. Who sees the 1 sees the id.
        header.copying.store(1, Site::ResumeStore.order(Ordering::Release));
    }

    /// Says that frames are left out from now on: the newest one here may be of any age.
    ///
    /// Told by the claiming thread, by an engine that gives a frame up, and by whoever sees that none comes.
    fn pause(&self) {
        let copying = &self.header().copying;
        // Nothing is stored where nobody reads: it is told with each frame that is left out.
        if copying.load(Ordering::Relaxed) != 0 {
            copying.store(0, Ordering::Relaxed);
        }
        self.runs.store(false, Ordering::Release);
    }

    /// Says that frames are left out if none was published for `quiet`: its camera is away, or whatever is
    /// before its slots is stuck. Returns when that will be so, if nothing is published until then; `None` while
    /// copying does not go on.
    pub(crate) fn pause_if_quiet(&self, now_ns: u64, quiet: Duration) -> Option<u64> {
        let header = self.header();
        if header.copying.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let quiet_ns = u64::try_from(quiet.as_nanos()).unwrap_or(u64::MAX);
        let newest_id = header.frame_id.load(Ordering::Relaxed);
        let newest_ns = header.timestamp_ns.load(Ordering::Relaxed);
        // One from before the run of copying is given to nobody: the run's first is on its way.
        let is_of_run = newest_id >= header.resumed_frame_id.load(Ordering::Relaxed);
        let since_ns = if is_of_run { newest_ns } else { now_ns };
        let quiet_at_ns = since_ns.saturating_add(quiet_ns);
        if now_ns < quiet_at_ns {
            return Some(quiet_at_ns);
        }
        self.pause();
        None
    }

    /// Slot of the newest frame, once there is one.
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
            // Partner: the release store in `free`. A slot that is seen free is seen with the head that
            // its publication wrote, so the newest one is never taken for an older one.
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

/// The right to claim slots of a ring; one thread of a camera has it.
#[derive(Debug)]
pub struct RingWriter {
    ring: Arc<Ring>,
    next: u32,
}

impl RingWriter {
    pub(crate) fn new(ring: Arc<Ring>) -> Self {
        Self { ring, next: 0 }
    }

    /// The pictures that this ring takes.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        self.ring.geometry()
    }

    /// Slots of the ring.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.ring.slots
    }

    /// The pages that the slots lie in.
    #[must_use]
    pub fn pages(&self) -> RingPages {
        RingPages::new(self.ring.data())
    }

    /// Tells readers that frames are published from `first_frame_id` on, without a pause. A ring begins
    /// paused. To be said with each frame: other threads pause, too.
    pub fn resume(&mut self, first_frame_id: u64) {
        if !self.ring.runs.load(Ordering::Relaxed) {
            self.ring.resume(first_frame_id);
        }
    }

    /// Tells readers that a frame is left out, for whatever reason. Readers that attach later are given
    /// nothing from before.
    pub fn pause(&mut self) {
        self.ring.pause();
    }

    /// Takes the slot that is longest out of use. Allocates nothing, waits for nothing.
    ///
    /// From here on the frame that was in it can't be read.
    ///
    /// # Errors
    /// When each slot is leased or in flight: the frame is to be dropped and counted.
    pub fn claim(&mut self, now_ns: u64) -> Result<ClaimedSlot, Refused> {
        let slot = self.ring.choose(self.next, now_ns)?;
        self.next = (slot + 1) % self.ring.slots;
        self.ring.busy[slot as usize].store(true, Ordering::Relaxed);
        // Before the sequence, because it is a locked instruction: behind it no test could miss the
        // `sfence` of `before_pixels`.
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

/// A slot that is being written; publish it, or drop it and it holds no frame.
#[derive(Debug)]
pub struct ClaimedSlot {
    ring: Arc<Ring>,
    slot: u32,
    odd: u64,
    stage: Stage,
}

/// How far a slot has come; what is left to do when its holder goes, be it by a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It may be written.
    Open,
    /// It holds a frame.
    Closed,
    /// The claiming thread may take it again.
    Free,
}

impl ClaimedSlot {
    /// The pictures that the slot takes.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        self.ring.geometry()
    }

    /// The pages that the slot lies in.
    #[must_use]
    pub fn pages(&self) -> RingPages {
        RingPages::new(self.ring.data())
    }

    /// Luma and chroma plane, row padding included, for a copier of another crate.
    ///
    /// The thread that asks for them is to be the one that writes them.
    #[must_use]
    pub fn planes_mut(&mut self) -> (&mut [u8], &mut [u8]) {
        self.before_pixels();
        let geometry = self.ring.geometry;
        let start = u64::from(self.slot) * geometry.slot_stride();
        // SAFETY: the slot lies in the mapping (`Ring::new`) and is ours alone while `self` lives
        // (`busy`, set by the one `RingWriter`); other processes map it read-only. The mapping lives as
        // long as the ring that we hold.
        let slot = unsafe {
            let start = self.ring.data.as_mut_ptr().add(start as usize);
            std::slice::from_raw_parts_mut(start, geometry.picture_bytes() as usize)
        };
        slot.split_at_mut(geometry.uv_offset() as usize)
    }

    /// Copies a picture in, in one pass.
    ///
    /// # Errors
    /// [`PictureTooSmall`] when a plane holds less than the slot's size demands; nothing is written.
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

    /// Makes the frame readable and wakes those who wait. Returns the publication time.
    ///
    /// An engine publishes a camera's frames in the order of their ids.
    pub fn publish(mut self, stamp: &Stamp) -> u64 {
        let ring = &*self.ring;
        let now_ns = monotonic_ns();
        SLOT.before_stores();
        self.fill_entry(stamp, now_ns);
        self.close();
        self.stage = Stage::Closed;

        let publishing = ring.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let header = ring.header();
        let odd = seqlock::begin_write(&header.head_sequence);
        HEAD.before_stores();
        header.frame_id.store(stamp.frame_id, Ordering::Relaxed);
        header.timestamp_ns.store(now_ns, Ordering::Relaxed);
        header.newest_slot.store(self.slot, Ordering::Relaxed);
        HEAD.end_write(&header.head_sequence, odd);
        drop(publishing);
        self.stage = Stage::Free;
        self.free();
        ring.wake();
        now_ns
    }

    /// What the model checker has in place of planes.
    #[cfg(loom)]
    pub(crate) fn pixels(&self) -> crate::memory::Pixels {
        self.before_pixels();
        self.ring.meta.pixels(self.slot)
    }

    /// To be called by the thread that is about to store pixels.
    fn before_pixels(&self) {
        // Partner: the acquire fence of a reader's second look at the sequence.
        Site::SlotStore.fence(Ordering::Release);
        // The same for streaming stores, which a fence of the language does not order.
        Site::SlotOpenDrain.drain();
    }

    /// Closes the slot, streaming stores included.
    fn close(&self) {
        Site::SlotCloseDrain.drain();
        SLOT.end_write(&self.ring.entry(self.slot).sequence, self.odd);
    }

    /// Gives the slot back to the claiming thread.
    fn free(&self) {
        // Partners: the acquire loads in `choose` and in `Ring::is_at_rest`.
        let order = Site::FreeStore.order(Ordering::Release);
        self.ring.busy[self.slot as usize].store(false, order);
    }

    fn fill_entry(&self, stamp: &Stamp, now_ns: u64) {
        let relaxed = Ordering::Relaxed;
        let entry = self.ring.entry(self.slot);
        let geometry = self.ring.geometry();
        entry.frame_id.store(stamp.frame_id, relaxed);
        entry.pts_ns.store(stamp.pts_ns.unwrap_or(layout::PTS_UNKNOWN) as u64, relaxed);
        entry.arrival_ns.store(stamp.arrival_ns, relaxed);
        entry.decoded_ns.store(stamp.decoded_ns, relaxed);
        entry.gate_ns.store(stamp.gate_ns, relaxed);
        entry.published_ns.store(now_ns, relaxed);
        entry.reuse_not_before_ns.store(now_ns.saturating_add(self.ring.lease_ns), relaxed);
        entry.wall_clock_ns.store(stamp.wall_clock_ns.unwrap_or(0) as u64, relaxed);
        entry.wall_quality.store(u32::from(stamp.wall_clock_ns.is_some()), relaxed);
        entry.flags.store(stamp.flags.bits(), relaxed);
        entry.width.store(geometry.width(), relaxed);
        entry.height.store(geometry.height(), relaxed);
        entry.coded_width.store(stamp.coded.width, relaxed);
        entry.coded_height.store(stamp.coded.height, relaxed);
        entry.crop_left.store(stamp.crop.left, relaxed);
        entry.crop_top.store(stamp.crop.top, relaxed);
        entry.content_x.store(0, relaxed);
        entry.content_y.store(0, relaxed);
        entry.content_width.store(geometry.width(), relaxed);
        entry.content_height.store(geometry.height(), relaxed);
        entry.decoder.store(stamp.decoder as u32, relaxed);
    }
}

impl Drop for ClaimedSlot {
    /// Given up: the slot holds no frame, and the older frames stay readable.
    fn drop(&mut self) {
        match self.stage {
            Stage::Free => return,
            // A panic between the slot and the head: the frame is there, if nobody was told of it.
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
    /// Tells those who are about to wait that there is something to see.
    fn count(&self) {
        // Partner: the acquire fence behind a reader's load of the counter; it then sees what we wrote
        // before.
        self.header().published.fetch_add(1, Site::CountAdd.order(Ordering::Release));
    }

    /// Wakes those who wait: a few here, the others by the notifier.
    pub(crate) fn wake(&self) {
        self.count();
        // What waking a few costs grows with the crowd around them: they contend for the kernel's queue.
        let crowded = self.is_crowded.load(Ordering::Relaxed);
        let woken = if crowded { 0 } else { futex::wake(&self.header().published, WAKE_AT_ONCE) };
        if crowded || woken == WAKE_AT_ONCE as usize {
            self.crowd_waits.store(true, Ordering::Relaxed);
            self.notifier.notify();
        }
    }
}
