//! Converts a source's timestamps to timestamps that are valid in a file. Pure: no clock, no I/O.
//!
//! In a file, decoding times must increase, and no picture may be presented before it is decoded. A camera may omit
//! the times of its first packets, send decoding times for some packets or none, and occasionally restarts its time
//! line.

use std::time::Duration;

use vas_request::Fraction;

/// Longest plausible step of a camera's time line beyond the time that passed. After a longer one, or one back, the time
/// line counts as restarted.
const MAX_STEP: Duration = Duration::from_secs(10);
/// Most pictures that a source holds back for reordering (`MAX_REORDER_DELAY` of FFmpeg).
const MAX_DELAY: usize = 16;
/// Frame rate if none is stated.
const DEFAULT_FPS: u32 = 25;

/// A packet's times from the source, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawTimes {
    /// Presentation time.
    pub pts: Option<i64>,
    /// Decoding time.
    pub dts: Option<i64>,
}

/// A packet's times in a file, in ticks since the first packet of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Presentation time; never before `dts`.
    pub pts: i64,
    /// Decoding time; after that of the previous packet.
    pub dts: i64,
    /// Whether the source's time line restarted here, so that the time since the previous packet is a guess.
    pub jump: bool,
}

/// The time line of one stream.
#[derive(Clone, Debug)]
pub struct Timeline {
    time_base: Fraction,
    /// Duration of a picture if it is not known otherwise.
    nominal: i64,
    max_step: i64,
    /// Source time minus time in the file; `None` before the first source time.
    offset: Option<i64>,
    last: Option<i64>,
    /// Arrival of the last packet.
    arrival_ns: u64,
    reorder: Reorder,
}

/// Derives decoding times from presentation times: the earliest of the latest `delay` + 1.
#[derive(Clone, Debug)]
struct Reorder {
    delay: usize,
    /// Ascending.
    latest: Vec<i64>,
}

impl Timeline {
    /// A time line in ticks of `time_base`, for pictures at `fps` of which up to `delay` are held back for reordering, as
    /// far as is known.
    pub fn new(time_base: Fraction, fps: Option<Fraction>, delay: usize) -> Self {
        let ticks = |ns| ticks(time_base, ns);
        let fps = fps.or(Fraction::new(DEFAULT_FPS, 1));
        let frame_ns = fps.map_or(40_000_000, Fraction::frame_ns);
        Self {
            time_base,
            nominal: ticks(frame_ns).max(1),
            max_step: ticks(MAX_STEP.as_nanos() as u64).max(1),
            offset: None,
            last: None,
            arrival_ns: 0,
            reorder: Reorder { delay: delay.min(MAX_DELAY), latest: Vec::new() },
        }
    }

    /// The duration of a picture if it is not known otherwise, in ticks.
    pub fn nominal(&self) -> i64 {
        self.nominal
    }

    /// Whether the first packets of a stream are enough to determine the times of all of them: one has a decoding
    /// time, or none will.
    pub fn lead_is_known(lead: &[RawTimes]) -> bool {
        lead.len() > MAX_DELAY || lead.last().is_some_and(|times| times.dts.is_some())
    }

    /// Fills in the missing times of a stream's first packets, counting back from the last of them.
    pub fn fill_lead(&self, lead: &mut [RawTimes]) {
        let Some(mut next) = lead.last().and_then(|times| times.dts.or(times.pts)) else { return };
        for times in lead.iter_mut().rev().skip(1) {
            let dts = times.dts.unwrap_or(next.saturating_sub(self.nominal));
            let delay = self.nominal.saturating_mul(self.reorder.delay as i64);
            *times = RawTimes {
                pts: Some(times.pts.unwrap_or(dts.saturating_add(delay))),
                dts: Some(dts),
            };
            next = dts;
        }
    }

    /// Converts ticks to a duration; zero if negative.
    pub fn duration(&self, ticks: i64) -> Duration {
        let ns = self.time_base.ticks_to_ns(ticks).unwrap_or(i64::MAX);
        Duration::from_nanos(u64::try_from(ns).unwrap_or(0))
    }

