//! The frame path on a real tmpfs, fed with frames that FFmpeg decoded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use md5::{Digest as _, Md5};
use vas_frame::{
    Access, CameraExport, CameraId, Color, ExportRoot, Flags, Geometry, Notifier, Nv12Image,
    OpenRing, PublishMeta, ReadError, RingOptions, WriterEnd,
};
use vas_media::Frame;
use vas_status::{DropReason, ExportState};

use super::download::Download as _;
use super::*;

mod conformance;
mod converted;
mod gpu;
mod nvdec;
mod rig;
mod scaled;
mod vaapi;

use rig::{LONG, Rig, decoded, md5_of, share, until};

#[test]
fn frames_arrive_whole_in_order_with_what_is_known_of_them() {
    let mut rig = Rig::new("slots = 16");
    let (stream, frames) = decoded("176x144", 12);
    let mut reader = rig.reader();
    rig.warm_up(&stream, &frames[0]);
    let mut last = reader.latest().unwrap().meta().frame_id;
    let mut image = Nv12Image::default();
    for frame in &frames {
        rig.offer(frame);
        let read = reader.seek(last).set_timeout(LONG).next().unwrap();
        read.copy_if_valid(&mut image).unwrap();
        assert_eq!(Md5::digest(image.data()).to_vec(), md5_of(frame));
        let meta = read.meta();
        assert_eq!((meta.frame_id, meta.pts_ns), (last + 1, frame.pts_ns()));
        assert_eq!(meta.arrival_ns, frame.arrival_ns());
        assert!(meta.arrival_ns <= meta.decoded_ns && meta.decoded_ns <= meta.published_ns);
        assert!(meta.flags.contains(Flags::KEY));
        last = meta.frame_id;
    }
    assert_eq!(rig.stats.get().state, ExportState::Open);
    let Rig { dir, path, tap, present, .. } = rig;
    drop(present);
    drop(tap);
    path.end();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "a stop leaves nothing");
    let gone = reader.seek(last).set_timeout(LONG).newer();
    assert!(matches!(gone, Err(ReadError::WriterGone { how: WriterEnd::Stopped, .. })));
}

#[test]
fn a_change_of_size_opens_an_epoch_and_drops_are_counted() {
    let mut rig = Rig::new("slots = 8");
    let (small, small_frames) = decoded("64x64", 1);
    let (large, large_frames) = decoded("320x240", 1);
    let mut reader = rig.reader();
    rig.warm_up(&small, &small_frames[0]);
    let before = *reader.latest().unwrap().meta();
    rig.warm_up(&large, &large_frames[0]);
    let after = reader.seek(before.frame_id).set_timeout(LONG).newer().unwrap();
    assert_eq!((after.meta().width, after.meta().height), (320, 240));
    assert!(after.meta().epoch > before.epoch);
    let mut image = Nv12Image::default();
    after.copy_if_valid(&mut image).unwrap();
    assert_eq!(Md5::digest(image.data()).to_vec(), md5_of(&large_frames[0]));
    assert!(rig.dropped().iter().any(|(name, _)| *name == "epoch_opening"), "{:?}", rig.dropped());
}

#[test]
fn a_ring_that_does_not_fit_leaves_the_camera_running_and_says_why() {
    let mut rig = Rig::new("slots = 1024");
    let (stream, frames) = decoded("7680x4320", 1);
    rig.tap.begin(&stream, vas_media::DecoderKind::Software);
    while rig.input_stats.counters.drops().get(DropReason::NoExport) == 0 {
        rig.offer(&frames[0]);
    }
    let stats = rig.stats.get();
    assert_eq!(stats.state, ExportState::Refused);
    assert!(stats.detail.contains("MiB left"), "{}", stats.detail);
    assert_eq!(rig.input_stats.counters.exported(), 0);
}

#[test]
fn an_empty_frame_is_counted_and_does_no_harm() {
    let mut rig = Rig::new("slots = 4");
    rig.tap.take(&mut Frame::new());
    assert_eq!(rig.dropped(), [("unsupported", 1)]);
}

