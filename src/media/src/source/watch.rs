//! What FFmpeg asks while it blocks: go on, or return.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::monotonic_ns;
use crate::stop::StopFlag;

/// How long saying goodbye to a camera may take.
const CLOSING: Duration = Duration::from_millis(500);
const NO_DEADLINE: u64 = u64::MAX;

/// FFmpeg waits for the network in steps of 100 ms (POLLING_TIME in libavformat/network.h) and asks before each, and
/// many times as often while data comes. After so many such steps in a row nothing is half read. On a busy machine the
/// thread itself may take as long between two questions; then it has not slept, as it does while it waits.
const QUIET_STEPS: u32 = 3;
const STEP_AT_LEAST: Duration = Duration::from_millis(80);

/// A deadline and a stop flag behind FFmpeg's interrupt callback.
///
/// The callback runs on the thread that called FFmpeg, with a shared reference; so all state is
/// atomic, and `Relaxed` is enough because no other thread takes part.
pub(super) struct Watch {
    stop: StopFlag,
    deadline_ns: AtomicU64,
    /// When FFmpeg is to stop reading ahead; no end of anything.
    pause_ns: AtomicU64,
    /// How often FFmpeg asked: it does before each read from the network.
    asked: AtomicU32,
    /// Whether a call was to return for a pause.
    has_paused: AtomicBool,
    /// When it asked last, and how often in a row after a whole step of waiting.
    last_ns: AtomicU64,
    quiet: AtomicU32,
    /// How often the thread had slept by the last such step.
    sleeps: AtomicU64,
    closing: AtomicBool,
    fired: AtomicU8,
}

/// Why a call was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fired {
    Stop,
    Deadline,
}

impl Watch {
    pub(super) fn new(stop: StopFlag) -> Self {
        Self {
            stop,
            deadline_ns: AtomicU64::new(NO_DEADLINE),
            pause_ns: AtomicU64::new(NO_DEADLINE),
            asked: AtomicU32::new(0),
            has_paused: AtomicBool::new(false),
            last_ns: AtomicU64::new(NO_DEADLINE),
            quiet: AtomicU32::new(0),
            sleeps: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            fired: AtomicU8::new(0),
        }
    }

    /// Gives the calls from now on this long, unless one was interrupted already: FFmpeg answers an
    /// interrupted read with the picture that its parser still held, and only the next with an error.
    pub(super) fn arm(&self, limit: Duration) {
        let limit_ns = u64::try_from(limit.as_nanos()).unwrap_or(NO_DEADLINE);
        self.deadline_ns.store(monotonic_ns().saturating_add(limit_ns), Ordering::Relaxed);
    }

    /// Has the calls from now on return after this long, as soon as nothing comes, which is remembered by nobody: the
    /// source can be read on. `None` takes that back.
    pub(super) fn pause_after(&self, limit: Option<Duration>) {
        let ends_ns = limit.map_or(NO_DEADLINE, |limit| {
            let limit_ns = u64::try_from(limit.as_nanos()).unwrap_or(NO_DEADLINE);
            monotonic_ns().saturating_add(limit_ns)
        });
        self.pause_ns.store(ends_ns, Ordering::Relaxed);
    }

    /// Whether calls return for such a pause.
    pub(super) fn is_paused(&self) -> bool {
        let pause_ns = self.pause_ns.load(Ordering::Relaxed);
        pause_ns != NO_DEADLINE
            && self.quiet.load(Ordering::Relaxed) >= QUIET_STEPS
            && monotonic_ns() >= pause_ns
    }

