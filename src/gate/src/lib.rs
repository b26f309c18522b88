//! Phase 3.3 of Ruth AI Core: may this subscription have this frame? Allow or skip, and why.
//!
//! A model that wants five frames per second from a camera that sends thirty gets a sixth of them. This crate decides
//! which, and that a burst brings no more: for each frame, by its metadata alone, with at most 64 bytes of state per
//! subscription. It has no clock, timer, thread, queue or allocation, and no means to get one: no dependency, no `std`,
//! no `alloc` and no unsafe code, so it can't touch a frame either.
//!
//! # Deciding
//!
//! [`decide()`] is pure. Its inputs are a maximum ([`Limit`]), the dispatches so far ([`State`]) and a frame's
//! [`Stamp`]. The caller that dispatches the frame records that with [`State::dispatched`]; a skip changes nothing.
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
//! The rate is a maximum, never a target. Missed frames are not made up for, and a camera slower than the maximum
//! loses nothing. Two rules hold at once:
//!
//! - Two allowed frames lie at least an interval apart on [`gate_ns`](Stamp::gate_ns), the camera's own pace.
//! - No second of [`published_ns`](Stamp::published_ns), wherever it begins, holds more frames than the maximum rounded
//!   up, bursts and jitter included.
//!
//! A [`Rate`] is an exact fraction, so 30000/1001 is not rounded:
//!
//! ```
//! use vas_gate::{Limit, Rate};
//!
//! assert_eq!("29.97".parse::<Rate>()?, Rate::new(30_000, 1001).expect("no zero in it"));
//! assert_eq!(Limit::per_second(1, 3).to_string(), "1/3");
//! // A maximum that is not a positive number allows no frame.
//! assert_eq!(Limit::per_second(5, 0), Limit::INVALID);
//! # Ok::<(), vas_gate::InvalidRate>(())
//! ```
//!
//! # With a reader
//!
//! A reader of the crate `vas-frame` decides before it touches a pixel: `Stamp::from` takes a frame's metadata, and
//! `Reader::newer_if` returns the newest frame that a predicate accepts. The documentation of that crate has an
//! example.
//!
//! # For those who admit frames
//!
//! [`Timeline`] computes each frame's `gate_ns`: the camera's pace, bounded by real time. The code that admits a
//! camera's frames keeps one `Timeline` per camera and stores its result with each frame, so that every gate judges
//! the same value. `docs/design/gate.md` explains the choice of these times.
//!
//! ```
//! use vas_gate::Timeline;
//!
//! let mut timeline = Timeline::default();
//! let first = timeline.admit(Some(0), 1_000_000_000);
//! // The second frame is 5 ms late, which does not change its time.
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
