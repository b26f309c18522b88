//! Standard output whose end is a failure like any other.
//!
//! `println!` panics when nobody reads any more, which is how `vas watch gate | head` always ends.

use std::io::{self, Write as _};

use super::failure::Failure;

/// Writes `text` to standard output and flushes it.
///
/// # Errors
/// [`Failure::Stdout`]; a closed pipe among them, which exits quietly.
pub(super) fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::Stdout)
}
