//! The last ids of a camera's previous writer, if it left its files behind.

use std::fs::File;
use std::io::Read as _;

use rustix::fs::{Mode, OFlags, openat};

use super::files::Folder;
use crate::layout::{self, META_FILE};

/// The highest ids used before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LastWords {
    pub(super) epoch: u64,
    pub(super) frame_id: u64,
}

impl LastWords {
    /// Reads them from the `frame.meta` of a dead writer; zero where the file is not valid.
    pub(super) fn read(folder: &Folder) -> Self {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = openat(&folder.fd, META_FILE, flags, Mode::empty()) else {
            return Self::default();
        };
        let mut header = [0; size_of::<layout::Header>()];
        match File::from(file).read_exact(&mut header) {
            Ok(()) => Self::of(&header),
            Err(_) => Self::default(),
        }
    }

    fn of(header: &[u8; size_of::<layout::Header>()]) -> Self {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| header[at + i]));
        if word(64) != layout::MAGIC {
            return Self::default();
        }
        // A value near the maximum would leave no room above it; no honest writer reaches it.
        let sane = |value: u64| if value < u64::MAX >> 8 { value } else { 0 };
        // A claimed frame may have been numbered and never published.
        let slack = u64::from(layout::MAX_SLOTS);
        Self { epoch: sane(word(128)), frame_id: sane(word(8)) + slack }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_files_yield_no_ids() {
        let mut header = [0xff; 512];
        assert_eq!(LastWords::of(&header), LastWords::default());
        header[64..72].copy_from_slice(&layout::MAGIC.to_le_bytes());
        assert_eq!(LastWords::of(&header), LastWords { epoch: 0, frame_id: 1024 });
        header[128..136].copy_from_slice(&7u64.to_le_bytes());
        header[8..16].copy_from_slice(&9u64.to_le_bytes());
        assert_eq!(LastWords::of(&header), LastWords { epoch: 7, frame_id: 1033 });
    }
}
