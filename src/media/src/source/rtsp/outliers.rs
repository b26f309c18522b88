//! Replaces RTP timestamps that are unrelated to those around them. Pure: arrival is an argument.
//!
//! Some cameras and recorders send single pictures with timestamps that are off by hours. Such a picture gets a time
//! derived from its neighbors, whose times do not change. If the timestamps continue from the new value, the camera has
//! set its clock: after a while they are accepted and used unchanged.

/// Longest step that is accepted at once, in seconds, beyond the time that passed; also the longest step back. A camera
/// may send buffered pictures at once, or skip those that it could not send.
const MAX_STEP_S: i64 = 10;
/// How many pictures must follow each other on a new time line before it is accepted.
const MIN_PICTURES: u32 = 3;
/// How long they must do so.
const MIN_HELD_NS: u64 = 1_000_000_000;
/// The assumed frame rate while it is not known.
const DEFAULT_FPS: i64 = 25;

/// The time of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PictureTime {
    /// In ticks, unwrapped from RTP's 32 bits.
    pub(super) ticks: i64,
    /// Whether the time was derived from the neighbors because the picture's own is not plausible.
    pub(super) guessed: bool,
}

/// Determines the times of one track's pictures.
#[derive(Clone, Debug)]
pub(super) struct Outliers {
    ticks_per_s: i64,
    /// Whether output order may differ from decoding order.
    reordered: bool,
    /// The last picture whose time was accepted.
    believed: Option<Seen>,
    /// The last time returned.
    given: i64,
    /// The shortest recent step between pictures, once there was one.
    step: Option<i64>,
    /// The number of steps since `step`, and the shortest of them.
    since: (u32, i64),
    doubt: Option<Doubt>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    ticks: i64,
    arrival_ns: u64,
}

/// A new time line, on which pictures arrived since the last accepted one.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    last: Seen,
    began_ns: u64,
    pictures: u32,
}

/// For how many pictures a step counts as recent.
const LATEST: u32 = 32;

impl Outliers {
    /// For a track with `ticks_per_s` ticks per second.
    pub(super) fn new(ticks_per_s: u32, reordered: bool) -> Self {
        let ticks_per_s = i64::from(ticks_per_s.max(1));
        Self {
            ticks_per_s,
            reordered,
            believed: None,
            given: 0,
            step: None,
            since: (0, i64::MAX),
            doubt: None,
        }
    }

    /// The time of the next picture in decoding order. `raw` is its timestamp, of which the lower 32 bits count, and
    /// `arrival_ns` the arrival of its first packet.
    pub(super) fn next(&mut self, raw: i64, arrival_ns: u64) -> PictureTime {
        let Some(believed) = self.believed else {
            return self.believe(Seen { ticks: raw, arrival_ns });
        };
        let seen = Seen { ticks: unwrapped(raw, believed.ticks), arrival_ns };
        if self.follows(believed, seen) {
            return self.believe(seen);
        }
        let doubt = match self.doubt {
            Some(doubt) => {
                let seen = Seen { ticks: unwrapped(raw, doubt.last.ticks), arrival_ns };
                match self.follows(doubt.last, seen) {
                    true => {
                        self.given += self.forwards(seen.ticks - doubt.last.ticks);
                        Doubt { last: seen, pictures: doubt.pictures + 1, ..doubt }
                    }
                    false => self.begin_doubt(believed, seen),
                }
            }
            None => self.begin_doubt(believed, seen),
        };
        let held_ns = arrival_ns.saturating_sub(doubt.began_ns);
        if doubt.pictures >= MIN_PICTURES && held_ns >= MIN_HELD_NS {
            return self.believe(Seen { ticks: unwrapped(raw, believed.ticks), arrival_ns });
        }
        self.doubt = Some(doubt);
        PictureTime { ticks: self.given, guessed: true }
    }

    /// Converts a timestamp from elsewhere, such as a sender report, to the time line of the pictures.
    pub(super) fn place(&self, raw: i64) -> i64 {
        self.believed.map_or(raw, |believed| unwrapped(raw, believed.ticks))
    }

    fn begin_doubt(&mut self, believed: Seen, seen: Seen) -> Doubt {
        // With reordering, half a step: between the times of two other pictures.
        let step = self.step.unwrap_or(self.ticks_per_s / DEFAULT_FPS);
        let step = if self.reordered { step / 2 } else { step };
        self.given += step.max(1);
        // If many in a row have unrelated timestamps, follow the time that passed.
        let passed_ns = seen.arrival_ns.saturating_sub(believed.arrival_ns);
        if passed_ns >= MIN_HELD_NS {
            self.given = self.given.max(believed.ticks.saturating_add(self.ticks(passed_ns)));
        }
        Doubt { last: seen, began_ns: seen.arrival_ns, pictures: 1 }
    }