    /// The times in the file of the next packet, in decoding order, which arrived at `arrival_ns`.
    pub fn place(&mut self, raw: RawTimes, arrival_ns: u64) -> Placed {
        let passed = ticks(self.time_base, arrival_ns.saturating_sub(self.arrival_ns));
        self.arrival_ns = arrival_ns;
        let next = self.last.map_or(0, |last| last + self.nominal);
        let given = match (raw.pts, raw.dts) {
            (Some(pts), Some(dts)) => Some((pts, dts)),
            (Some(pts), None) => Some((pts, self.reorder.decode_time(pts, self.nominal))),
            (None, Some(dts)) => Some((dts, dts)),
            (None, None) => None,
        };
        let Some((pts, dts)) = given else {
            self.last = Some(next);
            return Placed { pts: next, dts: next, jump: false };
        };
        let mut jump = false;
        let mut offset = *self.offset.get_or_insert(dts.saturating_sub(next));
        if let Some(last) = self.last {
            let step = dts.saturating_sub(offset).saturating_sub(last);
            if step < -self.max_step || step > self.max_step.saturating_add(passed) {
                jump = true;
                offset = dts.saturating_sub(next);
                self.offset = Some(offset);
            }
        }
        let dts = dts.saturating_sub(offset).max(self.last.map_or(0, |last| last + 1));
        let mut pts = pts.saturating_sub(offset);
        if pts < dts {
            // The source holds back more pictures than was known.
            self.reorder.deepen();
            pts = dts;
        }
        self.last = Some(dts);
        Placed { pts, dts, jump }
    }
}

fn ticks(time_base: Fraction, ns: u64) -> i64 {
    let tick_ns = time_base.ticks_to_ns(1).unwrap_or(1).max(1);
    i64::try_from(ns).unwrap_or(i64::MAX) / tick_ns
}

impl Reorder {
    fn decode_time(&mut self, pts: i64, nominal: i64) -> i64 {
        if self.latest.is_empty() {
            let before = (1..=self.delay as i64).rev();
            self.latest.extend(before.map(|n| pts.saturating_sub(n.saturating_mul(nominal))));
        }
        let at = self.latest.partition_point(|&earlier| earlier <= pts);
        self.latest.insert(at, pts);
        while self.latest.len() > self.delay + 1 {
            self.latest.remove(0);
        }
        self.latest[0]
    }

