//! When to check which readers a camera has. Pure: time is an argument.
//!
//! An event announces that a reader attaches or detaches. The reader locks its byte shortly after opening `readers`,
//! and the kernel releases the lock shortly after the close. So checks follow each event at doubling intervals, up to
//! the regular interval.

use vas_status::PolledReason;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// Intervals between checks, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intervals {
    /// The first one after an event; the following ones double.
    pub(super) first: u64,
    /// Without readers, while `readers` is watched: finds locks that no event announced.
    pub(super) slow: u64,
    /// Between checks for files that were removed without an event.
    pub(super) files: u64,
    /// With readers, who may lock another byte without opening `readers` again.
    pub(super) read: u64,
    /// While `readers` is not watched because the system has no more watches.
    pub(super) unwatched: u64,
    /// For a camera whose `readers` is opened too often to handle each event.
    pub(super) noisy: u64,
    /// From the removal of a file until its export is replaced, so that the removal of a whole directory can finish.
    pub(super) removed: u64,
}

impl Default for Intervals {
    fn default() -> Self {
        Self {
            first: MS,
            slow: 10 * SECOND,
            files: 60 * SECOND,
            read: SECOND,
            unwatched: SECOND,
            noisy: 50 * MS,
            removed: 500 * MS,
        }
    }
}

/// Maximum events of a camera per second. A camera with more is polled for a while: a process that may read
/// must not be able to keep the thread of all cameras busy.
pub(super) const MOST_EVENTS: u32 = 16;
/// How long such a camera is polled.
const NOISY_NS: u64 = 10 * SECOND;
/// Slow checks fall on few moments, so that many cameras cost few wake-ups.
const PHASES: u64 = 8;

/// How a camera learns of its readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Events,
    /// Polled, because there is no watch.
    Clock,
    /// Polled until this time, because there were too many events.
    Noisy(u64),
}

/// When to check next.
#[derive(Debug)]
pub(super) struct Checks {
    intervals: Intervals,
    /// Selects the moments for this camera's slow checks.
    phase: u64,
    source: Source,
    next_ns: u64,
    /// The next interval, while it is shorter than the regular one.
    interval_ns: u64,
    second_ns: u64,
    events: u32,
}

impl Checks {
    /// Checks at once, and polls until `readers` is [watched](Self::watched). `number` spreads the cameras.
    pub(super) fn new(intervals: Intervals, number: u64) -> Self {
        Self {
            intervals,
            phase: number % PHASES,
            source: Source::Clock,
            next_ns: 0,
            interval_ns: intervals.first,
            second_ns: 0,
            events: 0,
        }
    }

    pub(super) fn intervals(&self) -> &Intervals {
        &self.intervals
    }

    /// When the next check is due.
    pub(super) fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// The next of the moments for this camera's checks at an interval.
    fn moment_ns(&self, now_ns: u64, interval_ns: u64) -> u64 {
        let offset_ns = interval_ns / PHASES * self.phase;
        let turn = now_ns.saturating_sub(offset_ns) / interval_ns + 1;
        turn.saturating_mul(interval_ns).saturating_add(offset_ns)
    }

    /// When next to check for locks that no event announced.
    pub(super) fn slow_ns(&self, now_ns: u64) -> u64 {
        self.moment_ns(now_ns, self.intervals.slow)
    }

    /// When next to check for files that were removed without an event.
    pub(super) fn files_ns(&self, now_ns: u64) -> u64 {
        self.moment_ns(now_ns, self.intervals.files)
    }

    /// Whether `readers` should be watched but is not.
    pub(super) fn wants_watch(&self, now_ns: u64) -> bool {
        match self.source {
            Source::Events => false,
            Source::Clock => true,
            Source::Noisy(until_ns) => now_ns >= until_ns,
        }
    }

    /// Why readers are polled for; `None`: events announce them.
    pub(super) fn polled(&self) -> Option<PolledReason> {
        match self.source {
            Source::Events => None,
            Source::Clock => Some(PolledReason::NoWatch),
            Source::Noisy(_) => Some(PolledReason::TooManyEvents),
        }
    }

    /// `readers` is watched from now on. Readers that attached earlier cause no event.
    pub(super) fn watched(&mut self, now_ns: u64) {
        self.source = Source::Events;
        self.soon(now_ns);
    }

    /// `readers` can't be watched.
    pub(super) fn not_watched(&mut self) {
        self.source = Source::Clock;
    }

    /// Checks now, and often for a moment.
    pub(super) fn soon(&mut self, now_ns: u64) {
        self.next_ns = now_ns;
        self.interval_ns = self.intervals.first;
    }

