//! No second of published time, wherever it begins, holds more frames than the maximum, whatever the
//! arrival pattern.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::collection::vec;
use proptest::prelude::*;
use vas_gate::{Allow, Decision, Limit, Rate, Skip, Stamp, State, decide};

const S: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;
/// The length of the cells in which the gate remembers dispatches.
const CELL: u64 = S.div_ceil(95);

/// Common rates, fractions, rates near the most that the gate can count, and far above it.
fn any_rate() -> impl Strategy<Value = Rate> {
    let usual = prop::sample::select(vec![
        (1, 1),
        (2, 1),
        (5, 1),
        (7, 1),
        (10, 1),
        (15, 1),
        (24, 1),
        (25, 1),
        (30, 1),
        (50, 1),
        (60, 1),
        (1, 3),
        (1, 10),
        (5, 2),
        (30000, 1001),
        (94, 1),
        (95, 1),
        (96, 1),
        (97, 1),
        (120, 1),
        (255, 1),
        (256, 1),
        (1000, 1),
        (u32::MAX, 1),
        (1, u32::MAX),
    ]);
    let any = (1..=400_u32, 1..=40_u32);
    prop_oneof![3 => usual, 1 => any].prop_map(|(num, den)| Rate::new(num, den).unwrap())
}

/// Time between two frames: none, jitter, a camera's interval, the edges of what is remembered,
/// stalls.
fn any_gap() -> impl Strategy<Value = u64> {
    prop_oneof![
        2 => 0..30 * MS,
        1 => Just(0),
        2 => prop::sample::select(vec![8_u64, 16, 33, 40, 200]).prop_map(|ms| ms * MS),
        2 => (1..97_u64, 0..3_u64).prop_map(|(cells, ns)| (cells * CELL + ns).saturating_sub(1)),
        1 => (1..31_u64, 0..3_u64).prop_map(|(part, ns)| (S / part + ns).saturating_sub(1)),
        1 => 0..2 * S,
    ]
}

/// How `gate_ns` advances: with publication, or so fast that the interval never holds a frame back.
fn paced(published_ns: u64, frame: u64, close: bool) -> u64 {
    if close { published_ns } else { frame.saturating_mul(100 * S) }
}

/// The most of `times`, which rise, in any second: a fullest second begins at one of them.
fn most_in_a_second(times: &[u64]) -> usize {
    let within = |from: &u64| times.iter().filter(|t| **t >= *from && **t - *from < S).count();
    times.iter().map(within).max().unwrap_or(0)
}

fn rounded_up(rate: Rate) -> usize {
    rate.num().div_ceil(rate.den()) as usize
}

/// The publication times of the allowed `frames`, split where another clock began.
fn given(limit: &Limit, frames: impl IntoIterator<Item = Stamp>) -> Vec<Vec<u64>> {
    let mut state = State::default();
    let mut clocks = vec![Vec::new()];
    for stamp in frames {
        let decision = decide(&state, limit, stamp);
        if decision == Decision::Allow(Allow::NewTimeline) {
            clocks.push(Vec::new());
        }
        if decision.is_allow() {
            state.dispatched(stamp);
            clocks.last_mut().unwrap().push(stamp.published_ns);
        }
    }
    clocks
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn no_second_holds_more_than_the_maximum(
        rate in any_rate(), from in 0..100 * S, gaps in vec(any_gap(), 1..300), close in any::<bool>(),
    ) {
        let mut published_ns = from;
        let frames = gaps.iter().zip(1..).map(|(gap, frame_id)| {
            published_ns += gap;
            let gate_ns = paced(published_ns, frame_id, close);
            Stamp { epoch: 1, frame_id, gate_ns, published_ns }
        });
        let clocks = given(&Limit::at_most(rate), frames);
        prop_assert_eq!(clocks.len(), 1);
        let most = most_in_a_second(&clocks[0]);
        prop_assert!(most <= rounded_up(rate), "{} at {}: {:?}", most, rate, clocks[0]);
    }

    /// Epochs change, clocks are set back, frames come twice and late.
    #[test]
    fn no_second_of_any_clock_holds_more(
        rate in any_rate(), close in any::<bool>(),
        frames in vec((any_gap(), prop::option::weighted(0.1, any_gap()), 0..20_u64), 1..200),
    ) {
        let (mut published_ns, mut epoch) = (50 * S, 1);
        let frames = frames.iter().zip(1..).map(|((gap, back, event), id)| {
            published_ns = published_ns + gap - back.map_or(0, |back| back.min(S * 2));
            epoch = (epoch + u64::from(*event == 0)).saturating_sub(u64::from(*event == 1));
            let frame_id = id - u64::from(*event == 2);
            Stamp { epoch, frame_id, gate_ns: paced(published_ns, id, close), published_ns }
        });
        for times in given(&Limit::at_most(rate), frames) {
            prop_assert!(times.is_sorted(), "{:?}", times);
            let most = most_in_a_second(&times);
            prop_assert!(most <= rounded_up(rate), "{} at {}: {:?}", most, rate, times);
        }
    }

    /// A lowered maximum counts the frames that the last second already holds.
    #[test]
    fn a_lowered_maximum_counts_what_there_was(
        fps in 1..40_u32, before in 1..90_u32, gaps in vec(any_gap(), 1..300), at in 0..200_usize,
    ) {
        let mut state = State::default();
        let (mut published_ns, mut given) = (S, Vec::new());
        for (index, gap) in gaps.iter().enumerate() {
            published_ns += gap;
            let frame_id = index as u64;
            let gate_ns = paced(published_ns, frame_id, false);
            let stamp = Stamp { epoch: 1, frame_id, gate_ns, published_ns };
            let limit = Limit::per_second(if index < at { fps.max(before) } else { fps }, 1);
            if !decide(&state, &limit, stamp).is_allow() {
                continue;
            }
            state.dispatched(stamp);
            given.push(published_ns);
            if index >= at {
                let within = given.iter().filter(|time| published_ns - **time < S).count();
                prop_assert!(within <= fps as usize, "{} at {}", within, fps);
            }
        }
    }

    /// Whatever came before, frames on the same clock or another are soon allowed again.
    #[test]
    fn no_stream_is_blocked_forever(
        rate in any_rate(), start in 0..1_u64 << 61,
        before in vec((0..3_u64, any::<u64>(), 0..1_u64 << 61, 0..1_u64 << 61), 0..20),
    ) {
        let mut state = State::default();
        for (epoch, frame_id, gate_ns, published_ns) in before {
            state.dispatched(Stamp { epoch, frame_id, gate_ns, published_ns });
        }
        let limit = Limit::at_most(rate);
        let longest = 3 * S + rate.interval_ns() / 20 * 21;
        let step = longest / 300;
        let camera = (0..=300).map(|at| {
            let now_ns = start + at * step;
            Stamp { epoch: 5, frame_id: at, gate_ns: now_ns, published_ns: now_ns }
        });
        let allowed = camera.into_iter().any(|stamp| decide(&state, &limit, stamp).is_allow());
        prop_assert!(allowed, "{:?}", state);
    }
}

