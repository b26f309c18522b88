//! Settings changed from outside the process that uses the device: the other end of `sim::control`.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sim::control::{BYTES, TEXT};

/// The control file of one or more processes.
#[derive(Debug)]
pub(super) struct Control {
    file: File,
    generation: AtomicU64,
}

impl Control {
    /// Creates an empty file.
    pub(super) fn create(path: &Path) -> std::io::Result<Self> {
        let file = File::options().create(true).truncate(true).write(true).open(path)?;
        file.set_len(BYTES as u64)?;
        Ok(Self { file, generation: AtomicU64::new(0) })
    }

    /// Replaces the lines with these `key=value` lines, which each process applies at its next call.
    pub(super) fn write(&self, lines: &str) -> std::io::Result<()> {
        let room = BYTES - TEXT;
        if lines.len() >= room {
            return Err(std::io::Error::other("too many settings at once"));
        }
        let mut text = vec![0; room];
        text[..lines.len()].copy_from_slice(lines.as_bytes());
        self.file.write_all_at(&text, TEXT as u64)?;
        // A second write call: a process that sees the new generation in the page cache sees the text
        // too.
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        self.file.write_all_at(&generation.to_ne_bytes(), 0)
    }
}
