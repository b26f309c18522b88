//! Interrupts FFmpeg's blocking calls: a deadline and a stop flag.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::monotonic_ns;
use crate::stop::StopFlag;

/// Time limit for ending a session with a camera.
const CLOSING: Duration = Duration::from_millis(500);
const NO_DEADLINE: u64 = u64::MAX;

/// FFmpeg waits for the network in steps of 100 ms (POLLING_TIME in libavformat/network.h). It polls the callback before
/// each step, and much more often while data arrives. After this many steps in a row, no read is in progress. On a busy
/// machine the thread itself may take as long between two polls; then it has not slept, as it does while it waits.
const QUIET_STEPS: u32 = 3;
const STEP_AT_LEAST: Duration = Duration::from_millis(80);

/// The state of FFmpeg's interrupt callback.
///
/// The callback runs on the thread that called FFmpeg, with a shared reference. All state is therefore
/// atomic, and `Relaxed` is enough because no other thread is involved.
pub(super) struct Watch {
    stop: StopFlag,
    deadline_ns: AtomicU64,
    /// When FFmpeg should stop reading ahead; the source stays usable.
    pause_ns: AtomicU64,
    /// How often FFmpeg polled the callback, which it does before each read from the network.
    polls: AtomicU32,
    /// Whether a call was to return for a pause.
    has_paused: AtomicBool,
    /// The time of the last poll, and the number of polls in a row that followed a full step of waiting.
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
            polls: AtomicU32::new(0),
            has_paused: AtomicBool::new(false),
            last_ns: AtomicU64::new(NO_DEADLINE),
            quiet: AtomicU32::new(0),
            sleeps: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            fired: AtomicU8::new(0),
        }
    }

    /// Sets a deadline for calls from now on, unless one was already interrupted: FFmpeg may return a
    /// picture from its parser for an interrupted read, and an error only for the next.
    pub(super) fn arm(&self, limit: Duration) {
        let limit_ns = u64::try_from(limit.as_nanos()).unwrap_or(NO_DEADLINE);
        self.deadline_ns.store(monotonic_ns().saturating_add(limit_ns), Ordering::Relaxed);
    }

    /// Makes calls return after this time, as soon as no data arrives. This does not count as an interrupt, so reading can
    /// continue. `None` cancels it.
    pub(super) fn pause_after(&self, limit: Option<Duration>) {
        let ends_ns = limit.map_or(NO_DEADLINE, |limit| {
            let limit_ns = u64::try_from(limit.as_nanos()).unwrap_or(NO_DEADLINE);
            monotonic_ns().saturating_add(limit_ns)
        });
        self.pause_ns.store(ends_ns, Ordering::Relaxed);
    }

    /// Whether calls return because of [`pause_after`](Self::pause_after).
    pub(super) fn is_paused(&self) -> bool {
        let pause_ns = self.pause_ns.load(Ordering::Relaxed);
        pause_ns != NO_DEADLINE
            && self.quiet.load(Ordering::Relaxed) >= QUIET_STEPS
            && monotonic_ns() >= pause_ns
    }

    /// Records that FFmpeg polled the callback at `now_ns`; `sleeps` states how often the thread has slept.
    fn record_poll(&self, now_ns: u64, sleeps: impl FnOnce() -> u64) {
        self.polls.fetch_add(1, Ordering::Relaxed);
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

    /// A counter that changes with each read from the network.
    pub(super) fn asked(&self) -> u32 {
        self.polls.load(Ordering::Relaxed)
    }

    /// From now on only a short limit applies, so that TEARDOWN is sent even if the stop flag is set:
    /// without it a camera keeps the session open for a minute, and many serve only a few at once.
    pub(super) fn begin_closing(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.fired.store(0, Ordering::Relaxed);
        self.arm(CLOSING);
    }

    /// Whether to return now. Keeps the reason until closing.
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

/// FFmpeg's interrupt callback (AVIOInterruptCB); `opaque` is a [`Watch`]. It can't panic.
pub(super) unsafe extern "C" fn interrupted(opaque: *mut c_void) -> c_int {
    // SAFETY: `Input` passes a pointer to a watch that it keeps alive until FFmpeg has closed.
    let watch = unsafe { &*opaque.cast::<Watch>() };
    watch.record_poll(monotonic_ns(), sleeps);
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
    fn calls_continue_by_default() {
        let watch = Watch::new(StopFlag::new());
        assert!(!watch.poll());
        watch.arm(LONG);
        assert!(!watch.poll());
        assert_eq!(watch.fired(), None);
        watch.arm(Duration::MAX);
        assert!(!watch.poll());
    }

    #[test]
    fn a_deadline_and_a_stop_are_distinguished() {
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
    fn an_interrupt_can_not_be_extended() {
        let watch = Watch::new(StopFlag::new());
        watch.arm(Duration::ZERO);
        assert!(watch.poll());
        watch.arm(LONG);
        assert!(watch.poll());
        assert_eq!(watch.fired(), Some(Fired::Deadline));
    }

    #[test]
    fn reading_continues_after_a_pause() {
        let watch = Watch::new(StopFlag::new());
        watch.arm(LONG);
        watch.pause_after(Some(Duration::ZERO));
        let step_ns = 100_000_000;
        for step in 0..=3 {
            assert!(!watch.poll(), "a read may be in progress");
            watch.record_poll(step * step_ns, || step);
        }
        assert!(watch.poll() && watch.is_paused());
        assert_eq!(watch.fired(), None);
        watch.record_poll(3 * step_ns + 1, || 3);
        assert!(!watch.poll(), "data arrives");
        (4..8).for_each(|step| watch.record_poll(step * step_ns, || 3));
        assert!(!watch.poll(), "the thread had no processor");
        (8..12).for_each(|step| watch.record_poll(step * step_ns, || step));
        assert!(watch.poll());
        watch.pause_after(None);
        assert!(!watch.poll() && !watch.is_paused());
        assert!(watch.has_paused());
    }

    #[test]
    fn closing_ignores_the_stop_flag() {
        let stop = StopFlag::new();
        stop.stop();
        let watch = Watch::new(stop);
        assert!(watch.poll());
        watch.begin_closing();
        watch.deadline_ns.store(NO_DEADLINE, Ordering::Relaxed);
        assert!(!watch.poll());
    }
}
