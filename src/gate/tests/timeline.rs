//! Properties of the time line for any camera and any network.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::collection::vec;
use proptest::prelude::*;
use vas_gate::{Limit, Rate, Stamp, State, Timeline, decide};

const MS: u64 = 1_000_000;
/// Published this far apart, frames are limited by the interval alone.
const S: u64 = 2_000_000_000;

/// The step of the camera's time stamps, and the time until the frame is admitted.
fn any_frame() -> impl Strategy<Value = (Option<i64>, u64)> {
    let step = prop_oneof![
        4 => Just(33_333_333_i64),
        2 => 0..100_000_000_i64,
        1 => any::<i64>(),
    ];
    let gap = prop_oneof![4 => 0..50 * MS, 2 => Just(0), 1 => 0..2000 * MS];
    (prop::option::weighted(0.95, step), gap)
}

fn admit(frames: &[(Option<i64>, u64)]) -> Vec<(u64, u64)> {
    let mut timeline = Timeline::default();
    let (mut pts_ns, mut now_ns) = (0_i64, 0);
    frames
        .iter()
        .map(|(step, gap_ns)| {
            pts_ns = pts_ns.wrapping_add(step.unwrap_or(0));
            now_ns += gap_ns;
            (now_ns, timeline.admit(step.map(|_| pts_ns), now_ns))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn time_goes_on_and_stays_near_admission(frames in vec(any_frame(), 1..400)) {
        let mut last_ns = 0;
        for (admitted_ns, gate_ns) in admit(&frames) {
            prop_assert!(gate_ns <= admitted_ns && gate_ns + Timeline::SLACK_NS >= admitted_ns);
            prop_assert!(gate_ns >= last_ns);
            last_ns = gate_ns;
        }
    }

    /// The bound in real time that the time line's documentation gives.
    #[test]
    fn a_burst_gets_no_more_than_the_slack_covers(
        frames in vec(any_frame(), 1..400), fps in 1..60_u32, span_ms in 1..2000_u64,
    ) {
        let rate = Rate::new(fps, 1).unwrap();
        let mut state = State::default();
        let mut allowed = Vec::new();
        for (frame_id, (admitted_ns, gate_ns)) in (0..).zip(admit(&frames)) {
            let stamp = Stamp { epoch: 1, frame_id, gate_ns, published_ns: frame_id * S };
            if decide(&state, &Limit::at_most(rate), stamp).is_allow() {
                state.dispatched(stamp);
                allowed.push(admitted_ns);
            }
        }
        let span_ns = span_ms * MS;
        let most = (span_ns + Timeline::SLACK_NS).div_ceil(rate.interval_ns()) as usize;
        for (at, from_ns) in allowed.iter().enumerate() {
            let within = allowed[at..].iter().take_while(|time| **time < from_ns + span_ns).count();
            prop_assert!(within <= most, "{within} in {span_ms} ms at {fps} fps");
        }
    }
}