#[test]
fn a_burst_is_dropped_for_the_lease_and_spares_the_frames_that_readers_hold() {
    let mut rig = Rig::new("slots = 15\nhold = \"60s\"");
    let (mut stream, frames) = decoded("64x64", 1);
    // A picture a second, each with a lease longer than this test takes.
    stream.fps = vas_media::Fraction::new(1, 1);
    rig.warm_up(&stream, &frames[0]);
    let mut reader = rig.reader();
    let dropped = |rig: &Rig| rig.input_stats.counters.drops().get(DropReason::Lease);
    // Until every slot is leased; frames are offered one at a time, so that nothing else is in the
    // way.
    while dropped(&rig) == 0 {
        rig.offer(&frames[0]);
    }
    let mut held = Vec::new();
    while let Ok(frame) =
        reader.seek(held.last().map_or(0, id_of)).set_timeout(Duration::ZERO).next()
    {
        held.push(frame);
    }
    assert!(held.len() >= 10, "{}", held.len());
    let before = dropped(&rig);
    (0..30).for_each(|_| rig.offer(&frames[0]));
    assert!(held.iter().all(vas_frame::Frame::still_valid));
    assert_eq!(dropped(&rig), before + 30, "{:?}", rig.dropped());
}

fn id_of(frame: &vas_frame::Frame) -> u64 {
    frame.meta().frame_id
}

#[test]
fn removed_files_are_exported_again() {
    let mut rig = Rig::new("slots = 4");
    let (stream, frames) = decoded("64x64", 1);
    rig.warm_up(&stream, &frames[0]);
    std::fs::remove_dir_all(rig.dir.path().join("cam")).unwrap();
    // The ring manager notices within a second; until then nothing reads the frames. The reader
    // learns that its writer stopped, and attaches to the next one.
    let before = rig.input_stats.counters.exported();
    let mut present = rig.present.take().unwrap();
    let last = present.latest().map_or(0, |frame| frame.meta().frame_id);
    while present.seek(last).set_timeout(Duration::from_millis(10)).newer().is_err() {
        rig.offer(&decoded("64x64", 1).1[0]);
    }
    assert!(rig.dir.path().join("cam/frame.meta").exists());
    assert!(rig.input_stats.counters.exported() > before);
}

#[test]
fn nothing_is_copied_for_nobody() {
    let mut rig = Rig::new("slots = 4");
    let (stream, frames) = decoded("64x64", 1);
    rig.warm_up(&stream, &frames[0]);
    rig.everybody_leaves();
    let exported = rig.input_stats.counters.exported();
    rig.offer(&frames[0]);
    assert_eq!(rig.input_stats.counters.drops().get(DropReason::NoReader), 1);
    let mut late = rig.reader();
    assert!(matches!(late.latest(), Err(ReadError::NotYet { .. })), "of any age");
    rig.attach_reader();
    // What arrived before a reader attached is not for it, whenever it is decoded.
    rig.offer(&frames[0]);
    assert_eq!(rig.input_stats.counters.drops().get(DropReason::BeforeReader), 1);
    assert_eq!(rig.input_stats.counters.exported(), exported);
    let (_, fresh) = decoded("64x64", 1);
    rig.offer(&fresh[0]);
    assert_eq!(rig.input_stats.counters.exported(), exported + 1);
    assert!(late.latest().unwrap().meta().arrival_ns >= rig.demand.since_ns().unwrap());
}

#[test]
fn a_ring_comes_with_its_first_reader_unless_it_is_to_be_kept_ready() {
    for (idle, ready) in [("stop", false), ("decode", true)] {
        let mut rig = Rig::with_camera("slots = 4", &format!("idle = {idle:?}\n"));
        rig.everybody_leaves();
        let (stream, frames) = decoded("64x64", 1);
        rig.tap.begin(&stream, vas_media::DecoderKind::Software);
        rig.offer(&frames[0]);
        let reader = rig.reader();
        if ready {
            until(|| rig.stats.get().state == ExportState::Open);
        }
        assert_eq!(rig.stats.get().state == ExportState::Open, ready);
        drop(reader);
    }
}

#[test]
fn a_copy_queue_takes_so_many_and_no_more() {
    let input_stats = Arc::new(InputStats::default());
    let camera = CameraId::new("cam").unwrap();
    let account = download::Account::new(camera, input_stats, Arc::default(), Arc::default());
    let copy_queue = Arc::new(CopyQueue::new(account));
    let pool = Pool::start().unwrap();
    let copy_queue = HostCopyQueue::new(copy_queue, pool.submitter());
    let permits: Vec<_> = std::iter::from_fn(|| copy_queue.admit().ok()).collect();
    assert_eq!(permits.len(), download::MAX_IN_FLIGHT as usize);
    assert_eq!(copy_queue.in_flight(), download::MAX_IN_FLIGHT);
    drop(permits);
    assert!(copy_queue.admit().is_ok());
}

