//! Settings that another process changes, in a file mapped by both, `SIM_GPU_CONTROL`.
//!
//! Eight bytes of generation, then lines `key=value` up to a zero. The device rereads the lines at its next
//! call after the generation has changed.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::config::config;

/// Of the whole file.
pub(crate) const BYTES: usize = 4096;
/// Where the lines begin.
pub(crate) const TEXT: usize = 8;

struct Page {
    base: *const u8,
    seen: AtomicU64,
}

// SAFETY: the page is only read, its generation as an atomic, and stays mapped for good.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

static PAGE: LazyLock<Option<Page>> = LazyLock::new(|| {
    let path = config().control.as_ref()?;
    Some(map(path).unwrap_or_else(|error| panic!("SIM_GPU_CONTROL {}: {error}", path.display())))
});

/// Applies changed settings.
pub(crate) fn poll() {
    let Some(page) = PAGE.as_ref() else { return };
    // SAFETY: the page begins with an aligned u64 that all processes access as an atomic.
    let generation = unsafe { AtomicU64::from_ptr(page.base.cast_mut().cast()) };
    // Partner: the release store in `testing::Control`.
    let now = generation.load(Ordering::Acquire);
    if page.seen.swap(now, Ordering::Relaxed) != now {
        for line in page.text().lines().filter(|line| !line.is_empty()) {
            if let Err(why) = config().set(line) {
                panic!("SIM_GPU_CONTROL: {why}");
            }
        }
    }
}

impl Page {
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

fn map(path: &Path) -> std::io::Result<Page> {
    let file = File::options().read(true).write(true).open(path)?;
    if file.metadata()?.len() < BYTES as u64 {
        return Err(std::io::Error::other("too short"));
    }
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping that overlays nothing.
    let base = unsafe {
        libc::mmap(std::ptr::null_mut(), BYTES, access, libc::MAP_SHARED, file.as_raw_fd(), 0)
    };
    if base == libc::MAP_FAILED {
        return Err(std::io::Error::last_os_error());
    }
    Ok(Page { base: base.cast(), seen: AtomicU64::new(0) })
}