/// Frames that the interval alone lets through: held back, then published at once.
#[test]
fn a_burst_gets_no_more_than_a_second_has_room_for() {
    let limit = Limit::per_second(5, 1);
    // Twenty frames that keep their distance and are published 20 ms apart, then on time again.
    let held = (0..20).map(|at| (at, 4 * S + at * 20 * MS));
    let frames = held.chain((20..40).map(|at| (at, at * S / 5 + S / 5)));
    let frames = frames.map(|(frame_id, published_ns)| Stamp {
        epoch: 1,
        frame_id,
        gate_ns: frame_id * S / 5,
        published_ns,
    });
    let given = given(&limit, frames).concat();
    assert_eq!(given[..5], [0, 1, 2, 3, 4].map(|at| 4 * S + at * 20 * MS));
    assert_eq!(most_in_a_second(&given), 5);
    // Then as before: a camera at the maximum loses one frame in six.
    assert!(given.len() >= 5 + 13, "{given:?}");
}

/// A camera at exactly the maximum, or a multiple of it, loses one of its frames per second.
#[test]
fn an_even_camera_loses_a_frame_a_second() {
    for (camera, fps) in [(25, 25), (25, 5), (25, 1), (30, 30), (30, 15), (50, 50), (60, 60)] {
        for offset in 0..20 {
            let frames = (0..camera * 60).map(|frame_id| {
                let now_ns = offset * 777_777 + frame_id * S / camera;
                Stamp { epoch: 1, frame_id, gate_ns: now_ns, published_ns: now_ns }
            });
            let given = given(&Limit::per_second(fps as u32, 1), frames).concat().len() as u64;
            let expected = fps * 60 * camera / (camera + 2);
            assert!((expected..fps * 60).contains(&given), "{camera} at {fps}: {given}");
        }
    }
}

#[test]
fn room_comes_when_the_oldest_has_left_every_second() {
    let limit = Limit::per_second(3, 1);
    let mut state = State::default();
    let frame =
        |frame_id, published_ns| Stamp { epoch: 1, frame_id, gate_ns: frame_id * S, published_ns };
    // The oldest lies at the end of its cell, so it expires exactly a second later.
    let oldest = 10 * CELL - 1;
    for (id, at) in [(1, oldest), (2, oldest + CELL), (3, oldest + 90 * CELL)] {
        assert!(decide(&state, &limit, frame(id, at)).is_allow());
        state.dispatched(frame(id, at));
    }
    let full = Decision::Skip(Skip::SecondFull);
    assert_eq!(decide(&state, &limit, frame(4, oldest + S - 1)), full);
    assert!(decide(&state, &limit, frame(4, oldest + S + 1000)).is_allow());
    // Overfull for two per second: all three have to expire.
    let two = Limit::per_second(2, 1);
    assert_eq!(decide(&state, &two, frame(4, oldest + 2 * S)), Decision::Allow(Allow::Elapsed));
    assert_eq!(decide(&state, &two, frame(4, oldest + 90 * CELL + S)), full);
}
