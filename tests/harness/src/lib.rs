//! Test support: a skipped test fails in CI, and every wait has a limit.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod limit;
mod process;
mod tried;

pub use limit::{LIMIT, Waiting, waiting, waiting_at_most};
pub use process::Outcome;
pub use tried::{is_root, not_tried};
