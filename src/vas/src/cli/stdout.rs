//! Standard output, whose closing is a failure like any other.
//!
//! `println!` panics when the reader has closed the pipe, which is how `vas watch gate | head`
//! always ends.

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
