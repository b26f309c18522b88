//! The time on which a camera's frames are judged.

use crate::rate::{NS_PER_S, Rate};

/// Steps from which a cadence is learned: more than four seconds at 30 per second. With time stamps
/// in whole milliseconds, the mean of this many steps is within 1/4000 of the true one.
const WINDOW: u64 = 128;

/// Steps from which a mean that fits more tightly is accepted early: half a second for time stamps
/// in ticks of 90 kHz.
const FIRST_LOOK: u64 = 16;

/// A window whose mean is within one part in `USUAL` of a usual rate has that rate. This is half the
/// distance between 30 and 30000/1001.
const USUAL: u128 = 2000;

/// The highest rate that counts as a cadence.
const MAX_FPS: u32 = 1000;

/// Puts a camera's frames on a time line: the camera's own pace, bounded by real time.
///
/// A frame lies one step of the camera's time stamps after the frame before it, so that delays of the
/// network and of the decoder have no effect. But it never lies after its admission, nor more than
/// [`SLACK_NS`](Self::SLACK_NS) before it: a burst of late frames is judged as a burst. Hence a
/// consumer of at most `f` frames per second of this line gets at most `f * (t + SLACK_NS)`, rounded
/// up, of the frames admitted in any time `t`.
///
/// Once the camera's cadence is known, steps are taken from it: cameras stamp frames in ticks or
/// milliseconds, and a step rounded too short would cost a frame.
///
/// Keep one per camera and pass it every decoded frame, in order.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    last: Option<Last>,
    cadence: Option<Rate>,
    /// The part of the last step lost to rounding, in `1 / cadence.num()` nanoseconds.
    remainder: u128,
    window: Window,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    pts_ns: i64,
    gate_ns: u64,
}

/// A run of frames with rising times.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    span_ns: u64,
    steps: u64,
}

impl Timeline {
    /// How far a frame's time may lie before its admission.
    ///
    /// Two frames that delays push together by less keep their distance. This is also how much a
    /// second may hold beyond the maximum: up to 40 frames per second, one frame.
    pub const SLACK_NS: u64 = 25_000_000;

    /// Admits the next frame, with the presentation time `pts_ns`, at `admitted_ns` on the
    /// monotonic clock, and returns its time.
    ///
    /// The result is on the monotonic clock too. It does not go back as long as `admitted_ns`
    /// doesn't.
    pub fn admit(&mut self, pts_ns: Option<i64>, admitted_ns: u64) -> u64 {
        let gate_ns = match (self.last, pts_ns) {
            (Some(last), Some(pts_ns)) => self.follow(last, pts_ns, admitted_ns),
            _ => self.begin(admitted_ns),
        };
        self.last = pts_ns.map(|pts_ns| Last { pts_ns, gate_ns });
        gate_ns
    }

    /// Starts the line at the frame's admission.
    fn begin(&mut self, admitted_ns: u64) -> u64 {
        self.remainder = 0;
        self.window = Window::default();
        admitted_ns
    }

    fn follow(&mut self, last: Last, pts_ns: i64, admitted_ns: u64) -> u64 {
        let step_ns = pts_ns.checked_sub(last.pts_ns).and_then(|step| u64::try_from(step).ok());
        // The camera's time stood still or went back: restart the line.
        let Some(step_ns) = step_ns.filter(|step| *step > 0) else {
            return self.begin(admitted_ns);
        };
        self.learn(step_ns);
        let (step_ns, remainder) = self.even_out(step_ns);
        let paced_ns = last.gate_ns.saturating_add(step_ns);
        let earliest_ns = admitted_ns.saturating_sub(Self::SLACK_NS);
        let gate_ns = paced_ns.clamp(earliest_ns, admitted_ns);
        self.remainder = if gate_ns == paced_ns { remainder } else { 0 };
        gate_ns
    }

