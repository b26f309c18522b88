//! The checks that every download engine must pass, run on the host's pool, a simulated GPU's
//! engine and that of a simulated render node.

use std::cell::RefCell;
use std::sync::Arc;

use vas_frame::{
    Access, CameraExport, CameraId, ClaimedSlot, ExportRoot, FrameRate, Geometry, Notifier,
    OpenRing, PublishMeta, Reader, Refused, RingOptions, RingWriter, monotonic_ns,
};
use vas_media::Frame;
use vas_pipeline::InputStats;
use vas_sim_gpu::testing::SimulatedGpu;
use vas_sim_vaapi::testing::SimulatedVaapi;
use vas_status::DropReason;

use super::until;
use crate::download::{Account, Download, MAX_IN_FLIGHT};

mod engines;

use engines::{OfGpu, OfHost, OfNode, UnderTest};

/// Of a picture.
const SIZE: (usize, usize) = (320, 192);

/// A camera whose frames the test submits itself.
struct Ring<L> {
    copy_queue: L,
    input_stats: Arc<InputStats>,
    export: CameraExport,
    /// `None` while another epoch is opened: its pages may be the same ones.
    writer: Option<RingWriter>,
    next_id: u64,
    /// Attached before the first frame: a frame that is given up is a gap, and a later reader gets
    /// nothing from before it.
    early: RefCell<Reader>,
    _dir: tempfile::TempDir,
}

fn geometry((width, height): (usize, usize)) -> Geometry {
    Geometry::new(width as u32, height as u32, vas_frame::Color::default(), 8).unwrap()
}

fn open(export: &mut CameraExport, size: (usize, usize), lease_ns: u64) -> Option<RingWriter> {
    let lease = std::time::Duration::from_nanos(lease_ns);
    let options = RingOptions { slots: 16, lease, frame_rate: Some(FrameRate { num: 25, den: 1 }) };
    match export.open_ring(geometry(size), options).unwrap() {
        OpenRing::Ready(mut writer) => {
            writer.resume(0);
            Some(writer)
        }
        OpenRing::NotBefore(_) => None,
    }
}

impl<L: Download> Ring<L> {
    fn new<E: UnderTest<CopyQueue = L>>(engine: &mut E, lease_ns: u64) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let root = Arc::new(ExportRoot::open(dir.path(), Access::default()).unwrap());
        let id = CameraId::new("cam").unwrap();
        let mut export =
            CameraExport::claim(&root, &id, &Notifier::start().map(Arc::new).unwrap()).unwrap();
        let writer = open(&mut export, SIZE, lease_ns);
        let early = RefCell::new(Reader::options().dir(dir.path()).open(&id).unwrap());
        let input_stats = Arc::new(InputStats::default());
        let copy_queue = engine.copy_queue(Account::new(
            id,
            Arc::clone(&input_stats),
            Arc::default(),
            Arc::default(),
        ));
        Self { copy_queue, input_stats, export, writer, next_id: 1, early, _dir: dir }
    }

    /// Submits a frame as a tap does.
    fn submit(&mut self, mut frame: Frame) -> Result<(), DropReason> {
        let permit = self.copy_queue.admit()?;
        let slot: ClaimedSlot = self.writer.as_mut().unwrap().claim(monotonic_ns()).map_err(
            |refused| match refused {
                Refused::Lease => DropReason::Lease,
                Refused::InFlight => DropReason::InFlight,
            },
        )?;
        let now_ns = monotonic_ns();
        let meta =
            PublishMeta { frame_id: self.next_id, arrival_ns: now_ns, ..PublishMeta::default() };
        self.next_id += 1;
        self.copy_queue.submit(permit, &mut frame, slot, meta);
        assert!(frame.is_empty(), "the picture is taken out");
        Ok(())
    }

    fn drain(&self) {
        until(|| self.copy_queue.in_flight() == 0);
    }

    /// Counts of published and failed frames, once all outcomes are in.
    fn completions(&self, of: u64) -> (u64, u64) {
        let counters = &self.input_stats.counters;
        loop {
            let completions = (counters.exported(), counters.drops().get(DropReason::CopyFailed));
            if completions.0 + completions.1 == of {
                return completions;
            }
            std::thread::yield_now();
        }
    }

    /// Ids in the ring, and the publication time of each.
    fn readable(&self) -> Vec<(u64, u64)> {
        let mut reader = self.early.borrow_mut();
        let mut frames: Vec<(u64, u64)> = Vec::new();
        while let Ok(frame) = reader
            .seek(frames.last().map_or(0, |last| last.0))
            .set_timeout(std::time::Duration::ZERO)
            .next()
        {
            frames.push((frame.meta().frame_id, frame.meta().published_ns));
        }
        frames
    }
}

