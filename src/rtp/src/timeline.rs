//! Maps the timestamps of a source, which restart with each connection, to a time line that never jumps.

/// How far timestamps may run ahead of the time between arrivals before they count as a jump. A camera may send
/// everything since its last key frame at once.
const MAX_AHEAD_NS: u64 = 10_000_000_000;
/// Least time between two pictures.
const STEP_NS: u64 = 1_000_000;

/// Maps pictures to `CLOCK_MONOTONIC` by their timestamps, relative to an anchor.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// The time of the latest picture; 0 before the first.
    latest_ns: u64,
    anchor: Option<Anchor>,
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    /// Time on `CLOCK_MONOTONIC` minus timestamp.
    offset_ns: i128,
    last_pts_ns: i64,
    last_arrival_ns: u64,
}

impl Timeline {
    pub(crate) fn after(latest_ns: u64) -> Self {
        Self { latest_ns, anchor: None }
    }

    /// Begins a new connection, whose timestamps are unrelated to earlier ones.
    pub(crate) fn begin_stream(&mut self) {
        self.anchor = None;
    }

    /// The time of the next picture, always after that of the last.
    pub(crate) fn place(&mut self, pts_ns: Option<i64>, arrival_ns: u64) -> u64 {
        let earliest_ns = if self.latest_ns == 0 { 0 } else { self.latest_ns + STEP_NS };
        let by_arrival_ns = arrival_ns.max(earliest_ns);
        let Some(pts_ns) = pts_ns else {
            self.latest_ns = by_arrival_ns;
            return by_arrival_ns;
        };
        let held = self.anchor.filter(|anchor| anchor.holds(pts_ns, arrival_ns));
        let (place_ns, offset_ns) = match held {
            Some(Anchor { offset_ns, .. }) => {
                let place_ns = u64::try_from(i128::from(pts_ns) + offset_ns).unwrap_or(0);
                (place_ns.max(earliest_ns), offset_ns)
            }
            None => (by_arrival_ns, i128::from(by_arrival_ns) - i128::from(pts_ns)),
        };
        self.anchor = Some(Anchor { offset_ns, last_pts_ns: pts_ns, last_arrival_ns: arrival_ns });
        self.latest_ns = place_ns;
        place_ns
    }
}

impl Anchor {
    /// Whether a picture's timestamp continues from the last one without a jump.
    fn holds(&self, pts_ns: i64, arrival_ns: u64) -> bool {
        let step_ns = i128::from(pts_ns) - i128::from(self.last_pts_ns);
        let waited_ns = arrival_ns.saturating_sub(self.last_arrival_ns);
        step_ns > 0 && step_ns <= i128::from(waited_ns.saturating_add(MAX_AHEAD_NS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const S: u64 = 1000 * MS;

    fn ms(timeline: &mut Timeline, pts_ms: i64, arrival_ms: u64) -> u64 {
        timeline.place(Some(pts_ms * MS as i64), arrival_ms * MS) / MS
    }

    #[test]
    fn pictures_keep_their_spacing() {
        let mut timeline = Timeline::after(0);
        assert_eq!(ms(&mut timeline, 5_000, 1_000), 1_000);
        assert_eq!(ms(&mut timeline, 5_040, 1_055), 1_040, "arrival jitter is not passed on");
        assert_eq!(ms(&mut timeline, 5_080, 1_061), 1_080);
    }

    #[test]
    fn a_burst_at_the_start_is_not_a_jump() {
        let mut timeline = Timeline::after(0);
        ms(&mut timeline, 0, 1_000);
        assert_eq!(ms(&mut timeline, 2_000, 1_001), 3_000);
    }

    #[test]
    fn a_new_connection_continues_after_the_time_that_passed() {
        let mut timeline = Timeline::after(0);
        ms(&mut timeline, 90_000, 1_000);
        timeline.begin_stream();
        assert_eq!(ms(&mut timeline, 0, 4_000), 4_000);
        assert_eq!(ms(&mut timeline, 40, 4_040), 4_040);
    }

    #[test]
    fn timestamps_that_jump_restart_at_their_arrival() {
        let mut timeline = Timeline::after(0);
        ms(&mut timeline, 90_000, 1_000);
        assert_eq!(ms(&mut timeline, 10, 1_040), 1_040, "back");
        assert_eq!(ms(&mut timeline, 50, 1_080), 1_080);
        assert_eq!(ms(&mut timeline, 20_000, 1_120), 1_120, "far ahead");
        assert_eq!(ms(&mut timeline, 26_000, 7_120), 7_120, "a pause is a pause");
    }

    #[test]
    fn pictures_without_timestamps_take_their_arrival() {
        let mut timeline = Timeline::after(0);
        assert_eq!(timeline.place(None, S), S);
        assert_eq!(timeline.place(None, S), S + STEP_NS);
        assert_eq!(timeline.place(Some(7), S + 40 * MS), S + 40 * MS);
    }

    #[test]
    fn times_continue_after_another_sender() {
        let mut timeline = Timeline::after(10 * S);
        assert_eq!(timeline.place(Some(3), 9 * S), 10 * S + STEP_NS, "never back");
    }
}
