//! Properties of decisions, for arbitrary stamps and for all stamps of a small model.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use vas_gate::{Allow, Decision, Limit, Rate, Skip, Stamp, State, decide};

const S: u64 = 1_000_000_000;

/// A frame that is published without delay.
fn stamp(epoch: u64, frame_id: u64, gate_ns: u64) -> Stamp {
    Stamp { epoch, frame_id, gate_ns, published_ns: gate_ns }
}

/// Decides on each stamp in turn; records and returns the allowed ones.
fn allowed(limit: &Limit, stamps: impl IntoIterator<Item = Stamp>) -> Vec<Stamp> {
    let mut state = State::default();
    let mut allow = |stamp: &Stamp| {
        let before = state;
        let decision = decide(&state, limit, *stamp);
        assert_eq!(state, before, "deciding changes no state");
        if decision.is_allow() {
            state.dispatched(*stamp);
        }
        decision.is_allow()
    };
    stamps.into_iter().filter(|stamp| allow(stamp)).collect()
}

/// Whether the allowed frames of each epoch are an interval apart, to the nanosecond.
fn spaced(allowed: &[Stamp], rate: Rate) -> bool {
    let mut epochs: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for stamp in allowed {
        epochs.entry(stamp.epoch).or_default().push(stamp.gate_ns);
    }
    epochs.values_mut().all(|times| {
        times.sort_unstable();
        times.windows(2).all(|pair| pair[1] - pair[0] >= rate.interval_ns())
    })
}

fn any_rate() -> impl Strategy<Value = Rate> {
    let usual = prop::sample::select(vec![(1, 1), (5, 1), (7, 1), (24, 1), (30, 1), (30000, 1001)]);
    let any = (1..=u32::MAX, 1..=u32::MAX);
    prop_oneof![usual, any].prop_map(|(num, den)| Rate::new(num, den).unwrap())
}

/// Times near each other, far apart, and at the ends of the range.
fn any_time() -> impl Strategy<Value = u64> {
    prop_oneof![0..S, 0..100 * S, any::<u64>(), u64::MAX - S..=u64::MAX]
}

fn any_stamp() -> impl Strategy<Value = Stamp> {
    let id = prop_oneof![0..5_u64, any::<u64>(), u64::MAX - 2..=u64::MAX];
    let published = prop_oneof![1 => any_time().prop_map(Some), 2 => Just(None)];
    (0..3_u64, id, any_time(), published).prop_map(|(epoch, frame_id, gate_ns, published_ns)| {
        Stamp { published_ns: published_ns.unwrap_or(gate_ns), ..stamp(epoch, frame_id, gate_ns) }
    })
}