    /// `readers` was opened or closed. Returns false if that happens too often: end the watch for a while.
    pub(super) fn event(&mut self, now_ns: u64) -> bool {
        if now_ns.saturating_sub(self.second_ns) >= SECOND {
            (self.second_ns, self.events) = (now_ns, 0);
        }
        self.events += 1;
        self.soon(now_ns);
        if self.events > MOST_EVENTS {
            self.source = Source::Noisy(now_ns + NOISY_NS);
        }
        self.source == Source::Events
    }

    /// A check was made; `here` is whether it found a reader.
    pub(super) fn checked(&mut self, now_ns: u64, here: bool) {
        let regular_ns = match (self.source, here) {
            (Source::Noisy(_), _) => self.intervals.noisy,
            (Source::Clock, _) => self.intervals.unwatched,
            (Source::Events, true) => self.intervals.read,
            (Source::Events, false) => self.intervals.slow,
        };
        if self.interval_ns < regular_ns {
            self.next_ns = now_ns.saturating_add(self.interval_ns);
            self.interval_ns = self.interval_ns.saturating_mul(2);
        } else if self.source == Source::Events && !here {
            self.next_ns = self.slow_ns(now_ns);
        } else {
            self.next_ns = now_ns.saturating_add(regular_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1000 * SECOND;

    fn watched() -> Checks {
        let mut checks = Checks::new(Intervals::default(), 3);
        assert!(checks.wants_watch(START));
        checks.watched(START);
        checks
    }

    /// Times of checks until `end`, relative to `start`, in milliseconds.
    fn times(checks: &mut Checks, start: u64, end: u64, here: bool) -> Vec<u64> {
        let mut times = Vec::new();
        while checks.next_ns() < end {
            let now = checks.next_ns().max(start);
            times.push((now - start) / MS);
            checks.checked(now, here);
        }
        times
    }

    #[test]
    fn an_event_is_followed_by_checks_at_doubling_intervals_up_to_the_slow_one() {
        let mut checks = watched();
        times(&mut checks, START, START + 100 * SECOND, false);
        assert!(checks.event(START + 100 * SECOND));
        let found = times(&mut checks, START + 100 * SECOND, START + 160 * SECOND, false);
        assert_eq!(found[..8], [0, 1, 3, 7, 15, 31, 63, 127]);
        let slow: Vec<_> = found.windows(2).map(|pair| pair[1] - pair[0]).skip(15).collect();
        assert_eq!(slow, [10_000; 3], "{found:?}");
        assert!(found.iter().skip(15).all(|ms| ms % 10_000 == 3 * 10_000 / PHASES), "{found:?}");
    }

    #[test]
    fn with_readers_it_is_checked_each_second() {
        let mut checks = watched();
        let found = times(&mut checks, START, START + 8 * SECOND, true);
        let last: Vec<_> = found.windows(2).map(|pair| pair[1] - pair[0]).skip(10).collect();
        assert_eq!(last, [1000; 6], "{found:?}");
    }

    #[test]
    fn without_a_watch_it_is_checked_by_the_clock() {
        let mut checks = Checks::new(Intervals::default(), 0);
        checks.not_watched();
        let found = times(&mut checks, START, START + 8 * SECOND, false);
        assert!(found.len() < 20 && found.windows(2).all(|pair| pair[1] - pair[0] <= 1000));
        assert!(checks.wants_watch(START));
    }

    /// However often a file is opened, its camera costs a bounded number of checks and events.
    #[test]
    fn what_events_cost_is_bounded() {
        let mut checks = watched();
        let (mut now, mut events, mut made) = (START, 0, 0);
        let mut watches = true;
        while now < START + 100 * SECOND {
            if watches {
                events += 1;
                watches = checks.event(now);
            }
            if checks.next_ns() <= now {
                made += 1;
                checks.checked(now, false);
            }
            if !watches && checks.wants_watch(now) {
                checks.watched(now);
                watches = true;
            }
            now += MS / 10;
        }
        assert!(events <= 10 * (MOST_EVENTS + 1), "{events}");
        assert!(made <= 10 * MOST_EVENTS + 100 * 20 + 200, "{made}");
        assert!(made >= 100 * 19, "{made}: its own readers are still found");
    }

    #[test]
    fn an_endless_slow_interval_never_comes() {
        let intervals = Intervals { slow: u64::MAX, ..Intervals::default() };
        for number in 0..PHASES {
            let mut checks = Checks::new(intervals, number);
            checks.watched(START);
            while checks.next_ns() < START + 3600 * SECOND {
                checks.checked(checks.next_ns(), false);
            }
            assert!(checks.slow_ns(START) > START + 3600 * SECOND);
        }
    }
}
