//! Standard output, whose closing is a failure like any other.
//!
//! `println!` panics when the reader has closed the pipe, which is how `vas watch gate | head`
//! always ends.

use std::io::{self, Write as _};

/// Writes `text` to standard output and flushes it.
///
/// # Errors
/// For example a closed pipe ([`Exit::of_stdout`](crate::Exit::of_stdout)).
pub fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
}
