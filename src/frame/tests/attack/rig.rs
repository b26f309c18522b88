//! Shared by the attacks: an export of one camera, and pictures that identify their frame.

use std::ffi::CString;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vas_frame::{
    Access, CameraExport, CameraId, Color, ExportError, ExportRoot, Frame, FrameRate, Geometry,
    Notifier, Nv12Image, OpenError, OpenRing, ReadError, Reader, Refused, RingOptions, RingWriter,
    monotonic_ns,
};

/// Longest wait for what must happen; a test that reaches it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Attacks run one at a time: between fork and exec a new process holds all the locks of its parent.
static TURN: Mutex<()> = Mutex::new(());

/// A directory on tmpfs in which a writer creates its export directory and must leave nothing.
#[derive(Debug)]
pub(crate) struct Scratch(
    tempfile::TempDir,
    #[expect(dead_code, reason = "held for its lock")] MutexGuard<'static, ()>,
);

impl Scratch {
    pub(crate) fn new() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Self(tempfile::tempdir_in("/dev/shm").unwrap(), turn)
    }

    /// The export directory.
    pub(crate) fn root(&self) -> PathBuf {
        self.0.path().join("vas")
    }

    /// The camera's directory.
    pub(crate) fn camera(&self) -> PathBuf {
        self.root().join("gate")
    }

    /// Checks that the last writer left no files, neither its own nor those of killed writers.
    pub(crate) fn is_left_empty(&self) {
        let left: Vec<_> = std::fs::read_dir(self.root()).into_iter().flatten().flatten().collect();
        assert!(!self.root().exists(), "left: {left:?}");
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::options().dir(self.root()).open(camera()).unwrap()
    }
}

pub(crate) fn camera() -> CameraId {
    CameraId::new("gate").unwrap()
}

/// Claims the camera as a service would.
pub(crate) fn claim(root: &Path) -> Result<CameraExport, ExportError> {
    claim_for(root, Access::default())
}

pub(crate) fn claim_for(root: &Path, access: Access) -> Result<CameraExport, ExportError> {
    let root = Arc::new(ExportRoot::open(root, access)?);
    CameraExport::claim(&root, &camera(), &Arc::new(Notifier::start().unwrap()))
}

/// A size whose rows need no padding, so that a picture is contiguous both in its slot and in a copy.
pub(crate) fn size(width: u32, height: u32) -> Geometry {
    assert!(width.is_multiple_of(64) && height.is_multiple_of(2));
    Geometry::new(width, height, Color::default(), 8).unwrap()
}

pub(crate) fn options(slots: u32, lease: Duration) -> RingOptions {
    RingOptions { slots, lease, frame_rate: Some(FrameRate { num: 25, den: 1 }) }
}

/// Opens a ring; waits for the leases of the previous one.
pub(crate) fn open(
    export: &mut CameraExport,
    geometry: Geometry,
    options: RingOptions,
) -> Result<RingWriter, ExportError> {
    loop {
        match export.open_ring(geometry, options)? {
            OpenRing::Ready(mut writer) => {
                writer.resume(0);
                return Ok(writer);
            }
            OpenRing::NotBefore(at_ns) => {
                std::thread::sleep(Duration::from_nanos(at_ns.saturating_sub(monotonic_ns())));
            }
        }
    }
}

/// The epoch in the `frame.meta` at the path.
pub(crate) fn epoch(camera: &Path) -> u64 {
    let meta = std::fs::File::open(camera.join("frame.meta")).unwrap();
    let mut word = [0; 8];
    meta.read_exact_at(&mut word, 128).unwrap();
    u64::from_le_bytes(word)
}

/// Publishes a picture whose every byte is a function of its id and epoch.
pub(crate) fn publish(writer: &mut RingWriter, id: u64, epoch: u64) -> Result<(), Refused> {
    let mut slot = writer.claim(monotonic_ns())?;
    let (luma, chroma) = slot.planes_mut();
    let words = luma.as_chunks_mut().0.iter_mut().chain(chroma.as_chunks_mut().0);
    words.zip(words_of(id, epoch)).for_each(|(word, right)| *word = right);
    slot.publish(&vas_frame::PublishMeta { frame_id: id, arrival_ns: monotonic_ns(), ..meta() });
    Ok(())
}

fn meta() -> vas_frame::PublishMeta {
    vas_frame::PublishMeta::default()
}

fn words_of(id: u64, epoch: u64) -> impl Iterator<Item = [u8; 8]> {
    let first = Random(id ^ epoch.rotate_left(32)).next();
    (0u64..).map(move |i| first.wrapping_add(i).to_le_bytes())
}

