//! The bytes of a reader's file, version 1: little-endian, offsets checked at compile time.
//!
//! The tables [`HEADER`] and [`WINDOW`] are the single source: the structs are generated with them, and a test compares
//! `docs/ref/reader-telemetry.md` with them.

use std::sync::atomic::{AtomicU32, AtomicU64};

use super::ages::BUCKETS;
use crate::layout::{Field, layout_of};

/// `VASREADR` at byte 0, as a little-endian word.
pub const MAGIC: u64 = u64::from_le_bytes(*b"VASREADR");
/// Version of the layout, at byte 8.
pub const VERSION: u32 = 1;
/// How a reader's file name ends. Files with other names are ignored.
pub const SUFFIX: &str = ".reader";
/// Bytes of a name in the file, a closing NUL included.
pub const NAME_BYTES: usize = 64;
/// How many windows a file has: one being filled, and the one before.
pub const WINDOWS: usize = 2;
/// Bytes of a reader's file: the header and the windows.
pub const FILE_SIZE: usize = size_of::<Header>() + WINDOWS * size_of::<Window>();

/// How long one window is filled before the next one begins.
pub(super) const WINDOW_NS: u64 = 30_000_000_000;
/// A window counts if it began no longer ago than this.
pub(super) const RECENT_NS: u64 = 2 * WINDOW_NS;

layout_of! {
    /// Bytes 0 to 511: who the reader is, constant, and from byte 256 on what it did since it was opened.
    pub struct Header = HEADER, "header", 512 {
        0 => magic: AtomicU64, "the bytes VASREADR";
        8 => version: AtomicU32, "1";
        12 => file_size: AtomicU32, "2944";
        16 => pid: AtomicU32, "process id, as the process sees itself";
        20 => max_millihertz: AtomicU32, "the rate that it asks for, in thousandths of a frame a second, rounded up; 0: every frame";
        24 => opened_ns: AtomicU64, "when it was opened, CLOCK_MONOTONIC";
        32 => reserved_32: [AtomicU64; 4], "zero";
        64 => camera_id: [AtomicU64; 8], "the camera: UTF-8, padded with NUL";
        128 => name: [AtomicU64; 8], "the name that its user gave it, such as the model's: UTF-8, padded with NUL";
        192 => program: [AtomicU64; 8], "the program's file name: UTF-8, padded with NUL";
        256 => sequence: AtomicU64, "guards all that follows except overwritten; odd while it changes";
        264 => taken: AtomicU64, "frames that calls returned; a frame returned again counts once";
        272 => missed: AtomicU64, "frames that were overwritten before they were returned, to a caller that wants each one, as far as it knows";
        280 => last_frame_id: AtomicU64, "id of the frame last returned; 0 before the first";
        288 => last_taken_ns: AtomicU64, "when it was returned, CLOCK_MONOTONIC";
        296 => reserved_296: [AtomicU64; 3], "zero";
        320 => overwritten: AtomicU64, "frames that were overwritten while they were read; not guarded by sequence";
        328 => reserved_328: [AtomicU64; 23], "zero";
    }
}

layout_of! {
    /// One of two half minutes: its counts, and a histogram of ages.
    pub struct Window = WINDOW, "window", 1216 {
        0 => start_ns: AtomicU64, "when it began, CLOCK_MONOTONIC; 0: never";
        8 => taken: AtomicU64, "frames that calls returned since then";
        16 => missed: AtomicU64, "as in the header, since then";
        24 => overwritten: AtomicU64, "as in the header, since then";
        32 => reserved_32: [AtomicU64; 4], "zero";
        64 => ages: Ages, "u32 each: frames by their age when they were returned, see below";
        1156 => reserved_1156: [AtomicU32; 15], "zero";
    }
}

/// The buckets of a window.
pub type Ages = [AtomicU32; BUCKETS];

/// The whole file, as a mapping of it is used.
#[repr(C, align(64))]
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) header: Header,
    pub(super) windows: [Window; WINDOWS],
}

const _: () = assert!(size_of::<Layout>() == FILE_SIZE && FILE_SIZE <= 4096);

/// A text as NUL-padded bytes, cut to fit at a character's boundary.
pub(super) fn padded(text: &str) -> [u8; NAME_BYTES] {
    let mut bytes = [0; NAME_BYTES];
    let fits = |end: &usize| text.is_char_boundary(*end);
    let end = (0..=text.len().min(NAME_BYTES - 1)).rev().find(fits).unwrap_or(0);
    bytes[..end].copy_from_slice(&text.as_bytes()[..end]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_states_this_layout() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ref/reader-telemetry.md");
        let page = std::fs::read_to_string(path).expect("docs/ref/reader-telemetry.md exists");
        crate::layout::tests::assert_table(&page, "## Header", HEADER);
        crate::layout::tests::assert_table(&page, "## Windows", WINDOW);
    }

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!(padded("ab")[..4], *b"ab\0\0");
        let bytes = padded(&"\u{e4}".repeat(40));
        assert_eq!((bytes[61], bytes[62], bytes[63]), (0xa4, 0, 0), "31 of two bytes each");
    }
}