fn frames_are_published_in_the_order_of_their_ids<E: UnderTest>(mut engine: E) {
    let mut rings = [(); 3].map(|()| Ring::new(&mut engine, 0));
    for _ in 0..16 {
        for ring in &mut rings {
            until(|| ring.copy_queue.in_flight() < MAX_IN_FLIGHT);
            ring.submit(engine.picture()).unwrap();
        }
    }
    for ring in &rings {
        ring.drain();
        assert_eq!(ring.completions(16), (16, 0));
        let frames = ring.readable();
        assert!(frames.iter().map(|frame| frame.0).eq(1..=16), "{frames:?}");
        assert!(frames.is_sorted_by_key(|frame| frame.1), "{frames:?}");
    }
    engine.stop();
}

fn so_many_are_in_flight_and_no_more<E: UnderTest>(mut engine: E) {
    let mut ring = Ring::new(&mut engine, 0);
    let permits: Vec<_> = std::iter::from_fn(|| ring.copy_queue.admit().ok()).collect();
    assert_eq!(permits.len(), MAX_IN_FLIGHT as usize);
    drop(permits);
    assert_eq!(ring.copy_queue.in_flight(), 0, "a permit that is not used comes back");
    engine.hold(&ring.copy_queue, true);
    (0..MAX_IN_FLIGHT).for_each(|_| ring.submit(engine.picture()).unwrap());
    assert_eq!(ring.submit(engine.picture()), Err(DropReason::InFlight));
    assert_eq!(ring.input_stats.counters.exported(), 0);
    engine.hold(&ring.copy_queue, false);
    ring.drain();
    assert_eq!(ring.completions(MAX_IN_FLIGHT.into()), (MAX_IN_FLIGHT.into(), 0));
    ring.submit(engine.picture()).unwrap();
    ring.drain();
    engine.stop();
}

fn a_copy_that_fails_is_counted_and_leaves_the_older_frames<E: UnderTest>(mut engine: E) {
    let mut ring = Ring::new(&mut engine, 0);
    for _ in 0..2 {
        ring.submit(engine.picture()).unwrap();
        ring.drain();
    }
    // More often than there are slots: each slot was given back.
    for failed in 1..=40 {
        ring.submit(engine.bad_picture()).unwrap();
        ring.drain();
        assert_eq!(ring.completions(2 + failed), (2, failed));
    }
    assert!(ring.readable().iter().all(|frame| frame.0 <= 2));
    ring.submit(engine.picture()).unwrap();
    ring.drain();
    assert_eq!(ring.readable().last().unwrap().0, 43);
    engine.stop();
}

fn a_change_of_size_waits_for_what_is_in_flight<E: UnderTest>(mut engine: E) {
    let mut ring = Ring::new(&mut engine, 0);
    engine.hold(&ring.copy_queue, true);
    (0..MAX_IN_FLIGHT).for_each(|_| ring.submit(engine.picture()).unwrap());
    ring.writer = None;
    // Slots of the old epoch are still written: its pages must not be reused, whatever opens
    // meanwhile.
    let mut next = open(&mut ring.export, (160, 96), 0);
    engine.hold(&ring.copy_queue, false);
    ring.drain();
    assert_eq!(ring.completions(MAX_IN_FLIGHT.into()), (MAX_IN_FLIGHT.into(), 0));
    while next.is_none() {
        next = open(&mut ring.export, (160, 96), 0);
    }
    drop(next);
    // And back to the size of the pictures.
    while ring.writer.is_none() {
        ring.writer = open(&mut ring.export, SIZE, 0);
    }
    ring.submit(engine.picture()).unwrap();
    ring.drain();
    assert_eq!(ring.readable().last().unwrap().0, u64::from(MAX_IN_FLIGHT) + 1);
    engine.stop();
}

fn promised_slots_are_not_taken<E: UnderTest>(mut engine: E) {
    let mut ring = Ring::new(&mut engine, 3_600_000_000_000);
    let refused = loop {
        match ring.submit(engine.picture()) {
            Ok(()) => ring.drain(),
            Err(why) => break why,
        }
    };
    assert_eq!(refused, DropReason::Lease);
    assert_eq!(ring.copy_queue.in_flight(), 0, "the permit is given back");
    let readable = ring.readable();
    (0..10).for_each(|_| assert_eq!(ring.submit(engine.picture()), Err(DropReason::Lease)));
    assert_eq!(ring.readable(), readable);
    engine.stop();
}