#[test]
fn what_comes_to_an_engine_after_its_end_is_given_up() {
    let input_stats = Arc::new(InputStats::default());
    let camera = CameraId::new("cam").unwrap();
    let account = Arc::clone(&input_stats);
    let account = download::Account::new(camera.clone(), account, Arc::default(), Arc::default());
    let engine = Arc::new(host::Shared::new(Arc::default()));
    let submitter = host::Submitter::to(Arc::clone(&engine));
    let copy_queue = HostCopyQueue::new(Arc::new(CopyQueue::new(account)), submitter);
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let root = Arc::new(ExportRoot::open(dir.path(), Access::default()).unwrap());
    let notifier = Notifier::start().map(Arc::new).unwrap();
    let mut export = CameraExport::claim(&root, &camera, &notifier).unwrap();
    let geometry = Geometry::new(64, 64, Color::default(), 8).unwrap();
    let options = RingOptions { slots: 4, lease: Duration::ZERO, frame_rate: None };
    let OpenRing::Ready(mut writer) = export.open_ring(geometry, options).unwrap() else {
        panic!("nothing to wait for");
    };
    let (_, frames) = decoded("64x64", 1);
    let mut submit = || {
        let slot = writer.claim(vas_frame::monotonic_ns()).unwrap();
        let permit = copy_queue.admit().unwrap();
        copy_queue.submit(permit, &mut share(&frames[0]), slot, PublishMeta::default());
    };
    submit();
    assert_eq!(copy_queue.in_flight(), 1);
    engine.close();
    assert_eq!(copy_queue.in_flight(), 0);
    // The tap knows of the end with its next frame only.
    submit();
    assert_eq!(copy_queue.in_flight(), 0);
    assert_eq!(input_stats.counters.drops().get(DropReason::CopyFailed), 2);
}

/// The tap's promise: once running, offering, copying and publishing a frame allocate nothing,
/// FFmpeg's `malloc` included. The copy runs on this thread here, so that it is counted.
#[test]
fn nothing_is_allocated_per_frame() {
    let mut rig = Rig::new("slots = 256");
    let (stream, frames) = decoded("320x240", 1);
    rig.warm_up(&stream, &frames[0]);
    let mut offered: Vec<_> = (0..200).map(|_| share(&frames[0])).collect();
    let copy_queue = rig.tap.copy_queue();
    let ((), allocations) = vas_malloc_count::count(|| {
        for frame in &mut offered {
            // Marked as scheduled already, the copy queue stays out of the pool's queue.
            copy_queue.schedule();
            rig.tap.take(frame);
            while copy_queue.work() {}
        }
    });
    assert!(rig.input_stats.counters.exported() > 100, "{:?}", rig.dropped());
    assert_eq!(allocations, 0);
}

/// The promise to the decode thread: a hand-over makes at most one system call, the one that wakes
/// a worker. Freeing an earlier frame that was held back is FFmpeg's work and not counted.
#[test]
#[cfg(target_arch = "x86_64")]
fn a_hand_over_makes_at_most_one_system_call() {
    let mut rig = Rig::new("slots = 64\nhold = \"1ms\"");
    let (stream, frames) = decoded("64x64", 1);
    rig.warm_up(&stream, &frames[0]);
    let mut woke = 0;
    for _ in 0..500 {
        let mut frame = share(&frames[0]);
        let settled = rig.settled();
        let calls = vas_syscall_count::list(|| rig.tap.take(&mut frame));
        assert!(calls.is_empty() || calls == [libc::SYS_futex], "{calls:?}");
        woke += calls.len();
        until(|| rig.settled() != settled);
    }
    assert!(woke > 0, "no worker ever slept: {:?}", rig.dropped());
}

/// A reader that attaches between two frames of a camera with a low maximum rate gets none from
/// before it; the same holds for every frame that is left out for another reason.
#[test]
fn a_frame_that_is_left_out_is_a_pause() {
    let mut rig = Rig::with_camera("slots = 4", "[camera.export]\nmax_fps = 0.01\n");
    let (stream, frames) = decoded("64x64", 1);
    rig.warm_up(&stream, &frames[0]);
    rig.offer(&frames[0]);
    assert_eq!(rig.input_stats.counters.drops().get(DropReason::MaxFps), 1);
    assert!(matches!(rig.reader().latest(), Err(ReadError::NotYet { .. })), "of any age");

    let mut rig = Rig::new("slots = 4");
    // From after its reader attached.
    rig.warm_up(&stream, &decoded("64x64", 1).1[0]);
    rig.tap.take(&mut Frame::new());
    assert_eq!(rig.input_stats.counters.drops().get(DropReason::Unsupported), 1);
    assert!(matches!(rig.reader().latest(), Err(ReadError::NotYet { .. })), "of any age");
    rig.until_current();
}

