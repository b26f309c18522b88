//! Settings that another process changes, in a file mapped by the device's process.
//!
//! Eight bytes of generation, then lines `key=value` up to a zero. The device rereads the lines at its next
//! call after the generation has changed.

use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Of the whole file.
const BYTES: usize = 4096;
/// Where the lines begin.
const TEXT: usize = 8;

/// The device's side.
#[derive(Debug)]
pub struct Page {
    base: *const u8,
    seen: AtomicU64,
}

// SAFETY: the page is only read, its generation as an atomic, and stays mapped until the process ends.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

impl Page {
    /// Maps a file that [`Control::create`] made, until the process ends.
    ///
    /// # Errors
    /// If the file can't be opened or mapped, or is too short.
    pub fn map(path: &Path) -> Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        if file.metadata()?.len() < BYTES as u64 {
            return Err(Error::other("too short"));
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping that overlays nothing.
        let base = unsafe {
            libc::mmap(std::ptr::null_mut(), BYTES, access, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        if base == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        Ok(Self { base: base.cast(), seen: AtomicU64::new(0) })
    }

    /// The lines, if they changed since the last call.
    pub fn changed(&self) -> Option<String> {
        // SAFETY: the page begins with an aligned u64 that all processes access as an atomic.
        let generation = unsafe { AtomicU64::from_ptr(self.base.cast_mut().cast()) };
        // Partner: the second write of `Control::write`.
        let now = generation.load(Ordering::Acquire);
        (self.seen.swap(now, Ordering::Relaxed) != now).then(|| self.text())
    }

    fn text(&self) -> String {
        let mut text = vec![0u8; BYTES - TEXT];
        for (i, byte) in text.iter_mut().enumerate() {
            // SAFETY: within the mapping; volatile, as another process writes here.
            *byte = unsafe { self.base.add(TEXT + i).read_volatile() };
        }
        text.truncate(text.iter().position(|byte| *byte == 0).unwrap_or(text.len()));
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// The test's side: the control file of one or more processes.
#[derive(Debug)]
pub struct Control {
    file: File,
    generation: AtomicU64,
}

impl Control {
    /// Creates an empty file.
    ///
    /// # Errors
    /// If that fails.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::options().create(true).truncate(true).write(true).open(path)?;
        file.set_len(BYTES as u64)?;
        Ok(Self { file, generation: AtomicU64::new(0) })
    }

    /// Replaces the lines with these `key=value` lines, which each process applies at its next call.
    ///
    /// # Errors
    /// If they are too long or can't be written.
    pub fn write(&self, lines: &str) -> Result<()> {
        let room = BYTES - TEXT;
        if lines.len() >= room {
            return Err(Error::other("too many settings at once"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_arrive_once() {
        let path = std::env::temp_dir().join(format!("sim-control-{}", std::process::id()));
        let control = Control::create(&path).unwrap();
        let page = Page::map(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(page.changed(), None);
        control.write("a=1\nb=2").unwrap();
        assert_eq!(page.changed().as_deref(), Some("a=1\nb=2"));
        assert_eq!(page.changed(), None);
        control.write("c=3").unwrap();
        assert_eq!(page.changed().as_deref(), Some("c=3"));
    }
}
