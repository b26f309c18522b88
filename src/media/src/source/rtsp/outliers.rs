//! Pictures whose RTP timestamp has nothing to do with its neighbours'. Pure: arrival is an argument.
//!
//! Some cameras and recorders stamp single pictures hours off. One such picture gets a time out of its
//! neighbours', and theirs stay as they are. A camera that goes on from there has set its clock: its times are
//! believed once they have gone on for a while, and from then on given as they are.

/// Longest step, beyond the time that passed, that is believed at once, in seconds; the same back. A camera may send
/// what it kept at once, or skip what it could not send.
const MAX_STEP_S: i64 = 10;
/// How many pictures must follow each other on another time line before it is the camera's,
const MIN_PICTURES: u32 = 3;
/// and for how long.
const MIN_HELD_NS: u64 = 1_000_000_000;
/// The rate that is assumed where nothing is known yet.
const DEFAULT_FPS: i64 = 25;

/// The time of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PictureTime {
    /// In ticks; RTP's 32 bits are unwrapped.
    pub(super) ticks: i64,
    /// Whether the time was made out of the neighbours', since its own is not believed.
    pub(super) guessed: bool,
}

/// Gives the pictures of one track their times.
#[derive(Clone, Debug)]
pub(super) struct Outliers {
    ticks_per_s: i64,
    /// Whether pictures may be shown in another order than they come.
    reordered: bool,
    /// The last picture whose time was believed.
    believed: Option<Seen>,
    /// The time that was given out last.
    given: i64,
    /// The shortest of the latest steps from a picture to the next, once there was one.
    step: Option<i64>,
    /// Steps since a shorter one than `step`, and the shortest of them.
    since: (u32, i64),
    doubt: Option<Doubt>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    ticks: i64,
    arrival_ns: u64,
}

/// Another time line, on which pictures came since the last one that was believed.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    last: Seen,
    began_ns: u64,
    pictures: u32,
}

/// For how many pictures a step counts as one of the latest.
const LATEST: u32 = 32;

impl Outliers {
    /// For a track with so many ticks a second.
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

    /// The time of the next picture, in decoding order, that is stamped with `raw` (all that counts are its lower
    /// 32 bits) and began to arrive at `arrival_ns`.
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

    /// A moment that was stamped otherwise, as with a sender report, on the scale of the pictures' times.
    pub(super) fn place(&self, raw: i64) -> i64 {
        self.believed.map_or(raw, |believed| unwrapped(raw, believed.ticks))
    }

    fn begin_doubt(&mut self, believed: Seen, seen: Seen) -> Doubt {
        // Between two others' times, where it may be shown before the picture that came before it.
        let step = self.step.unwrap_or(self.ticks_per_s / DEFAULT_FPS);
        let step = if self.reordered { step / 2 } else { step };
        self.given += step.max(1);
        // Many in a row, each on a line of its own: held to the time that passed.
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

    /// Whether a picture may come next after another.
    fn follows(&self, before: Seen, next: Seen) -> bool {
        let step = next.ticks.saturating_sub(before.ticks);
        let most = MAX_STEP_S * self.ticks_per_s;
        let passed = self.ticks(next.arrival_ns.saturating_sub(before.arrival_ns));
        step >= -most && step <= passed.saturating_add(most)
    }

    /// A step on another line, as one of the times given out, which go back where pictures are reordered only.
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

/// The moment that is nearest to `near` of all those that 32 bits tell as they tell `raw`.
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

    /// The times of pictures that come at 15 a second, stamped `FRAME` ticks apart but for what `off` adds.
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

    /// All pictures but those that are off have their own times, and all times rise.
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
            // And as the 32 bits of RTP have it, around their wrap too.
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
    fn half_the_range_of_32_bits_off_is_no_lasting_shift() {
        for ticks in [1 << 31, (1 << 31) - FRAME, (1 << 31) - 1, (1 << 31) + 1] {
            let off = |n| if n == 40 { ticks } else { 0 };
            assert_others_kept(&times(off, 80), |n| n == 40);
        }
    }

    #[test]
    fn two_in_a_row_change_no_other_time() {
        // Both as far off, or each its own.
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
    fn every_second_picture_on_a_line_of_its_own_is_told_from_the_others() {
        let is_off = |n: i64| n % 2 == 1;
        assert_others_kept(&times(|n| if is_off(n) { 3600 * HZ } else { 0 }, 300), is_off);
    }

    #[test]
    fn a_clock_that_was_set_is_believed_after_a_second() {
        for ticks in [3600 * HZ, -3600 * HZ] {
            let off = |n| if n >= 100 { ticks } else { 0 };
            let times = times(off, 200);
            assert_risen(&times[..116]);
            let guessed = times.iter().filter(|time| time.guessed).count();
            assert_eq!(guessed, times[100..].iter().take_while(|time| time.guessed).count());
            assert!((15..=17).contains(&guessed), "{guessed}");
            // Meanwhile they are as far apart as they are stamped.
            assert!(times[100..115].windows(2).all(|pair| pair[1].ticks - pair[0].ticks == FRAME));
            for (n, time) in (0..).zip(&times).skip(100 + guessed) {
                assert_eq!(time.ticks, n * FRAME + ticks);
            }
        }
    }

    #[test]
    fn a_slow_camera_is_believed() {
        let mut line = outliers();
        for n in 0..10_i64 {
            let raw = n * 60 * HZ;
            let stamp = line.next(raw, n.unsigned_abs() * 60_000_000_000 + 7_000_000);
            assert_eq!(stamp, PictureTime { ticks: raw, guessed: false });
        }
        // Hours off it is not.
        assert!(line.next(99 * 60 * HZ, 600_000_000_000).guessed);
        assert_eq!(line.next(660 * HZ, 660_000_000_000).ticks, 660 * HZ);
    }

    #[test]
    fn what_stands_still_or_goes_back_a_little_is_the_cameras_own() {
        let mut line = outliers();
        for (n, raw) in (0_u64..).zip([0, 3, 1, 2, 6, 4, 5, 5, 5].map(|n| n * FRAME)) {
            assert_eq!(line.next(raw, n * FRAME_NS), PictureTime { ticks: raw, guessed: false });
        }
    }

    #[test]
    fn among_reordered_pictures_no_other_has_the_time_that_is_made_up() {
        let order = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8];
        for off in 1..order.len() {
            let mut line = Outliers::new(90_000, true);
            let times: Vec<_> = order
                .iter()
                .enumerate()
                .map(|(n, &shown)| {
                    let far = if n == off { -9800 * HZ } else { 0 };
                    line.next(shown * FRAME + far, n as u64 * FRAME_NS)
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
    fn stamps_without_any_line_are_held_to_the_time_that_passed() {
        let mut line = outliers();
        let mut last = line.next(0, 0).ticks;
        for n in 1..600_u64 {
            // Far from each other and from the first.
            let raw = if n % 2 == 0 { 20_000 * HZ } else { 40_000 * HZ }
                + n as i64 * 700 * HZ % (90 * HZ);
            let stamp = line.next(raw, n * FRAME_NS);
            assert!(stamp.ticks > last, "{n}: {stamp:?} {last}");
            last = stamp.ticks;
        }
        assert!((last - 600 * FRAME).abs() < HZ, "{last}");
    }

    #[test]
    fn reports_lie_on_the_scale_of_the_pictures() {
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