/// Copies a frame and checks every byte; `false` if it was overwritten meanwhile and so not accepted.
pub(crate) fn is_right(frame: &Frame, image: &mut Nv12Image) -> bool {
    if frame.copy_if_valid(image).is_err() {
        return false;
    }
    let meta = frame.meta();
    assert_eq!((image.width(), image.height()), (meta.width, meta.height));
    let words = image.luma().as_chunks().0.iter().chain(image.chroma().as_chunks().0);
    let wrong =
        words.zip(words_of(meta.frame_id, meta.epoch)).position(|(word, right)| *word != right);
    assert_eq!(wrong, None, "frame {} of epoch {} is wrong", meta.frame_id, meta.epoch);
    true
}

/// Opens and reads until `stop`, whatever state the files are in; returns how often it opened, and
/// how many frames it saw.
pub(crate) fn open_again_and_again(root: &Path, stop: &AtomicBool) -> (u64, u64) {
    let (mut image, mut opened, mut frames) = (Nv12Image::default(), 0, 0);
    while !stop.load(Ordering::Relaxed) {
        opened += 1;
        match Reader::options().dir(root).open(camera()) {
            Ok(mut reader) => match reader.seek(0).set_timeout(Duration::from_millis(1)).newer() {
                Ok(frame) => frames += u64::from(is_right(&frame, &mut image)),
                Err(
                    ReadError::NotYet { .. }
                    | ReadError::TimedOut { .. }
                    | ReadError::WriterGone { .. },
                ) => {}
                Err(error) => panic!("a new reader got: {error}"),
            },
            Err(OpenError::NoCamera { .. } | OpenError::NoWriter { .. }) => {}
            Err(error) => panic!("open failed: {error}"),
        }
    }
    (opened, frames)
}

/// Pseudo-random numbers, the same in each run (splitmix64).
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// One below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Waits for a condition that other threads or processes bring about.
pub(crate) fn until(what: &str, so: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "no {what} for {PATIENCE:?}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// p50, p99 and maximum of times in nanoseconds, as a line of a result.
pub(crate) fn line(what: &str, mut times: Vec<u64>) -> String {
    times.sort_unstable();
    let ms = |ns: u64| ns as f64 / 1e6;
    let at = |percent: usize| ms(times[(times.len() - 1) * percent / 100]);
    let (p50, p99, max) = (at(50), at(99), at(100));
    format!("{what:<44} p50 {p50:7.3} ms, p99 {p99:7.3} ms, max {max:7.3} ms, n {}", times.len())
}

/// A user and group that this machine does not know.
pub(crate) const STRANGER: u32 = 23_456;
/// The readers' group.
pub(crate) const READERS_GROUP: u32 = 4_242;

pub(crate) use vas_harness::is_root;

/// Sets a flag when dropped, also by a panic, so that threads that check it end.
pub(crate) struct Stop<'a>(pub(crate) &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs an attack with its own tmpfs at `dir`, in its own mount namespace.
pub(crate) fn on_tmpfs<T: Send>(dir: &Path, options: &str, attack: impl FnOnce() -> T + Send) -> T {
    in_own_namespace(|| {
        mount("tmpfs", dir, Some("tmpfs"), 0, options);
        attack()
    })
}

/// Runs an attack in its own mount namespace, shared only with the processes that it starts.
pub(crate) fn in_own_namespace<T: Send>(attack: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: changes this thread's view of the file system only.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0);
            mount("none", "/".as_ref(), None, libc::MS_REC | libc::MS_PRIVATE, "");
            attack()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

pub(crate) fn mount(
    what: &str,
    at: &Path,
    kind: Option<&str>,
    flags: libc::c_ulong,
    options: &str,
) {
    let text = |text: &str| CString::new(text).unwrap();
    let (what, at, options) = (text(what), text(at.to_str().unwrap()), text(options));
    let kind = kind.map(text);
    let kind = kind.as_ref().map_or(std::ptr::null(), |kind| kind.as_ptr());
    // SAFETY: all strings end in NUL, and tmpfs takes its options as a string.
    let done =
        unsafe { libc::mount(what.as_ptr(), at.as_ptr(), kind, flags, options.as_ptr().cast()) };
    assert_eq!(done, 0, "mount: {}", std::io::Error::last_os_error());
}

/// Bytes that the file system at `dir` uses, including unlinked files.
pub(crate) fn used(dir: &Path) -> u64 {
    let fs = rustix::fs::statvfs(dir).unwrap();
    (fs.f_blocks - fs.f_bfree) * fs.f_frsize
}
