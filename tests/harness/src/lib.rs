//! Test support: a skipped test fails in CI, every wait has a limit, and golden files change only on request.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod golden;
mod limit;
mod process;
mod tried;

pub use golden::assert_golden;
pub use limit::{LIMIT, Waiting, waiting, waiting_at_most};
pub use process::Outcome;
pub use tried::{is_root, not_tried};
