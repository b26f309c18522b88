//! Phase 3.3 of Ruth AI Core: may this subscription have this frame? Allow or skip, and why.
//!
//! [`decide()`] is pure: it looks at what was dispatched last ([`State`]), at a maximum ([`Limit`]) and at
//! a frame's [`Stamp`], and at nothing else. Whoever then dispatches the frame says so with
//! [`State::dispatched`]; a skip leaves no trace. There is no clock, timer, thread, queue or allocation
//! here, nor anything to make one of: the crate has no dependency, no `std`, no `alloc` and no unsafe
//! code, so it can't touch a frame either.
//!
//! [`Timeline`] gives frames the time by which they keep their distance. Whoever admits a camera's frames
//! keeps one a camera and stores its answer with each frame, so that all who judge a frame judge the same
//! value. Beside it no second of the time at which frames are published holds more of them than the
//! maximum. `docs/design/gate.md` says why it is these times.
//!
//! ```
//! use vas_gate::{Decision, Limit, Skip, Stamp, State, decide};
//!
//! let limit: Limit = "5".parse()?;
//! let mut state = State::default();
//! let frame = |frame_id, ms: u64| {
//!     let now_ns = ms * 1_000_000;
//!     Stamp { epoch: 1, frame_id, gate_ns: now_ns, published_ns: now_ns }
//! };
//!
//! assert!(decide(&state, &limit, frame(1, 0)).is_allow());
//! state.dispatched(frame(1, 0));
//! assert_eq!(decide(&state, &limit, frame(2, 199)), Decision::Skip(Skip::TooSoon));
//! assert!(decide(&state, &limit, frame(3, 200)).is_allow());
//! # Ok::<(), vas_gate::InvalidRate>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

mod decide;
mod limit;
mod rate;
mod recent;
mod timeline;

pub use decide::{Allow, Decision, Skip, Stamp, State, decide};
pub use limit::Limit;
pub use rate::{InvalidRate, Rate};
pub use timeline::Timeline;
