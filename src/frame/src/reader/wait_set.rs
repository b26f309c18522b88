//! Waiting for frames of several readers at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::thread::futex::{Wait, WaitFlags, WaitPtr, WaitvFlags, waitv};
use rustix::time::{ClockId, Timespec};

use super::mapped::Mapped;
use super::{LIVENESS_SLICE, LOOK_AGAIN, Reader};
use crate::clock::monotonic_ns;
use crate::futex;

/// Most words that `futex_waitv` takes (`FUTEX_WAITV_MAX`).
const MOST_WORDS: usize = 128;
/// How often readers that no futex covers are looked at: with more of them than `futex_waitv` takes, or on a kernel
/// without it.
const LOOK: Duration = Duration::from_millis(2);

/// The state of a [`Reader`]'s camera at one moment, for a thread that waits for the next frame.
///
/// It may move to other threads, unlike the reader. It keeps the ring mapped.
#[derive(Clone, Debug)]
pub struct WaitPoint {
    ring: Option<Arc<Mapped>>,
    seen: u32,
}

impl Reader {
    /// The state of the camera now. Take it before you look for a frame: what is published after it makes it
    /// [ready](WaitPoint::is_ready), so no frame is missed between the look and the wait.
    #[must_use]
    pub fn wait_point(&self) -> WaitPoint {
        // A writer that is gone publishes nothing, nor does one into a ring that is over: only a look finds what follows.
        let ring = self.ring.clone().filter(|ring| self.gone.is_none() && ring.is_live());
        WaitPoint { seen: ring.as_ref().map_or(0, |ring| ring.published()), ring }
    }
}

impl WaitPoint {
    /// Whether something was published since, or the epoch ended: the reader is to look for a frame. Makes no system
    /// call.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ring.as_ref().is_some_and(|ring| ring.published() != self.seen || !ring.is_live())
    }

    /// Whether there is a ring that a writer publishes into. If not, no wait ends by itself: look from time to time.
    /// Asks the kernel about the writer's lock.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.ring.as_ref().is_some_and(|ring| !ring.has_ended())
    }

    /// The word that changes with each publication; mapped as long as this point exists.
    fn word(&self) -> Option<*const u32> {
        self.ring.as_ref().map(|ring| std::ptr::from_ref(ring.published_word()).cast())
    }
}

/// Waits for the first of several [`WaitPoint`]s, or to be [woken](Waker::wake).
///
/// ```no_run
/// use std::time::Duration;
/// use vas_frame::{Reader, WaitSet};
///
/// let mut readers = [Reader::open("gate")?, Reader::open("yard")?];
/// readers.iter_mut().for_each(|reader| drop(reader.set_timeout(Duration::ZERO)));
/// let mut set = WaitSet::new();
/// loop {
///     let points = readers.each_ref().map(|reader| reader.wait_point());
///     for reader in &mut readers {
///         if let Ok(frame) = reader.newer() {
///             println!("{} {}", frame.id(), frame.meta().width);
///         }
///     }
///     set.wait(&points, Duration::from_secs(1));
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), vas_frame::OpenError>(())
/// ```
///
/// On Linux 5.16 and later it is one system call, `futex_waitv`, for up to 127 readers. Beyond that, and on older
/// kernels, it looks at the others each 2 ms. It allocates nothing.
#[derive(Debug)]
pub struct WaitSet {
    own: Arc<AtomicU32>,
    seen: u32,
    /// Whether the kernel has `futex_waitv`, as far as is known.
    has_waitv: bool,
}

/// Ends the wait of a [`WaitSet`] from another thread.
#[derive(Clone, Debug)]
pub struct Waker {
    word: Arc<AtomicU32>,
}

impl Waker {
    /// Ends the wait that is going on, or the next one.
    pub fn wake(&self) {
        self.word.fetch_add(1, Ordering::Release);
        futex::wake_word(&self.word, 1);
    }
}

impl Default for WaitSet {
    fn default() -> Self {
        Self::new()
    }
}

impl WaitSet {
    /// A set without a wait.
    #[must_use]
    pub fn new() -> Self {
        Self { own: Arc::new(AtomicU32::new(0)), seen: 0, has_waitv: true }
    }

    /// A set that does without `futex_waitv`, as on an older kernel: for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn without_waitv() -> Self {
        Self { has_waitv: false, ..Self::new() }
    }

    /// What ends the waits of this set.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker { word: Arc::clone(&self.own) }
    }

    /// Waits, for at most `timeout`, until a point is ready or a [`Waker`] woke this set; returns whether one of them did.
    ///
    /// Without a live writer, nothing makes a point ready. It therefore returns `false` early, after 10 ms if a reader has
    /// no ring and after 50 ms otherwise, so that readers can look for the next ring or the writer's end: call it again. Without points, it waits for a waker alone.
    pub fn wait(&mut self, points: &[WaitPoint], timeout: Duration) -> bool {
        let slice = match points {
            // Nobody is to look for anything: only a waker ends this wait.
            [] => timeout,
            _ if points.iter().all(|point| point.ring.is_some()) => timeout.min(LIVENESS_SLICE),
            _ => timeout.min(LOOK_AGAIN),
        };
        let deadline = Instant::now().checked_add(slice);
        loop {
            if self.is_woken() || points.iter().any(WaitPoint::is_ready) {
                return true;
            }
            let left = deadline.map_or(slice, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return false;
            }
            self.sleep(points, left);
        }
    }

    /// Whether a waker was used since the last call.
    fn is_woken(&mut self) -> bool {
        // Partner: the release addition in `Waker::wake`.
        let now = self.own.load(Ordering::Acquire);
        std::mem::replace(&mut self.seen, now) != now
    }

    /// Sleeps until one of the words changes, or `time` is over, or for no reason.
    fn sleep(&mut self, points: &[WaitPoint], time: Duration) {
        if !self.has_waitv {
            return futex::wait_word(&self.own, self.seen, time.min(LOOK));
        }
        let mut words = [const { Wait::new() }; MOST_WORDS];
        let mut count = 0;
        let expected = std::iter::once((self.own.as_ptr().cast_const(), self.seen))
            .chain(points.iter().filter_map(|point| Some((point.word()?, point.seen))));
        let mut left_out = false;
        for (word, seen) in expected {
            let Some(place) = words.get_mut(count) else {
                left_out = true;
                break;
            };
            // The kernel only reads the word: a reader's mapping is read-only.
            place.uaddr = WaitPtr::new(word.cast_mut().cast());
            place.val = u64::from(seen);
            place.flags = WaitFlags::SIZE_U32;
            count += 1;
        }
        let time = if left_out { time.min(LOOK) } else { time };
        // Absolute, by the clock that is named.
        let until_ns =
            monotonic_ns().saturating_add(time.as_nanos().try_into().unwrap_or(u64::MAX));
        let until = Timespec {
            tv_sec: (until_ns / 1_000_000_000).cast_signed(),
            tv_nsec: (until_ns % 1_000_000_000).cast_signed(),
        };
        let woken = waitv(&words[..count], WaitvFlags::empty(), Some(&until), ClockId::Monotonic);
        // After each of these (woken, changed, interrupted, timed out) the caller checks again. Any other error is of a
        // kernel without the call, or of a container whose filter does not know it.
        self.has_waitv = matches!(woken, Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT));
    }
}