/// Nothing is offered any more: the camera is away, or a stage before the tap is stuck.
#[test]
fn frames_that_do_not_come_are_a_pause() {
    let mut rig = Rig::new("slots = 4");
    let (stream, frames) = decoded("64x64", 1);
    rig.warm_up(&stream, &frames[0]);
    rig.until_current();
    until(|| rig.reader().latest().is_err());
    rig.until_current();
}

#[test]
fn a_directory_that_is_not_ours_refuses_the_export_until_it_is() {
    let mut rig = Rig::unread("slots = 4", "");
    let mode = |mode| {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(rig.dir.path(), mode).unwrap();
    };
    mode(0o777);
    rig.path.look_after(Instant::now());
    let words = rig.until_state(ExportState::Refused);
    assert!(words.contains("has mode 0777: others may write it"), "{words}");
    mode(0o700);
    assert_eq!(rig.until_state(ExportState::Opening), "", "it is asked for again");
    rig.attach_reader();
    rig.until_published();
    assert_eq!(rig.stats.get().state, ExportState::Open);
}

#[test]
fn without_threads_the_export_is_refused_until_they_come() {
    let mut rig = Rig::unread("slots = 4", "");
    rig.path.refuse("no thread");
    assert_eq!(rig.until_state(ExportState::Refused), "no thread");
    rig.path.remove(&CameraId::new("cam").unwrap());
    let config = vas_config::Camera::clone(&rig.camera);
    let (tap, stats) = rig.path.tap(&config, &rig.input_stats, &rig.demand);
    (rig.tap, rig.stats) = (tap, stats);
    assert_eq!(rig.until_state(ExportState::Refused), "no thread", "one that comes later, too");
    rig.path.look_after(Instant::now());
    rig.until_state(ExportState::Opening);
    rig.attach_reader();
    rig.until_published();
}

/// Each part panics once: its work at hand is dropped and counted, the panic is counted, and frames
/// flow again.
#[test]
fn a_panic_costs_the_work_at_hand_and_no_more() {
    for (place, dropped) in [
        ("copy", "copy_failed"),
        ("publication", "copy_failed"),
        ("copy worker", "copy_failed"),
        ("tap", "copy_failed"),
    ] {
        let mut rig = Rig::new("slots = 8");
        let (stream, frames) = decoded("64x64", 1);
        rig.warm_up(&stream, &frames[0]);
        let before = rig.path.panics.count();
        // A worker that still holds the queue would take the frame without passing the trip point
        // again.
        until(|| !rig.tap.copy_queue().is_scheduled());
        rig.path.panics.arm(place);
        rig.offer(&frames[0]);
        assert_eq!(rig.path.panics.count(), before + 1, "{place}");
        let count = rig.dropped().into_iter().find(|(name, _)| *name == dropped);
        assert_eq!(count.map(|(_, count)| count), Some(1), "{place}: {:?}", rig.dropped());
        // More often than there are permits.
        for _ in 0..2 * download::MAX_IN_FLIGHT {
            rig.until_published();
        }
        // A frame is counted before its permit is given back. A lost permit would leave no end here.
        until(|| rig.tap.copy_queue().in_flight() == 0);
    }
}

#[test]
fn a_panic_of_the_ring_manager_is_reported_and_it_starts_over() {
    // In one camera's ring, and in the work for all.
    for place in ["ring", "ring manager"] {
        let mut rig = Rig::unread("slots = 4", "");
        rig.path.panics.arm(place);
        rig.path.look_after(Instant::now());
        if place == "ring" {
            rig.attach_reader();
            rig.offer(&decoded("64x64", 1).1[0]);
            let words = rig.until_state(ExportState::Refused);
            assert!(words.contains("internal error in the ring manager"), "{words}");
        }
        until(|| rig.path.panics.count() > 0);
        rig.present = None;
        rig.until_state(ExportState::Opening);
        rig.attach_reader();
        rig.until_published();
        assert_eq!(rig.path.panics.count(), 1, "{place}");
    }
}