fn a_stop_finishes_what_is_in_flight<E: UnderTest + Send>(mut engine: E) {
    let mut ring = Ring::new(&mut engine, 0);
    engine.hold(&ring.copy_queue, true);
    (0..MAX_IN_FLIGHT).for_each(|_| ring.submit(engine.picture()).unwrap());
    engine.hold(&ring.copy_queue, false);
    engine.stop();
    assert_eq!(ring.completions(MAX_IN_FLIGHT.into()), (MAX_IN_FLIGHT.into(), 0));
    assert_eq!(ring.readable().len(), MAX_IN_FLIGHT as usize);
    assert_eq!(ring.copy_queue.in_flight(), 0);
}

fn pictures_go_back_to_the_decoder<E: UnderTest>(mut engine: E) {
    let mut ring = Ring::new(&mut engine, 0);
    ring.submit(engine.picture()).unwrap();
    ring.drain();
    let before = engine.pictures_out();
    for _ in 0..20 {
        ring.submit(engine.picture()).unwrap();
        ring.drain();
        ring.submit(engine.bad_picture()).unwrap();
        ring.drain();
    }
    // FFmpeg itself may hold one more than before.
    assert!(engine.pictures_out() <= before + 1);
    engine.stop();
}

/// Not even the first hand-over allocates: all it needs exists by then.
fn a_hand_over_allocates_nothing_and_calls_no_driver<E: UnderTest>(mut engine: E) {
    let mut ring = Ring::new(&mut engine, 0);
    let mut pictures: Vec<_> = (0..MAX_IN_FLIGHT).map(|_| engine.picture()).collect();
    engine.hold(&ring.copy_queue, true);
    for frame in &mut pictures {
        let slot = ring.writer.as_mut().unwrap().claim(monotonic_ns()).unwrap();
        let meta = PublishMeta { frame_id: ring.next_id, ..PublishMeta::default() };
        ring.next_id += 1;
        engine.forbid_driver(true);
        let ((), allocations) = vas_malloc_count::count(|| {
            let permit = ring.copy_queue.admit().unwrap();
            ring.copy_queue.submit(permit, frame, slot, meta);
        });
        engine.forbid_driver(false);
        assert_eq!(allocations, 0);
    }
    engine.hold(&ring.copy_queue, false);
    ring.drain();
    engine.stop();
}

/// The only system call is the one that wakes the engine.
#[cfg(target_arch = "x86_64")]
fn a_hand_over_makes_at_most_one_system_call<E: UnderTest>(mut engine: E) {
    let mut ring = Ring::new(&mut engine, 0);
    for _ in 0..50 {
        let mut frame = engine.picture();
        let mut slot = Some(ring.writer.as_mut().unwrap().claim(monotonic_ns()).unwrap());
        let meta = PublishMeta { frame_id: ring.next_id, ..PublishMeta::default() };
        ring.next_id += 1;
        let calls = vas_syscall_count::list(|| {
            let permit = ring.copy_queue.admit().unwrap();
            ring.copy_queue.submit(permit, &mut frame, slot.take().unwrap(), meta);
        });
        assert!(calls.is_empty() || calls == [libc::SYS_futex], "{calls:?}");
        ring.drain();
    }
    engine.stop();
}

/// Each check over each engine.
macro_rules! conformance {
    ($($check:ident)*) => {
        mod of_the_host {
            $(
                #[test]
                fn $check() {
                    super::$check(super::OfHost::start());
                }
            )*
        }

        mod of_a_gpu {
            $(
                #[test]
                fn $check() {
                    super::SimulatedGpu::new().in_clean_child(|simulator| {
                        super::$check(super::OfGpu::start(simulator));
                    });
                }
            )*
        }

        mod of_a_gpu_in_ten_bits {
            $(
                #[test]
                fn $check() {
                    super::SimulatedGpu::new().in_clean_child(|simulator| {
                        super::$check(super::OfGpu::in_ten_bits(simulator));
                    });
                }
            )*
        }

        mod of_a_gpu_that_scales {
            $(
                #[test]
                fn $check() {
                    super::SimulatedGpu::new().in_clean_child(|simulator| {
                        super::$check(super::OfGpu::scaled(simulator));
                    });
                }
            )*
        }

        mod of_a_render_node {
            $(
                #[test]
                fn $check() {
                    super::SimulatedVaapi::new().in_clean_child(|simulator| {
                        super::$check(super::OfNode::start(simulator));
                    });
                }
            )*
        }
    };
}

conformance! {
    frames_are_published_in_the_order_of_their_ids
    so_many_are_in_flight_and_no_more
    a_copy_that_fails_is_counted_and_leaves_the_older_frames
    a_change_of_size_waits_for_what_is_in_flight
    promised_slots_are_not_taken
    a_stop_finishes_what_is_in_flight
    pictures_go_back_to_the_decoder
    a_hand_over_allocates_nothing_and_calls_no_driver
    a_hand_over_makes_at_most_one_system_call
}
