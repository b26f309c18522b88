//! Aligns sound with the pictures of a file. Pure: no clock, no I/O.
//!
//! Within a file, sound follows only its own timestamps, so that it never stutters. It is aligned with the pictures
//! at the beginning of each file, so that drifting clocks do not separate them.

use vas_request::Fraction;

/// Longest plausible step of the timestamps; after a longer one, or one back, sound is aligned again.
const MAX_STEP_NS: i64 = 2_000_000_000;

/// The time of a packet on each clock that the source has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// Presentation time on the source's time line.
    pub pts_ns: Option<i64>,
    /// Capture time by the camera's wall clock.
    pub wall_clock_ns: Option<i64>,
    /// Arrival.
    pub arrival_ns: u64,
}

/// Maps the timestamps of sound to times in one file.
#[derive(Clone, Debug)]
pub struct SoundLine {
    time_base: Fraction,
    same_scale: bool,
    /// The first picture, and its time in the file.
    picture: (Moment, i64),
    /// Source ticks minus ticks in the file; `None` before the first packet.
    offset: Option<i64>,
    last: Option<i64>,
}

impl SoundLine {
    /// For a file whose first picture has the presentation time `file_ns` in it. Sound has ticks of `time_base`.
    pub fn new(time_base: Fraction, same_scale: bool, picture: Moment, file_ns: i64) -> Self {
        Self { time_base, same_scale, picture: (picture, file_ns), offset: None, last: None }
    }

    /// The ticks in the file of a packet with the timestamp `ticks`; `None` if it is older than the file.
    pub fn place(&mut self, ticks: Option<i64>, at: Moment) -> Option<i64> {
        let ticks = ticks?;
        let offset = match (self.offset, self.last) {
            (Some(offset), Some(last)) if self.follows(ticks - offset - last) => offset,
            _ => ticks.saturating_sub(self.ticks(self.align(at))),
        };
        let placed = ticks.saturating_sub(offset);
        if placed < 0 || self.last.is_some_and(|last| placed <= last) {
            return None;
        }
        (self.offset, self.last) = (Some(offset), Some(placed));
        Some(placed)
    }

    /// Nanoseconds from the file's beginning, by the best clock that sound and pictures share.
    fn align(&self, at: Moment) -> i64 {
        let (picture, file_ns) = self.picture;
        let arrived = || {
            let ns = |ns| i64::try_from(ns).unwrap_or(i64::MAX);
            ns(at.arrival_ns).saturating_sub(ns(picture.arrival_ns))
        };
        let same = if self.same_scale { at.pts_ns.zip(picture.pts_ns) } else { None };
        let wall = at.wall_clock_ns.zip(picture.wall_clock_ns);
        let since = same.or(wall).map_or_else(arrived, |(sound, picture)| sound - picture);
        // If the camera's clocks contradict each other, arrival decides.
        let since = if (since - arrived()).abs() > MAX_STEP_NS { arrived() } else { since };
        file_ns.saturating_add(since)
    }

    fn follows(&self, step: i64) -> bool {
        step > 0 && self.time_base.ticks_to_ns(step).is_some_and(|ns| ns <= MAX_STEP_NS)
    }

    fn ticks(&self, ns: i64) -> i64 {
        let per_second = i128::from(self.time_base.den());
        let ticks =
            i128::from(ns) * per_second / (1_000_000_000 * i128::from(self.time_base.num()));
        i64::try_from(ticks).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn line(same_scale: bool, wall_clock_ns: Option<i64>) -> SoundLine {
        let picture =
            Moment { pts_ns: Some(7 * SECOND), wall_clock_ns, arrival_ns: 100_000_000_000 };
        SoundLine::new(Fraction::new(1, 8000).unwrap(), same_scale, picture, 0)
    }

    fn sound(pts_ns: i64, wall_clock_ns: Option<i64>, arrival_ns: u64) -> Moment {
        Moment { pts_ns: Some(pts_ns), wall_clock_ns, arrival_ns }
    }

    #[test]
    fn sound_is_aligned_by_the_best_common_clock() {
        let arrived = 100_500_000_000;
        let scale = sound(7 * SECOND + SECOND / 4, None, arrived);
        assert_eq!(line(true, None).place(Some(800), scale), Some(2000));
        // Without a common time line: the camera's clock if both have it, otherwise arrival.
        let wall = sound(0, Some(90 * SECOND + SECOND / 8), arrived);
        assert_eq!(line(false, Some(90 * SECOND)).place(Some(800), wall), Some(1000));
        assert_eq!(line(false, None).place(Some(800), wall), Some(4000));
        // A clock that is off by an hour is ignored.
        let off = sound(0, Some(3690 * SECOND), arrived);
        assert_eq!(line(false, Some(90 * SECOND)).place(Some(800), off), Some(4000));
    }

    #[test]
    fn sound_follows_its_own_timestamps_within_a_file() {
        let mut line = line(false, None);
        assert_eq!(line.place(Some(0), sound(0, None, 99_900_000_000)), None);
        assert_eq!(line.place(Some(800), sound(0, None, 100_000_000_000)), Some(0));
        assert_eq!(line.place(Some(960), sound(0, None, 100_700_000_000)), Some(160));
        assert_eq!(line.place(None, sound(0, None, 100_700_000_000)), None);
        // Its timestamps restart: align it again.
        assert_eq!(line.place(Some(5), sound(0, None, 101_000_000_000)), Some(8000));
        assert_eq!(line.place(Some(165), sound(0, None, 101_500_000_000)), Some(8160));
    }
}
