//! Phase 3.3 of Ruth AI Core: may this subscription have this frame? Allow or skip, and why.
//!
//! A model that wants five frames a second of a camera that gives thirty takes a sixth of them. Which ones, and whether
//! a burst may be more, is decided here: for each frame, by its metadata alone, with no more state than 64 bytes a
//! subscription. There is no clock, timer, thread, queue or allocation in this crate, nor anything to make one of: it
//! has no dependency, no `std`, no `alloc` and no unsafe code, so it can't touch a frame either.
//!
//! # Deciding
//!
//! [`decide()`] is pure. It looks at a maximum ([`Limit`]), at what was dispatched before ([`State`]) and at a frame's
//! [`Stamp`], and at nothing else. Whoever then dispatches the frame records it with [`State::dispatched`]; a skip
//! leaves no trace.
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
//!
//! # What the maximum means
//!
//! Frames a second are a maximum and never a target. What was missed is not made up, and a camera that is slower than
//! the maximum loses nothing. Two rules hold at once:
//!
//! - Two frames that are allowed lie at least an interval apart on [`gate_ns`](Stamp::gate_ns), the camera's own pace.
//! - No second of [`published_ns`](Stamp::published_ns), wherever it begins, holds more frames than the maximum rounded
//!   up, bursts and jitter included.
//!
//! A [`Rate`] is an exact fraction, so that 30000/1001 is what it says:
//!
//! ```
//! use vas_gate::{Limit, Rate};
//!
//! assert_eq!("29.97".parse::<Rate>()?, Rate::new(30_000, 1001).expect("no zero in it"));
//! assert_eq!(Limit::per_second(1, 3).to_string(), "1/3");
//! // What is no positive number allows no frame.
//! assert_eq!(Limit::per_second(5, 0), Limit::INVALID);
//! # Ok::<(), vas_gate::InvalidRate>(())
//! ```
//!
//! # With a reader
//!
//! A reader of the crate `vas-frame` decides before it touches a pixel: `Stamp::from` takes a frame's metadata, and
//! `Reader::newer_if` gives the newest frame that a predicate wants. Its page has the example.
//!
//! # For those who admit frames
//!
//! [`Timeline`] gives frames the time by which they keep their distance: the camera's pace, held to real time. Whoever
//! admits a camera's frames keeps one for each camera and stores its answer with each frame, so that all who judge a
//! frame judge the same value. `docs/design/gate.md` says why it is these times.
//!
//! ```
//! use vas_gate::Timeline;
//!
//! let mut timeline = Timeline::default();
//! let first = timeline.admit(Some(0), 1_000_000_000);
//! // The second frame is 5 ms late, which its time does not show.
//! let second = timeline.admit(Some(40_000_000), 1_045_000_000);
//! assert_eq!(second - first, 40_000_000);
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