    fn believe(&mut self, seen: Seen) -> PictureTime {
        if let Some(believed) = self.believed.filter(|_| self.doubt.is_none()) {
            self.learn(seen.ticks.saturating_sub(believed.ticks));
        }
        self.believed = Some(seen);
        self.given = seen.ticks;
        self.doubt = None;
        PictureTime { ticks: seen.ticks, guessed: false }
    }

    /// Whether one picture's time is plausible after another's.
    fn follows(&self, before: Seen, next: Seen) -> bool {
        let step = next.ticks.saturating_sub(before.ticks);
        let most = MAX_STEP_S * self.ticks_per_s;
        let passed = self.ticks(next.arrival_ns.saturating_sub(before.arrival_ns));
        step >= -most && step <= passed.saturating_add(most)
    }

    /// A step on a new time line, made positive unless pictures are reordered.
    fn forwards(&self, step: i64) -> i64 {
        if self.reordered { step } else { step.max(1) }
    }

    fn learn(&mut self, step: i64) {
        if step <= 0 {
            return;
        }
        let (count, least) = (self.since.0 + 1, self.since.1.min(step));
        if self.step.is_none_or(|shortest| step <= shortest) {
            (self.step, self.since) = (Some(step), (0, i64::MAX));
        } else if count >= LATEST {
            (self.step, self.since) = (Some(least), (0, i64::MAX));
        } else {
            self.since = (count, least);
        }
    }

    fn ticks(&self, ns: u64) -> i64 {
        let ticks = i128::from(ns) * i128::from(self.ticks_per_s) / 1_000_000_000;
        i64::try_from(ticks).unwrap_or(i64::MAX)
    }
}