    fn deepen(&mut self) {
        self.delay = (self.delay + 1).min(MAX_DELAY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: i64 = 3600;

    fn timeline(delay: usize) -> Timeline {
        Timeline::new(Fraction::new(1, 90_000).unwrap(), Fraction::new(25, 1), delay)
    }

    fn place(timeline: &mut Timeline, pts: Option<i64>, dts: Option<i64>) -> (i64, i64, bool) {
        let Placed { pts, dts, jump } = timeline.place(RawTimes { pts, dts }, 0);
        (pts, dts, jump)
    }

    #[test]
    fn first_packets_without_times_precede_the_first_that_has_one() {
        let mut line = timeline(0);
        assert_eq!(place(&mut line, None, None), (0, 0, false));
        assert_eq!(place(&mut line, None, None), (FRAME, FRAME, false));
        let far = 1 << 40;
        assert_eq!(place(&mut line, Some(far), Some(far)), (2 * FRAME, 2 * FRAME, false));
        let next = Some(far + 4000);
        assert_eq!(place(&mut line, next, next), (2 * FRAME + 4000, 2 * FRAME + 4000, false));
        // A later packet without a time follows the previous one.
        assert_eq!(place(&mut line, None, None), (3 * FRAME + 4000, 3 * FRAME + 4000, false));
    }

    #[test]
    fn missing_times_of_first_packets_are_counted_back() {
        let line = timeline(2);
        let at = |n: i64| Some(n * FRAME);
        // From FFmpeg's RTSP demuxer for I P B B P B B.
        let mut lead = [
            RawTimes { pts: None, dts: None },
            RawTimes { pts: at(3), dts: None },
            RawTimes { pts: at(1), dts: None },
            RawTimes { pts: at(2), dts: at(1) },
        ];
        assert!((1..4).all(|n| !Timeline::lead_is_known(&lead[..n])));
        assert!(Timeline::lead_is_known(&lead));
        line.fill_lead(&mut lead);
        assert_eq!(lead.map(|times| times.dts), [at(-2), at(-1), at(0), at(1)]);
        assert_eq!(lead.map(|times| times.pts), [at(0), at(3), at(1), at(2)]);
        // Without any time, the search ends, and the packets stay as they are.
        let mut none = [RawTimes::default(); MAX_DELAY + 1];
        assert!(Timeline::lead_is_known(&none) && !Timeline::lead_is_known(&none[1..]));
        line.fill_lead(&mut none);
        assert_eq!(none, [RawTimes::default(); MAX_DELAY + 1]);
    }

    #[test]
    fn decoding_times_follow_from_presentation_times() {
        for known in [2, 0] {
            let mut line = timeline(known);
            let mut last = -1;
            let mut late = 0;
            // I P B B P B B, presented in the order 0 3 1 2 6 4 5.
            for group in 0..10 {
                for n in [0, 3, 1, 2, 6, 4, 5] {
                    let pts = (group * 7 + n) * FRAME;
                    let placed = line.place(RawTimes { pts: Some(pts), dts: None }, 0);
                    assert!(placed.dts > last && placed.pts >= placed.dts, "{placed:?}");
                    assert!(!placed.jump);
                    last = placed.dts;
                    late += u32::from(group > 1 && placed.pts - placed.dts > 9 * FRAME);
                }
            }
            assert_eq!(late, 0);
            assert!((65 * FRAME..=70 * FRAME).contains(&last), "{}", last / FRAME);
        }
    }

    #[test]
    fn with_a_known_delay_every_picture_keeps_its_time() {
        let mut line = timeline(2);
        let placed: Vec<_> = [0, 3, 1, 2, 6, 4, 5]
            .map(|n| line.place(RawTimes { pts: Some(n * FRAME), dts: None }, 0))
            .to_vec();
        let order: Vec<_> =
            placed.iter().map(|times| (times.pts - placed[0].pts) / FRAME).collect();
        assert_eq!(order, [0, 3, 1, 2, 6, 4, 5]);
    }

    #[test]
    fn a_restarted_time_line_continues_and_is_reported() {
        let mut line = timeline(0);
        let mut at = |time: i64| place(&mut line, Some(time), Some(time));
        assert_eq!(at(0), (0, 0, false));
        assert_eq!(at(90_000 * 9), (90_000 * 9, 90_000 * 9, false));
        let next = 90_000 * 9 + FRAME;
        assert_eq!(at(90_000 * 3600), (next, next, true));
        assert_eq!(at(90_000 * 3600 + 10), (next + 10, next + 10, false));
        assert_eq!(at(5), (next + 10 + FRAME, next + 10 + FRAME, true));
        for extreme in [i64::MAX, i64::MIN, 0, i64::MIN + 1] {
            at(extreme);
        }
    }

    #[test]
    fn one_picture_a_minute_is_not_a_jump() {
        let mut line = timeline(0);
        for n in 0..5 {
            let ticks = n * 60 * 90_000;
            let times = RawTimes { pts: Some(ticks), dts: Some(ticks) };
            let arrival_ns = 7_000_000_000 + n.unsigned_abs() * 60_000_000_000;
            assert_eq!(
                line.place(times, arrival_ns),
                Placed { pts: ticks, dts: ticks, jump: false }
            );
        }
    }

    #[test]
    fn decoding_times_always_increase() {
        let mut line = timeline(0);
        assert_eq!(place(&mut line, Some(9000), Some(9000)), (0, 0, false));
        assert_eq!(place(&mut line, Some(9000), Some(9000)), (1, 1, false));
        assert_eq!(place(&mut line, Some(8000), Some(8000)), (2, 2, false));
        assert_eq!(place(&mut line, None, Some(12_600)), (3600, 3600, false));
    }
}