fn any_limit() -> impl Strategy<Value = Limit> {
    prop_oneof![
        1 => Just(Limit::UNLIMITED),
        1 => Just(Limit::INVALID),
        6 => (any_rate(), prop_oneof![Just(0), 1..4_u64, any::<u64>()])
            .prop_map(|(rate, stride)| Limit::at_most(rate).with_stride(stride)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn allowed_frames_of_an_epoch_are_an_interval_apart(
        rate in any_rate(), stride in 0..4_u64, stamps in vec(any_stamp(), 0..60),
    ) {
        let allowed = allowed(&Limit::at_most(rate).with_stride(stride), stamps);
        prop_assert!(spaced(&allowed, rate), "{allowed:?}");
    }

    /// The first due frame is taken, so no other selection of frames an interval apart is larger.
    #[test]
    fn no_frame_that_is_due_is_skipped(rate in any_rate(), mut times in vec(any_time(), 1..60)) {
        times.sort_unstable();
        // Published so far apart that no second fills up.
        let stamps = times.iter().zip(0..).map(|(time, id)| Stamp {
            published_ns: id * 2 * S,
            ..stamp(1, id, *time)
        });
        let mut best = 0;
        let mut due = Some(0);
        for time in &times {
            if due.is_some_and(|due| *time >= due) {
                best += 1;
                due = time.checked_add(rate.interval_ns());
            }
        }
        prop_assert_eq!(allowed(&Limit::at_most(rate), stamps).len(), best);
    }

    #[test]
    fn decisions_depend_only_on_the_arguments(
        histories in prop::array::uniform2(vec(any_stamp(), 0..10)),
        last in any_stamp(), limit in any_limit(), now in any_stamp(),
    ) {
        // Two subscriptions with different histories but the same state: the difference is no
        // longer remembered.
        let decisions = histories.map(|history| {
            let mut state = State::default();
            for stamp in history {
                let _ = decide(&state, &limit, stamp);
                state.dispatched(Stamp { epoch: 0, gate_ns: 0, published_ns: 0, ..stamp });
            }
            let published_ns = last.published_ns.max(2 * S);
            state.dispatched(Stamp { epoch: last.epoch + 1, published_ns, ..last });
            decide(&state, &limit, now)
        });
        prop_assert_eq!(decisions[0], decisions[1]);
    }

    #[test]
    fn the_order_of_subscriptions_does_not_matter(
        limits in vec(any_limit(), 1..6), stamps in vec(any_stamp(), 0..20), seed in any::<u64>(),
    ) {
        // Each frame is offered to all subscriptions, once in order and once shuffled.
        let run = |shuffled: bool| {
            let mut states = vec![State::default(); limits.len()];
            let mut decisions = vec![Vec::new(); limits.len()];
            let mut order: Vec<usize> = (0..limits.len()).collect();
            for (turn, stamp) in stamps.iter().enumerate() {
                if shuffled {
                    order.rotate_left(seed.rotate_left(turn as u32) as usize % limits.len());
                    order.reverse();
                }
                for &at in &order {
                    let decision = decide(&states[at], &limits[at], *stamp);
                    decisions[at].push(decision);
                    if decision.is_allow() {
                        states[at].dispatched(*stamp);
                    }
                }
            }
            decisions
        };
        prop_assert_eq!(run(false), run(true));
    }

    #[test]
    fn late_records_do_not_replace_newer_dispatches(
        rate in any_rate(), mut stamps in vec(any_stamp(), 1..8), now in any_stamp(),
    ) {
        let record = |stamps: &[Stamp]| {
            let mut state = State::default();
            stamps.iter().for_each(|stamp| state.dispatched(*stamp));
            state
        };
        let recorded = record(&stamps);
        stamps.sort_by_key(|stamp| (stamp.epoch, stamp.gate_ns));
        let (last, in_order) = (stamps[stamps.len() - 1], record(&stamps));
        prop_assert_eq!(recorded.last().map(|s| (s.epoch, s.gate_ns)), Some((last.epoch, last.gate_ns)));
        // Ids aside, which may differ for two frames with the same time.
        if recorded == in_order {
            let limit = Limit::at_most(rate);
            prop_assert_eq!(decide(&recorded, &limit, now), decide(&in_order, &limit, now));
        }
    }
}

/// Every sequence of four frames from two epochs, three ids and five times, checked against a second
/// implementation of the rules.
#[test]
fn all_sequences_of_a_small_model() {
    let stamps: Vec<Stamp> = (1..=2)
        .flat_map(|epoch| (1..=3).map(move |id| (epoch, id)))
        .flat_map(|(epoch, id)| [0, 99, 100, 101, 2000].map(|ms| stamp(epoch, id, ms * S / 1000)))
        .collect();
    let limit = Limit::per_second(10, 1);
    let mut judged = 0_u64;
    let mut reasons = std::collections::BTreeSet::new();
    for first in &stamps {
        for second in &stamps {
            for third in &stamps {
                let mut state = State::default();
                let mut dispatched: Vec<Stamp> = Vec::new();
                for now in [first, second, third] {
                    let decision = decide(&state, &limit, *now);
                    assert_eq!(
                        decision,
                        reference_decision(&dispatched, *now),
                        "{dispatched:?} {now:?}"
                    );
                    reasons.insert(decision.to_string());
                    if decision.is_allow() {
                        state.dispatched(*now);
                        dispatched.push(*now);
                    }
                    judged += 1;
                }
            }
        }
    }
    assert_eq!(judged, 3 * 30_u64.pow(3));
    assert_eq!(
        reasons.len(),
        7,
        "all but no limit, an invalid one, strides, and a full second: {reasons:?}"
    );
}

/// The rules at 10 per second, computed from all dispatches instead of the last.
fn reference_decision(dispatched: &[Stamp], now: Stamp) -> Decision {
    let newest_epoch = dispatched.iter().map(|stamp| stamp.epoch).max();
    let of_epoch: Vec<_> = dispatched.iter().filter(|s| Some(s.epoch) == newest_epoch).collect();
    let Some(last) = of_epoch.iter().max_by_key(|stamp| stamp.gate_ns) else {
        return Decision::Allow(Allow::FirstFrame);
    };
    let since = now.gate_ns as i64 - last.gate_ns as i64;
    match now.epoch.cmp(&last.epoch) {
        std::cmp::Ordering::Less => Decision::Skip(Skip::OldEpoch),
        std::cmp::Ordering::Equal if now.frame_id == last.frame_id => {
            Decision::Skip(Skip::SameFrame)
        }
        std::cmp::Ordering::Equal if since < 0 => Decision::Skip(Skip::TimeWentBack),
        std::cmp::Ordering::Greater if since < -1_020_000_000 => {
            Decision::Allow(Allow::NewTimeline)
        }
        std::cmp::Ordering::Greater if since < 0 => Decision::Skip(Skip::TimeWentBack),
        _ if since < 100_000_000 => Decision::Skip(Skip::TooSoon),
        _ => Decision::Allow(Allow::Elapsed),
    }
}

/// A camera at exactly the maximum loses no frame, neither at the start nor after 10^9 frames. Decisions
/// repeat with the period of the fraction's numerator, so these are all cases.
#[test]
fn a_fraction_does_not_drift() {
    for (num, den) in
        [(30000, 1001), (24000, 1001), (60000, 1001), (30, 1), (7, 1), (1, 3), (144, 5)]
    {
        let rate = Rate::new(num, den).unwrap();
        let limit = Limit::at_most(rate);
        let exact = |frame: u64| {
            let time = u128::from(frame) * u128::from(S) * u128::from(rate.den());
            u64::try_from(time / u128::from(rate.num())).unwrap()
        };
        for start in [0, 1_000_000_000] {
            let mut state = State::default();
            for frame in start..=start + u64::from(rate.num()) {
                // Published at half speed, so that the rule about seconds never applies.
                let now = Stamp { published_ns: 2 * exact(frame), ..stamp(1, frame, exact(frame)) };
                assert!(decide(&state, &limit, now).is_allow(), "{rate}: frame {frame}");
                state.dispatched(now);
            }
        }
        // A camera one hundredth faster gets no more than the maximum.
        let faster = (0..100_000).map(|frame| stamp(1, frame, exact(frame) / 101 * 100));
        let span_ns = exact(100_000) / 101 * 100;
        let most = u128::from(span_ns) * u128::from(num) / u128::from(den) / u128::from(S) + 1;
        assert!((allowed(&limit, faster).len() as u128) <= most, "{rate}");
    }
}

#[test]
fn limits_at_the_extremes() {
    let mut state = State::default();
    let now = |id, time| stamp(1, id, time);
    for limit in [Limit::per_second(0, 1), Limit::per_second(1, 0), Limit::INVALID] {
        assert_eq!(decide(&state, &limit, now(1, 0)), Decision::Skip(Skip::InvalidLimit));
    }
    // One frame in 136 years, and more than one per nanosecond.
    let (slowest, fastest) = (Limit::per_second(1, u32::MAX), Limit::per_second(u32::MAX, 1));
    state.dispatched(now(1, 0));
    let years_136 = u64::from(u32::MAX) * S;
    assert_eq!(decide(&state, &slowest, now(2, years_136 - 1)), Decision::Skip(Skip::TooSoon));
    // An interval this long is rounded up, by one part in 2^31.
    let rounded = years_136 + (years_136 >> 31);
    assert_eq!(decide(&state, &slowest, now(2, rounded)), Decision::Allow(Allow::Elapsed));
    // A difference beyond `i64::MAX` reads as time that went back.
    let far = now(2, i64::MAX as u64);
    assert_eq!(decide(&state, &slowest, far), Decision::Allow(Allow::Elapsed));
    assert_eq!(decide(&state, &slowest, now(2, u64::MAX)), Decision::Skip(Skip::SecondFull));
    // No two frames within a 95th of a second, whatever the maximum.
    assert_eq!(decide(&state, &fastest, now(2, S / 95)), Decision::Skip(Skip::SecondFull));
    assert_eq!(decide(&state, &fastest, now(2, S / 95 + 1)), Decision::Allow(Allow::Elapsed));
    assert_eq!(decide(&state, &fastest, now(1, 0)), Decision::Skip(Skip::SameFrame));
    assert_eq!(decide(&state, &Limit::UNLIMITED, now(1, 0)), Decision::Allow(Allow::Unlimited));
}

#[test]
fn a_changed_limit_counts_from_the_last_dispatch() {
    let mut state = State::default();
    state.dispatched(stamp(1, 1, 0));
    let later = stamp(1, 2, S / 5);
    assert_eq!(decide(&state, &Limit::per_second(4, 1), later), Decision::Skip(Skip::TooSoon));
    assert!(decide(&state, &Limit::per_second(5, 1), later).is_allow());
    // Dispatches without a maximum count too, in case one is set.
    assert!(decide(&state, &Limit::UNLIMITED, later).is_allow());
    state.dispatched(later);
    let soon = stamp(1, 3, S / 5 + 1);
    assert_eq!(decide(&state, &Limit::per_second(5, 1), soon), Decision::Skip(Skip::TooSoon));
}

#[test]
fn a_stride_needs_a_maximum() {
    let limit = Limit::per_second(10, 1).with_stride(4);
    let mut state = State::default();
    state.dispatched(stamp(1, u64::MAX - 1, 0));
    // Ids may wrap.
    assert_eq!(decide(&state, &limit, stamp(1, 1, S)), Decision::Skip(Skip::Stride));
    assert_eq!(decide(&state, &limit, stamp(1, 2, S)), Decision::Allow(Allow::Elapsed));
    // However far ids jump, forward or back, time has to pass.
    for id in [u64::MAX / 2, 0, u64::MAX - 5] {
        assert_eq!(decide(&state, &limit, stamp(1, id, 1)), Decision::Skip(Skip::TooSoon));
        assert_eq!(decide(&state, &limit, stamp(1, id, S)).is_allow(), id != 0);
    }
    assert_eq!(Limit::UNLIMITED.with_stride(4), Limit::UNLIMITED);
    assert_eq!(Limit::INVALID.with_stride(4), Limit::INVALID);
}

#[test]
fn a_maximum_holds_across_epochs_of_one_clock() {
    let limit = Limit::per_second(10, 1);
    let mut state = State::default();
    state.dispatched(stamp(1, 5, 9 * S));
    assert_eq!(decide(&state, &limit, stamp(2, 5, 9 * S + 1)), Decision::Skip(Skip::TooSoon));
    assert_eq!(decide(&state, &limit, stamp(2, 5, 10 * S)), Decision::Allow(Allow::Elapsed));
    assert_eq!(decide(&state, &limit, stamp(0, 5, 10 * S)), Decision::Skip(Skip::OldEpoch));
    // A clock set back a little soon catches up; another clock may never.
    assert_eq!(decide(&state, &limit, stamp(2, 5, 9 * S - 1)), Decision::Skip(Skip::TimeWentBack));
    assert_eq!(decide(&state, &limit, stamp(2, 5, 8 * S)), Decision::Skip(Skip::TimeWentBack));
    assert_eq!(decide(&state, &limit, stamp(2, 5, 7 * S)), Decision::Allow(Allow::NewTimeline));
}
