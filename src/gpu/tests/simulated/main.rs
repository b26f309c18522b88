//! The download engine on the simulated device: bytes, order, failures, pinning, ends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bytes;
mod converted;
mod faults;
mod flow;
mod pinning;
mod rig;
mod stop;
mod surface;
