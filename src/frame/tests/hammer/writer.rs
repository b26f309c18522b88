//! The writer's process.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use vas_frame::{
    Access, CameraExport, ExportRoot, FrameRate, Notifier, OpenRing, PublishMeta, RingOptions,
    RingWriter, monotonic_ns,
};

use super::case::{Case, Pinned, Side, camera};
use super::picture::Source;

const DIR: &str = "VAS_HAMMER_DIR";
const CASE: &str = "VAS_HAMMER_CASE";

/// A running writer, which ends with its owner, however that ends.
pub(crate) struct Writer(Child);

impl Writer {
    pub(crate) fn start(dir: &Path, case: &Case) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "writer_process", "--nocapture"])
            .env(DIR, dir)
            .env(CASE, case.to_words())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    /// Whether it is still running.
    pub(crate) fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // It waits for the end of its input.
        drop(self.0.stdin.take());
        let ended = self.0.wait().unwrap();
        assert!(ended.success() || std::thread::panicking(), "the writer ended with {ended}");
    }
}

/// Publishes the case in the environment, if there is one, until the input ends.
pub(crate) fn run_if_asked() {
    let (Some(dir), Ok(case)) = (std::env::var_os(DIR), std::env::var(CASE)) else { return };
    let case = Case::from_words(&case);
    #[cfg(feature = "mutants")]
    super::mutants::weaken(case.weakened);
    let _pinned = Pinned::to(Side::Writer);
    let stop = Arc::new(AtomicBool::new(false));
    let stop_flag = Arc::clone(&stop);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        stop_flag.store(true, Ordering::Relaxed);
    });
    publish(&PathBuf::from(dir), &case, &stop);
}

fn publish(dir: &Path, case: &Case, stop: &AtomicBool) {
    let root = Arc::new(ExportRoot::open(dir, Access::default()).unwrap());
    let notifier = Arc::new(Notifier::start().unwrap());
    let mut export = CameraExport::claim(&root, &camera(), &notifier).unwrap();
    let options = RingOptions {
        slots: case.slots,
        lease: Duration::ZERO,
        frame_rate: Some(FrameRate { num: 25, den: 1 }),
    };
    let OpenRing::Ready(mut ring) = export.open_ring(case.geometry(), options).unwrap() else {
        unreachable!("the first ring waits for nothing")
    };
    let mut source = Source::new(&case.geometry());
    let mut pauses = Pauses::new();
    for id in 1.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        source.fill(id);
        let start = Instant::now();
        write_one(&mut ring, &source, case, id);
        pauses.after(start.elapsed());
    }
}

fn write_one(ring: &mut RingWriter, source: &Source, case: &Case, id: u64) {
    let mut slot = ring.claim(monotonic_ns()).unwrap();
    source.write_to(&mut slot, case.stores);
    slot.publish(&PublishMeta {
        frame_id: id,
        arrival_ns: monotonic_ns(),
        ..PublishMeta::default()
    });
}

/// Gaps between frames: every other one is zero, the rest as long as a reader may take for a frame.
struct Pauses(u64);

impl Pauses {
    fn new() -> Self {
        Self(0x2545_f491_4f6c_dd1d)
    }

    fn after(&mut self, took: Duration) {
        // Marsaglia's xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let eighths = (self.0 >> 32) as u32 % 64;
        let pause = took * eighths.saturating_sub(32) / 8;
        let end = Instant::now() + pause;
        while Instant::now() < end {
            std::hint::spin_loop();
        }
    }
}
