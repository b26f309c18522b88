//! Decides again and again, for callgrind to count: `decisions CASE TIMES`.

use std::hint::black_box;

use vas_gate::{Decision, Limit, Stamp, State, decide};

/// What is counted.
#[inline(never)]
fn one_decision(state: &State, limit: &Limit, stamp: Stamp) -> Decision {
    decide(state, limit, stamp)
}

fn stamp(epoch: u64, frame_id: u64, ms: u64) -> Stamp {
    Stamp { epoch, frame_id, gate_ns: ms * 1_000_000 }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let case = arguments.next().unwrap_or_default();
    let times: u64 = arguments.next().and_then(|times| times.parse().ok()).unwrap_or(1);
    let (limited, stride) =
        (Limit::per_second(30000, 1001), Limit::per_second(30000, 1001).with_stride(3));
    let mut state = State::default();
    if case != "first_frame" {
        state.dispatched(stamp(2, 7, 100));
    }
    let (limit, now) = match case.as_str() {
        "unlimited" => (Limit::UNLIMITED, stamp(2, 8, 200)),
        "invalid_limit" => (Limit::INVALID, stamp(2, 8, 200)),
        "first_frame" => (limited, stamp(2, 8, 200)),
        "old_epoch" => (limited, stamp(1, 8, 200)),
        "same_frame" => (limited, stamp(2, 7, 100)),
        "time_went_back" => (limited, stamp(2, 8, 99)),
        "new_timeline" => (limited, stamp(3, 8, 99)),
        "too_soon" => (limited, stamp(2, 8, 101)),
        "stride" => (stride, stamp(2, 8, 200)),
        "elapsed" => (stride, stamp(2, 10, 200)),
        _ => panic!("decisions: no case {case:?}"),
    };
    for _ in 0..times {
        let decision = one_decision(black_box(&state), black_box(&limit), black_box(now));
        assert!(decision.to_string().ends_with(&case), "{decision}");
    }
}