    /// Learns the cadence from a step. A window whose mean is not a usual rate, because frames are
    /// missing or because the camera has none, leaves the cadence as it is.
    fn learn(&mut self, step_ns: u64) {
        self.window.span_ns = self.window.span_ns.saturating_add(step_ns);
        self.window.steps += 1;
        if self.window.steps < FIRST_LOOK || !self.window.steps.is_power_of_two() {
            return;
        }
        if let Some(rate) = self.window.usual_rate()
            && self.cadence != Some(rate)
        {
            self.cadence = Some(rate);
            self.remainder = 0;
        }
        if self.window.steps == WINDOW {
            self.window = Window::default();
        }
    }

    /// The step rounded to a multiple of the cadence, in whole nanoseconds and a remainder; the step
    /// itself if it is far from any multiple.
    fn even_out(&self, step_ns: u64) -> (u64, u128) {
        let Some(rate) = self.cadence else { return (step_ns, 0) };
        let num = u128::from(rate.num());
        // Computed in 1/num nanoseconds, in which an interval is a whole number.
        let interval = u128::from(rate.den()) * u128::from(NS_PER_S);
        let step = u128::from(step_ns) * num;
        let frames = (step + interval / 2).checked_div(interval).unwrap_or(0);
        if frames == 0 || step.abs_diff(frames * interval) > interval / 4 {
            return (step_ns, 0);
        }
        let even = frames * interval + self.remainder;
        (u64::try_from(even / num).unwrap_or(u64::MAX), even % num)
    }
}

impl Window {
    /// The usual camera rate (whole, or of the NTSC family) that matches the window's mean.
    fn usual_rate(&self) -> Option<Rate> {
        let span = u128::from(self.span_ns);
        let total = u128::from(self.steps) * u128::from(NS_PER_S);
        let usual = USUAL * u128::from(WINDOW / self.steps.clamp(1, WINDOW));
        [(1, 1), (1000, 1001)]
            .into_iter()
            .filter_map(|(num, den): (u32, u32)| {
                // The multiple of `num / den` frames per second.
                let unit = span * u128::from(num);
                let whole = total * u128::from(den);
                let count = u32::try_from((whole + unit / 2).checked_div(unit)?).ok()?;
                let error = whole.abs_diff(u128::from(count) * unit);
                let rate = Rate::new(count.checked_mul(num)?, den)?;
                (count <= MAX_FPS && error * usual <= whole)
                    .then_some((error * 1001 / u128::from(den), rate))
            })
            .min_by_key(|(error, _)| *error)
            .map(|(_, rate)| rate)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    const MS: u64 = 1_000_000;
    const SLACK: u64 = Timeline::SLACK_NS;

    /// Admits frames, each given by the camera's time stamp and the delay until admission.
    fn admit(frames: impl IntoIterator<Item = (i64, u64)>) -> Vec<u64> {
        let mut timeline = Timeline::default();
        let admit = |(pts_ns, late_ns): (i64, u64)| {
            timeline.admit(Some(pts_ns), SLACK * 10 + pts_ns as u64 + late_ns)
        };
        frames.into_iter().map(admit).collect()
    }

    fn steps(times: &[u64]) -> Vec<u64> {
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    #[test]
    fn delays_within_the_slack_do_not_show() {
        let late = [0, 24 * MS, 3 * MS, 0, 17 * MS, 9 * MS];
        let times = admit((0..).map(|i| i * 40_000_000).zip(late));
        assert_eq!(steps(&times), [40 * MS; 5]);
    }

    #[test]
    fn a_burst_is_judged_as_a_burst() {
        // Ten frames held back and released at once, then one on time.
        let held = (0..10).map(|i| (i * 40_000_000, (400 - i as u64 * 40) * MS));
        let times = admit(held.chain([(400_000_000, 0), (440_000_000, 0)]));
        // The whole burst was admitted at one time, which is where the line starts.
        assert_eq!(times[..10].iter().max(), times.first());
        assert_eq!(steps(&times[9..]), [0, 40 * MS]);
    }

    #[test]
    fn the_first_frame_on_time_moves_the_line_back() {
        let times = admit([(0, 20 * MS), (40_000_000, 0), (80_000_000, 0), (120_000_000, 20 * MS)]);
        assert_eq!(steps(&times), [20 * MS, 40 * MS, 40 * MS]);
    }

    #[test]
    fn a_late_frame_moves_the_line_forward() {
        let times = admit([(0, 0), (40_000_000, 100 * MS), (80_000_000, 60 * MS)]);
        // The frame behind it is pulled back by no more than the slack.
        assert_eq!(steps(&times), [(40 + 100) * MS - SLACK, SLACK]);
    }

    #[test]
    fn without_time_stamps_admission_counts() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.admit(None, 7), 7);
        assert_eq!(timeline.admit(Some(0), 100 * MS), 100 * MS);
        // Stood still, went back, overflowed: the line restarts.
        for (pts, now) in [(0, 110), (-5, 120), (i64::MIN, 130), (i64::MAX, 140)] {
            assert_eq!(timeline.admit(Some(pts), now * MS), now * MS);
        }
        assert_eq!(timeline.admit(None, 150 * MS), 150 * MS);
    }

