//! Standard output, closing of which is a failure like any other.
//!
//! `println!` panics when nothing reads any more, which is how `vas watch gate | head` always ends.

use std::io::{self, Write as _};

use super::failure::Failure;

/// Writes `text` to standard output and flushes it.
///
/// # Errors
/// [`Failure::Stdout`], for example a closed pipe, which exits quietly.
pub(super) fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::Stdout)
}