/// The value nearest to `near` with the same lower 32 bits as `raw`.
fn unwrapped(raw: i64, near: i64) -> i64 {
    // Truncated on purpose: RTP's timestamp is modulo 2^32 (RFC 3550, 5.1).
    #[expect(clippy::cast_possible_truncation)]
    let step = raw.wrapping_sub(near) as i32;
    near.saturating_add(i64::from(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HZ: i64 = 90_000;
    const FRAME: i64 = HZ / 15;
    const FRAME_NS: u64 = 1_000_000_000 / 15;

    fn outliers() -> Outliers {
        Outliers::new(90_000, false)
    }

    /// The times of pictures at 15 a second, with timestamps `FRAME` ticks apart plus `off`.
    fn times(off: impl Fn(i64) -> i64, pictures: i64) -> Vec<PictureTime> {
        times_of(&mut outliers(), off, pictures)
    }

    fn times_of(line: &mut Outliers, off: impl Fn(i64) -> i64, pictures: i64) -> Vec<PictureTime> {
        let at = |n: i64| n.unsigned_abs() * FRAME_NS + (n % 3).unsigned_abs() * 5_000_000;
        (0..pictures).map(|n| line.next(n * FRAME + off(n), at(n))).collect()
    }

    fn assert_risen(times: &[PictureTime]) {
        assert!(times.windows(2).all(|pair| pair[0].ticks < pair[1].ticks), "{times:?}");
    }

    /// Checks that only pictures that are off have guessed times, and that all times increase.
    fn assert_others_kept(times: &[PictureTime], is_off: impl Fn(i64) -> bool) {
        assert_risen(times);
        for (n, time) in (0..).zip(times) {
            assert_eq!(time.guessed, is_off(n), "{n}: {time:?}");
            assert!(time.guessed || time.ticks == n * FRAME, "{n}: {time:?}");
        }
    }

    #[test]
    fn single_pictures_hours_off_change_no_other_time() {
        for seconds in [-9800, 37_600, 11, -11, 23_860, -23_861, i64::from(i32::MAX) / HZ] {
            let is_off = |n: i64| n % 30 == 29;
            let off = |n| if is_off(n) { seconds * HZ } else { 0 };
            assert_others_kept(&times(off, 200), is_off);
            // The same with RTP's 32 bits, including a wrap.
            let mut line = outliers();
            let start = (1_i64 << 32) - 20 * FRAME;
            let wrapped = |n| (start + n * FRAME + off(n)) % (1 << 32) - n * FRAME;
            let times = times_of(&mut line, wrapped, 200);
            let first = times[0].ticks;
            let from_first: Vec<_> = times
                .iter()
                .map(|time| PictureTime { ticks: time.ticks - first, ..*time })
                .collect();
            assert_others_kept(&from_first, is_off);
        }
    }

    #[test]
    fn an_outlier_by_half_the_range_causes_no_lasting_shift() {
        for ticks in [1 << 31, (1 << 31) - FRAME, (1 << 31) - 1, (1 << 31) + 1] {
            let off = |n| if n == 40 { ticks } else { 0 };
            assert_others_kept(&times(off, 80), |n| n == 40);
        }
    }

    #[test]
    fn two_outliers_in_a_row_change_no_other_time() {
        // Both off by the same amount, or by different ones.
        for second in [3600, 7200, -3600] {
            let off = |n| match n {
                40 => 3600 * HZ,
                41 => second * HZ,
                _ => 0,
            };
            assert_others_kept(&times(off, 80), |n| n == 40 || n == 41);
        }
    }

    #[test]
    fn every_second_picture_may_be_an_outlier() {
        let is_off = |n: i64| n % 2 == 1;
        assert_others_kept(&times(|n| if is_off(n) { 3600 * HZ } else { 0 }, 300), is_off);
    }

    #[test]
    fn a_set_clock_is_accepted_after_a_second() {
        for ticks in [3600 * HZ, -3600 * HZ] {
            let off = |n| if n >= 100 { ticks } else { 0 };
            let times = times(off, 200);
            assert_risen(&times[..116]);
            let guessed = times.iter().filter(|time| time.guessed).count();
            assert_eq!(guessed, times[100..].iter().take_while(|time| time.guessed).count());
            assert!((15..=17).contains(&guessed), "{guessed}");
            // Until then, times keep the spacing of the timestamps.
            assert!(times[100..115].windows(2).all(|pair| pair[1].ticks - pair[0].ticks == FRAME));
            for (n, time) in (0..).zip(&times).skip(100 + guessed) {
                assert_eq!(time.ticks, n * FRAME + ticks);
            }
        }
    }

    #[test]
    fn times_of_slow_cameras_are_accepted() {
        let mut line = outliers();
        for n in 0..10_i64 {
            let raw = n * 60 * HZ;
            let stamp = line.next(raw, n.unsigned_abs() * 60_000_000_000 + 7_000_000);
            assert_eq!(stamp, PictureTime { ticks: raw, guessed: false });
        }
        // A timestamp that is off by hours is not.
        assert!(line.next(99 * 60 * HZ, 600_000_000_000).guessed);
        assert_eq!(line.next(660 * HZ, 660_000_000_000).ticks, 660 * HZ);
    }

    #[test]
    fn small_steps_back_are_accepted() {
        let mut line = outliers();
        for (n, raw) in (0_u64..).zip([0, 3, 1, 2, 6, 4, 5, 5, 5].map(|n| n * FRAME)) {
            assert_eq!(line.next(raw, n * FRAME_NS), PictureTime { ticks: raw, guessed: false });
        }
    }

    #[test]
    fn guessed_times_are_unique_among_reordered_pictures() {
        let order = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8];
        for off in 1..order.len() {
            let mut line = Outliers::new(90_000, true);
            let times: Vec<_> = order
                .iter()
                .enumerate()
                .map(|(n, &position)| {
                    let far = if n == off { -9800 * HZ } else { 0 };
                    line.next(position * FRAME + far, n as u64 * FRAME_NS)
                })
                .collect();
            let mut sorted: Vec<_> = times.iter().map(|time| time.ticks).collect();
            sorted.sort_unstable();
            assert!(sorted.windows(2).all(|pair| pair[0] < pair[1]), "{off}: {times:?}");
            for (n, time) in times.iter().enumerate().filter(|(n, _)| *n != off) {
                assert_eq!(time.ticks, order[n] * FRAME, "{off}");
            }
        }
    }

    #[test]
    fn unrelated_timestamps_follow_the_time_that_passed() {
        let mut line = outliers();
        let mut last = line.next(0, 0).ticks;
        for n in 1..600_u64 {
            // All far from each other and from the first.
            let raw = if n % 2 == 0 { 20_000 * HZ } else { 40_000 * HZ }
                + n as i64 * 700 * HZ % (90 * HZ);
            let stamp = line.next(raw, n * FRAME_NS);
            assert!(stamp.ticks > last, "{n}: {stamp:?} {last}");
            last = stamp.ticks;
        }
        assert!((last - 600 * FRAME).abs() < HZ, "{last}");
    }

    #[test]
    fn reports_are_converted_to_the_pictures_time_line() {
        let mut line = outliers();
        assert_eq!(line.place(7), 7);
        line.next((1 << 32) - 10, 0);
        assert_eq!(line.place(5), (1 << 32) + 5);
        for extreme in [i64::MIN, i64::MAX, 0, -1] {
            line.next(extreme, u64::MAX);
            line.place(extreme);
        }
    }
}