    /// How many of 300 frames, taken and admitted at `rate` and stamped by `stamp`, lie less than an
    /// interval after the last. Frames before the cadence is known are left out.
    fn short_steps(rate: Rate, stamp: impl Fn(i64) -> i64) -> usize {
        let mut timeline = Timeline::default();
        let times: Vec<u64> = (0..300)
            .map(|i| i * i64::from(rate.den()) * 1_000_000_000 / i64::from(rate.num()))
            .map(|exact| timeline.admit(Some(stamp(exact)), SLACK + exact as u64))
            .collect();
        let known = &steps(&times)[WINDOW as usize..];
        known.iter().filter(|step| **step < rate.interval_ns()).count()
    }

    #[test]
    fn a_cadence_is_learned_from_rounded_times() {
        for (num, den) in [(25, 1), (30, 1), (30000, 1001), (24000, 1001), (60, 1), (7, 1)] {
            let rate = Rate::new(num, den).unwrap();
            let ticks = |exact: i64| exact * 9 / 100_000 * 100_000 / 9;
            let ms = |exact: i64| exact / 1_000_000 * 1_000_000;
            assert_eq!(short_steps(rate, |exact| exact), 0, "{rate}");
            assert_eq!(short_steps(rate, ticks), 0, "{rate}");
            assert_eq!(short_steps(rate, ms), 0, "{rate}");
        }
    }

    #[test]
    fn a_cadence_that_the_camera_leaves_is_dropped() {
        let stamp =
            |i: i64| if i < 200 { i * 40_000_000 } else { 8_000_000_000 + (i - 200) * 52_345_678 };
        let times = admit((0..240).map(|i| (stamp(i), 0)));
        assert_eq!(steps(&times)[200..], [52_345_678; 39]);
    }

    fn rate_per_s(rate: Rate) -> u32 {
        rate.num().div_ceil(rate.den())
    }

    #[test]
    fn a_usual_rate_is_distinguished_from_its_neighbors() {
        let rate = |span_ns| Window { span_ns, steps: WINDOW }.usual_rate();
        let span = |rate: Rate| rate.interval_ns() * WINDOW;
        for (num, den) in [(30, 1), (30000, 1001), (60000, 1001), (60, 1), (1, 1), (1000, 1)] {
            let usual = Rate::new(num, den).unwrap();
            assert_eq!(rate(span(usual)), Some(usual));
            // A millisecond more or less in four seconds.
            if rate_per_s(usual) == 30 {
                assert_eq!(rate(span(usual) + MS), Some(usual));
                assert_eq!(rate(span(usual) - MS), Some(usual));
            }
        }
        // 12.5 is unusual, and so is a window that lacks a frame.
        assert_eq!(rate(80 * MS * WINDOW), None);
        assert_eq!(rate(40 * MS * (WINDOW + 1)), None);
        assert_eq!(rate(1), None);
        assert_eq!(rate(u64::MAX), None);
    }
}