    /// FFmpeg asks, at `now_ns`; `sleeps` states how often the thread has slept.
    fn ask(&self, now_ns: u64, sleeps: impl FnOnce() -> u64) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let waited_ns = now_ns.saturating_sub(self.last_ns.swap(now_ns, Ordering::Relaxed));
        let waited = u128::from(waited_ns) >= STEP_AT_LEAST.as_nanos();
        let quiet = match waited && {
            let sleeps = sleeps();
            self.sleeps.swap(sleeps, Ordering::Relaxed) != sleeps
        } {
            true => self.quiet.load(Ordering::Relaxed) + 1,
            false => 0,
        };
        self.quiet.store(quiet, Ordering::Relaxed);
    }

    /// Changes with each read from the network.
    pub(super) fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    /// From now on only a short limit counts: a camera that is not told of the end keeps the
    /// session open for a minute, and many serve but a few at once. So TEARDOWN is sent even when
    /// the stop flag is set.
    pub(super) fn begin_closing(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.fired.store(0, Ordering::Relaxed);
        self.arm(CLOSING);
    }

    /// Whether to return now. Remembers why, and stays with it until closing.
    pub(super) fn poll(&self) -> bool {
        if self.fired().is_some() {
            return true;
        }
        if self.stop.is_stopped() && !self.closing.load(Ordering::Relaxed) {
            self.fired.store(1, Ordering::Relaxed);
            return true;
        }
        let deadline = self.deadline_ns.load(Ordering::Relaxed);
        if deadline != NO_DEADLINE && monotonic_ns() >= deadline {
            self.fired.store(2, Ordering::Relaxed);
            return true;
        }
        let is_paused = self.is_paused();
        if is_paused {
            self.has_paused.store(true, Ordering::Relaxed);
        }
        is_paused
    }

    /// Whether a call has returned for a pause.
    pub(super) fn has_paused(&self) -> bool {
        self.has_paused.load(Ordering::Relaxed)
    }

    /// Why a call was interrupted, if one was.
    pub(super) fn fired(&self) -> Option<Fired> {
        match self.fired.load(Ordering::Relaxed) {
            1 => Some(Fired::Stop),
            2 => Some(Fired::Deadline),
            _ => None,
        }
    }

    pub(super) fn stop_flag(&self) -> &StopFlag {
        &self.stop
    }
}

/// FFmpeg's interrupt callback (AVIOInterruptCB); `opaque` is a [`Watch`]. It cannot panic.
pub(super) unsafe extern "C" fn interrupted(opaque: *mut c_void) -> c_int {
    // SAFETY: `Input` passes a pointer to a watch that it keeps alive until FFmpeg has closed.
    let watch = unsafe { &*opaque.cast::<Watch>() };
    watch.ask(monotonic_ns(), sleeps);
    c_int::from(watch.poll())
}

/// How often this thread has given up its processor by itself.
fn sleeps() -> u64 {
    // SAFETY: a plain struct of numbers, for which zeros are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the struct is ours and of the type that the call fills in; it fails for no valid arguments.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) };
    u64::try_from(usage.ru_nvcsw).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn it_goes_on_by_default() {
        let watch = Watch::new(StopFlag::new());
        assert!(!watch.poll());
        watch.arm(LONG);
        assert!(!watch.poll());
        assert_eq!(watch.fired(), None);
        watch.arm(Duration::MAX);
        assert!(!watch.poll());
    }

    #[test]
    fn it_tells_a_deadline_from_a_stop() {
        let stop = StopFlag::new();
        let stopped = Watch::new(stop.clone());
        stopped.arm(LONG);
        stop.stop();
        assert!(stopped.poll());
        assert_eq!(stopped.fired(), Some(Fired::Stop));
        let late = Watch::new(StopFlag::new());
        late.arm(Duration::ZERO);
        assert!(late.poll());
        assert_eq!(late.fired(), Some(Fired::Deadline));
    }

    #[test]
    fn an_interrupted_source_gets_no_more_time() {
        let watch = Watch::new(StopFlag::new());
        watch.arm(Duration::ZERO);
        assert!(watch.poll());
        watch.arm(LONG);
        assert!(watch.poll());
        assert_eq!(watch.fired(), Some(Fired::Deadline));
    }

    #[test]
    fn a_pause_is_no_end() {
        let watch = Watch::new(StopFlag::new());
        watch.arm(LONG);
        watch.pause_after(Some(Duration::ZERO));
        let step_ns = 100_000_000;
        for step in 0..=3 {
            assert!(!watch.poll(), "something may be half read");
            watch.ask(step * step_ns, || step);
        }
        assert!(watch.poll() && watch.is_paused());
        assert_eq!(watch.fired(), None);
        watch.ask(3 * step_ns + 1, || 3);
        assert!(!watch.poll(), "data comes");
        (4..8).for_each(|step| watch.ask(step * step_ns, || 3));
        assert!(!watch.poll(), "the thread had no processor");
        (8..12).for_each(|step| watch.ask(step * step_ns, || step));
        assert!(watch.poll());
        watch.pause_after(None);
        assert!(!watch.poll() && !watch.is_paused());
        assert!(watch.has_paused());
    }

    #[test]
    fn closing_ignores_the_stop() {
        let stop = StopFlag::new();
        stop.stop();
        let watch = Watch::new(stop);
        assert!(watch.poll());
        watch.begin_closing();
        watch.deadline_ns.store(NO_DEADLINE, Ordering::Relaxed);
        assert!(!watch.poll());
    }
}
