//! What a device writes for tests: its calls, and the misuse that it found.

use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use crate::lock;

/// A file to which several processes append lines; none if no path is set.
#[derive(Debug)]
pub struct Output {
    path: fn() -> Option<PathBuf>,
    file: OnceLock<Option<(File, Instant)>>,
}

impl Output {
    /// The file of this path, opened at the first line.
    pub const fn new(path: fn() -> Option<PathBuf>) -> Self {
        Self { path, file: OnceLock::new() }
    }

    /// Appends the line that `text` writes, given the microseconds since the first one.
    ///
    /// # Panics
    /// If the file can't be opened.
    pub fn line(&self, text: impl FnOnce(u128) -> String) {
        let open = || {
            let path = (self.path)()?;
            let file = File::options().create(true).append(true).open(&path);
            let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            Some((file, Instant::now()))
        };
        let Some((mut file, start)) = self.file.get_or_init(open).as_ref().map(|(f, s)| (f, s))
        else {
            return;
        };
        // One write per line, so that appends of several processes do not mix.
        let line = text(start.elapsed().as_micros()) + "\n";
        if let Err(error) = file.write_all(line.as_bytes()) {
            eprintln!("simulated device: its log or report can't be written: {error}");
        }
    }
}

/// Misuse found: one line `KIND: words` each, kept in memory and appended to a file at once, so that a killed
/// process leaves its findings.
#[derive(Debug)]
pub struct Findings {
    found: Mutex<Vec<String>>,
    output: Output,
}

impl Findings {
    /// None yet; the file has this path.
    pub const fn new(path: fn() -> Option<PathBuf>) -> Self {
        Self { found: Mutex::new(Vec::new()), output: Output::new(path) }
    }

    /// Notes a misuse.
    pub fn report(&self, kind: &str, words: fmt::Arguments<'_>) {
        let line = format!("{kind}: {words}");
        self.output.line(|_| line.clone());
        lock(&self.found).push(line);
    }

    /// Writes a line to the file only, to show that the device was in use: `# ...`.
    pub fn remark(&self, words: fmt::Arguments<'_>) {
        self.output.line(|_| format!("# {words}"));
    }

    /// The findings since the last [`clear`](Self::clear).
    pub fn found(&self) -> Vec<String> {
        lock(&self.found).clone()
    }

    /// Discards the findings; the file keeps them.
    pub fn clear(&self) {
        lock(&self.found).clear();
    }
}
