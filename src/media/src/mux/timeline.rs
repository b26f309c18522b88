//! From the timestamps that a source gives to timestamps that a file can have. Pure: no clock, no I/O.
//!
//! A file wants each decode time above the one before, and no picture shown before it is decoded. A camera
//! gives its first packets no times, gives decode times for some packets only, or none at all, and now and
//! then begins its time line anew.

use std::time::Duration;

use crate::fraction::Fraction;

/// Longest step of a camera's time line that is believed, beyond the time that passed; a longer one, or one back,
/// begins it anew.
const MAX_STEP: Duration = Duration::from_secs(10);
/// Pictures that a source may hold back for reordering (`MAX_REORDER_DELAY` of FFmpeg).
const MAX_DELAY: usize = 16;
/// Rate that is assumed where none is stated.
const DEFAULT_FPS: u32 = 25;

/// Times of a packet as the source gave them, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawTimes {
    /// When it is to be shown.
    pub pts: Option<i64>,
    /// When it is to be decoded.
    pub dts: Option<i64>,
}

/// Times that a file can have, in ticks from the first packet of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// When it is shown; never before `dts`.
    pub pts: i64,
    /// When it is decoded; above that of the packet before.
    pub dts: i64,
    /// Whether the source's time line began anew here, so that the time since the packet before is a guess.
    pub jump: bool,
}

/// The time line of one stream.
#[derive(Clone, Debug)]
pub struct Timeline {
    time_base: Fraction,
    /// What a picture lasts where nothing better is known.
    nominal: i64,
    max_step: i64,
    /// Given time minus placed time; `None` before the first given time.
    offset: Option<i64>,
    last: Option<i64>,
    /// When the last one arrived.
    arrival_ns: u64,
    reorder: Reorder,
}

/// Decode times out of the times when pictures are shown: of the latest `delay` + 1 of these, the earliest.
#[derive(Clone, Debug)]
struct Reorder {
    delay: usize,
    /// Ascending.
    latest: Vec<i64>,
}

impl Timeline {
    /// A time line in ticks of `time_base`, of pictures that come at `fps` and of which `delay` are held back
    /// for reordering, as far as these are known.
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

    /// What a picture lasts where nothing better is known, in ticks.
    pub fn nominal(&self) -> i64 {
        self.nominal
    }

    /// Whether the packets that a stream began with are enough to know the times of all of them: a decode time
    /// has come, or none will.
    pub fn lead_is_known(lead: &[RawTimes]) -> bool {
        lead.len() > MAX_DELAY || lead.last().is_some_and(|times| times.dts.is_some())
    }

    /// Gives those packets of a stream's start that have no times those that lead up to its last one's.
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

    /// How long so many ticks are; nothing for none or fewer.
    pub fn duration(&self, ticks: i64) -> Duration {
        let ns = self.time_base.ticks_to_ns(ticks).unwrap_or(i64::MAX);
        Duration::from_nanos(u64::try_from(ns).unwrap_or(0))
    }

    /// Places the next packet, in decoding order, which arrived at `arrival_ns`.
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
            // More is held back than was known.
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
    fn first_packets_without_times_lead_up_to_the_first_that_has_one() {
        let mut line = timeline(0);
        assert_eq!(place(&mut line, None, None), (0, 0, false));
        assert_eq!(place(&mut line, None, None), (FRAME, FRAME, false));
        let far = 1 << 40;
        assert_eq!(place(&mut line, Some(far), Some(far)), (2 * FRAME, 2 * FRAME, false));
        let next = Some(far + 4000);
        assert_eq!(place(&mut line, next, next), (2 * FRAME + 4000, 2 * FRAME + 4000, false));
        // And one in between is taken to follow.
        assert_eq!(place(&mut line, None, None), (3 * FRAME + 4000, 3 * FRAME + 4000, false));
    }

    #[test]
    fn a_lead_without_times_gets_those_of_the_camera() {
        let line = timeline(2);
        let at = |n: i64| Some(n * FRAME);
        // What FFmpeg's RTSP demuxer gives of I P B B P B B.
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
        // One without any ends, and is left as it is.
        let mut none = [RawTimes::default(); MAX_DELAY + 1];
        assert!(Timeline::lead_is_known(&none) && !Timeline::lead_is_known(&none[1..]));
        line.fill_lead(&mut none);
        assert_eq!(none, [RawTimes::default(); MAX_DELAY + 1]);
    }

    #[test]
    fn decode_times_come_out_of_the_order_of_showing() {
        for known in [2, 0] {
            let mut line = timeline(known);
            let mut last = -1;
            let mut late = 0;
            // I P B B P B B: shown 0 3 1 2 6 4 5.
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
        let shown: Vec<_> = [0, 3, 1, 2, 6, 4, 5]
            .map(|n| line.place(RawTimes { pts: Some(n * FRAME), dts: None }, 0))
            .to_vec();
        let apart: Vec<_> =
            shown.iter().map(|placed| (placed.pts - shown[0].pts) / FRAME).collect();
        assert_eq!(apart, [0, 3, 1, 2, 6, 4, 5]);
    }

    #[test]
    fn a_time_line_that_begins_anew_goes_on_and_is_told() {
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
    fn a_camera_of_a_picture_a_minute_goes_on_in_one_line() {
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
    fn times_never_stand_still_or_go_back_a_little() {
        let mut line = timeline(0);
        assert_eq!(place(&mut line, Some(9000), Some(9000)), (0, 0, false));
        assert_eq!(place(&mut line, Some(9000), Some(9000)), (1, 1, false));
        assert_eq!(place(&mut line, Some(8000), Some(8000)), (2, 2, false));
        assert_eq!(place(&mut line, None, Some(12_600)), (3600, 3600, false));
    }
}
