//! `vas gate`: what would subscriptions have been given of frames that were recorded?
//!
//! A [`Recording`] is what `vas watch --json` printed. [`Replay`] shows it, frame by frame, to the
//! stream agents of Ruth AI Core, and plays the model that has every frame dispatched which it is
//! allowed. What came of it is a [`Tally`] a subscription, to be printed ([`report`]) or drawn
//! ([`plot`]).
//!
//! It is a program of its own, `vas-gate`, which `vas gate` runs in its own place: the service links no
//! Ruth AI Core (docs/design/gate.md).
#![forbid(unsafe_code)]

pub mod cli;
mod failure;
mod measure;
pub mod plot;
mod recording;
mod replay;
pub mod report;
mod subscriptions;
mod tally;

pub use failure::Failure;
pub use measure::{highest_in_a_second, mean_rate};
pub use recording::{Frame, Recording, RecordingError};
pub use replay::Replay;
pub use subscriptions::{Problems, SubscriptionsError, Wanted, read_subscriptions};
pub use tally::{Allowed, Tally};
