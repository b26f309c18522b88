//! Makes a decision repeatedly, for callgrind to count: `decisions CASE TIMES`.

#![forbid(unsafe_code)]

use std::hint::black_box;

use vas_gate::{Decision, Limit, Stamp, State, decide};

/// The function that is counted.
#[inline(never)]
fn one_decision(state: &State, limit: &Limit, stamp: Stamp) -> Decision {
    decide(state, limit, stamp)
}

fn stamp(epoch: u64, frame_id: u64, ms: u64) -> Stamp {
    let now_ns = ms * 1_000_000;
    Stamp { epoch, frame_id, gate_ns: now_ns, published_ns: now_ns }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let case = arguments.next().unwrap_or_default();
    let times: u64 = arguments.next().and_then(|times| times.parse().ok()).unwrap_or(1);
    let ntsc = Limit::per_second(30000, 1001);
    let mut state = State::default();
    match case.as_str() {
        "first_frame" => {}
        // As many as a limit of three per second allows.
        "second_full" | "elapsed+full" | "elapsed+overfull" => {
            (0..3).for_each(|at| state.dispatched(stamp(2, 1 + at, 2000 + 333 * at)));
        }
        _ => state.dispatched(stamp(2, 7, 2000)),
    }
    let (limit, now) = match case.as_str() {
        "unlimited" => (Limit::UNLIMITED, stamp(2, 8, 2100)),
        "invalid_limit" => (Limit::INVALID, stamp(2, 8, 2100)),
        "first_frame" => (ntsc, stamp(2, 8, 2100)),
        "old_epoch" => (ntsc, stamp(1, 8, 2100)),
        "same_frame" => (ntsc, stamp(2, 7, 2000)),
        "time_went_back" => (ntsc, stamp(2, 8, 1999)),
        "new_timeline" => (ntsc, stamp(3, 8, 99)),
        "too_soon" => (ntsc, stamp(2, 8, 2001)),
        "stride" => (ntsc.with_stride(3), stamp(2, 8, 2100)),
        "elapsed" => (ntsc.with_stride(3), stamp(2, 10, 2100)),
        "elapsed+slow" => (Limit::per_second(1, 5), stamp(2, 10, 8000)),
        "elapsed+full" => (Limit::per_second(3, 1).with_stride(2), stamp(2, 5, 3020)),
        "elapsed+overfull" => (Limit::per_second(2, 1).with_stride(2), stamp(2, 5, 4000)),
        "elapsed+epoch" => (ntsc.with_stride(3), stamp(3, 10, 2100)),
        "second_full" => (Limit::per_second(3, 1).with_stride(2), stamp(2, 5, 2999)),
        _ => panic!("decisions: no case {case:?}"),
    };
    // The part after a `+` distinguishes paths to the same reason.
    let reason = case.split('+').next().unwrap_or_default();
    for _ in 0..times {
        let decision = one_decision(black_box(&state), black_box(&limit), black_box(now));
        assert!(decision.to_string().ends_with(reason), "{decision}");
    }
}
