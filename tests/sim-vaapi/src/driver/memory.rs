//! Memory that a program maps: inaccessible while it is not mapped.

use std::ptr::null_mut;

use vas_sim_common::picture::{Content, Plane, fill_noise, mix};

use super::format::{Format, Layout};
use crate::sim::config::config;

/// Pages of its own.
pub(crate) struct Memory {
    base: *mut u8,
    len: usize,
}

// SAFETY: the pages belong to this object; what is written there from several threads at once is bytes of
// a program that misuses its buffers, and that is what it gets on a real driver.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Accessible memory; None if there is none.
    pub(crate) fn new(len: usize) -> Option<Self> {
        let (access, kind) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping that overlays nothing.
        let base = unsafe { libc::mmap(null_mut(), len.max(1), access, kind, -1, 0) };
        (base != libc::MAP_FAILED).then_some(Self { base: base.cast(), len })
    }

    pub(crate) fn base(&self) -> *mut u8 {
        self.base
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Lets the program access it, or not.
    pub(crate) fn allow(&self, access: bool) {
        let access = if access { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_NONE };
        // SAFETY: the object's own pages; a program that still uses them is meant to fault.
        let result = unsafe { libc::mprotect(self.base.cast(), self.len.max(1), access) };
        assert_eq!(result, 0, "mprotect: {}", std::io::Error::last_os_error());
    }

    /// Copies bytes to its start.
    pub(crate) fn write(&self, bytes: &[u8]) {
        let len = bytes.len().min(self.len);
        // SAFETY: within the pages, which are accessible now and which no safe reference covers.
        unsafe { self.base.copy_from_nonoverlapping(bytes.as_ptr(), len) };
    }

    /// Its bytes, copied.
    pub(crate) fn read(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        // SAFETY: as in `write`.
        unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(self.base, self.len) };
        bytes
    }

    /// Fills it with noise.
    pub(crate) fn fill(&self) {
        // SAFETY: as in `write`; nothing else refers to the pages of a buffer that is being made.
        let bytes = unsafe { std::slice::from_raw_parts_mut(self.base, self.len) };
        fill_noise(mix(config().seed), bytes);
    }

    /// Writes a region of a picture, in samples from (x, y) of its own to (0, 0) of this memory. Returns the
    /// number of bytes.
    pub(crate) fn write_picture(
        &self,
        layout: &Layout,
        format: Format,
        content: Content,
        region: Region,
    ) -> u64 {
        let Region { x, y, width, height } = region;
        let (left, row) =
            (x * format.sample_bytes(), width.next_multiple_of(2) * format.sample_bytes());
        let mut line = vec![0; left + row];
        let mut put = |plane, line_number: usize, offset: usize, row: usize| {
            content.fill_row(plane, line_number, format.depth(), &mut line);
            assert!(offset + row <= self.len, "a layout is within its memory");
            // SAFETY: checked just now; else as in `write`.
            unsafe { self.base.add(offset).copy_from_nonoverlapping(line[left..].as_ptr(), row) };
        };
        let luma_row = width * format.sample_bytes();
        for i in 0..height {
            put(Plane::Luma, y + i, layout.luma + i * layout.pitch, luma_row);
        }
        for i in 0..height.div_ceil(2) {
            put(Plane::Chroma, y / 2 + i, layout.chroma + i * layout.pitch, row);
        }
        (luma_row * height + row * height.div_ceil(2)) as u64
    }
}

/// A rectangle of a picture, in samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region {
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the object's own pages, mapped in `new` and used by nobody after it.
        unsafe { libc::munmap(self.base.cast(), self.len.max(1)) };
    }
}
