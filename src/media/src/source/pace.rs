//! Computes when a packet of a recording is due. Pure: time is an argument.

/// A larger step of the recording's clock is a cut, not a wait.
const MAX_STEP_NS: i64 = 10_000_000_000;
/// A larger step back is a cut, not jitter.
const MAX_BACKWARD_NS: i64 = 1_000_000_000;
/// A reader that is later than this was held up: continue from there, without a burst.
const MAX_LATE_NS: u64 = 1_000_000_000;

/// Maps a recording's timestamps to the clock, so that it plays in real time.
pub(super) struct Pacer {
    frame_ns: u64,
    anchor: Option<Anchor>,
}

/// The previous packet: its time in the recording, and when it was due.
#[derive(Clone, Copy)]
struct Anchor {
    media_ns: i64,
    due_ns: u64,
}

impl Pacer {
    /// `frame_ns` is the time between packets that have no timestamps.
    pub(super) fn new(frame_ns: u64) -> Self {
        Self { frame_ns, anchor: None }
    }

    /// When the packet with decoding time `media_ns` is due, on the clock of `now_ns`. A past time means
    /// now.
    pub(super) fn due_ns(&mut self, media_ns: Option<i64>, now_ns: u64) -> u64 {
        let Some(last) = self.anchor else {
            self.anchor = Some(Anchor { media_ns: media_ns.unwrap_or(0), due_ns: now_ns });
            return now_ns;
        };
        let frame_ns = i64::try_from(self.frame_ns).unwrap_or(MAX_STEP_NS);
        let media_ns = media_ns.unwrap_or(last.media_ns.saturating_add(frame_ns));
        let step = media_ns.saturating_sub(last.media_ns);
        let is_cut = !(-MAX_BACKWARD_NS..=MAX_STEP_NS).contains(&step);
        let step = if is_cut { frame_ns } else { step };
        let mut due_ns = last.due_ns.saturating_add_signed(step);
        if now_ns > due_ns.saturating_add(MAX_LATE_NS) {
            due_ns = now_ns;
        }
        self.anchor = Some(Anchor { media_ns, due_ns });
        due_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const START: u64 = 5_000 * MS;

    fn at(ms: i64) -> Option<i64> {
        Some(ms * 1_000_000)
    }

    fn started() -> Pacer {
        let mut pacer = Pacer::new(40 * MS);
        assert_eq!(pacer.due_ns(at(700), START), START);
        pacer
    }

    #[test]
    fn packets_keep_their_spacing() {
        let mut pacer = started();
        assert_eq!(pacer.due_ns(at(740), START + MS), START + 40 * MS);
        assert_eq!(pacer.due_ns(at(780), START + 41 * MS), START + 80 * MS);
    }

    #[test]
    fn lateness_does_not_accumulate() {
        let mut pacer = started();
        assert_eq!(pacer.due_ns(at(740), START + 500 * MS), START + 40 * MS);
        assert_eq!(pacer.due_ns(at(1740), START + 501 * MS), START + 1040 * MS);
    }

    #[test]
    fn a_long_halt_causes_no_burst() {
        let mut pacer = started();
        let resumed = START + 60_000 * MS;
        assert_eq!(pacer.due_ns(at(740), resumed), resumed);
        assert_eq!(pacer.due_ns(at(780), resumed), resumed + 40 * MS);
    }

    #[test]
    fn cuts_are_one_frame_long() {
        let mut pacer = started();
        assert_eq!(pacer.due_ns(at(100_000), START), START + 40 * MS);
        assert_eq!(pacer.due_ns(at(100_040), START), START + 80 * MS);
        assert_eq!(pacer.due_ns(at(0), START), START + 120 * MS);
    }

    #[test]
    fn small_steps_back_are_jitter() {
        let mut pacer = started();
        assert_eq!(pacer.due_ns(at(740), START), START + 40 * MS);
        assert_eq!(pacer.due_ns(at(730), START), START + 30 * MS);
        assert_eq!(pacer.due_ns(at(780), START), START + 80 * MS);
    }

    #[test]
    fn packets_without_timestamps_are_evenly_spaced() {
        let mut pacer = Pacer::new(40 * MS);
        assert_eq!(pacer.due_ns(None, START), START);
        assert_eq!(pacer.due_ns(None, START), START + 40 * MS);
        assert_eq!(pacer.due_ns(None, START), START + 80 * MS);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut pacer = Pacer::new(u64::MAX);
        pacer.due_ns(Some(i64::MIN), 0);
        pacer.due_ns(Some(i64::MAX), u64::MAX);
        pacer.due_ns(None, 0);
    }
}
