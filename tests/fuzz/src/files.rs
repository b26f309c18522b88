//! A camera's directory, with files that are rewritten for each input.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vas_frame::CameraId;
use vas_frame::layout::{DATA_FILE, MAX_SLOTS, META_FILE, READERS_FILE};

use crate::honest;
use crate::meta::{self, MetaWord};
use crate::script::{Length, Meta, Poke};

/// Longest `frame.data` that is filled.
const LONGEST_DATA: u64 = 1 << 18;
/// The size of the largest ring that a header can state.
const HUGE_DATA: u64 = MAX_SLOTS as u64 * u32::MAX as u64;
/// Each word of `frame.data` holds its own offset.
const WORD: u64 = size_of::<u32>() as u64;

/// The camera.
pub(crate) fn camera() -> CameraId {
    CameraId::new("gate").unwrap()
}

/// A new export directory on tmpfs.
pub(crate) fn temporary() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("vas-fuzz-").tempdir_in("/dev/shm").unwrap()
}

/// A camera's files, and the lock that makes their writer look alive.
pub(crate) struct Files {
    root: tempfile::TempDir,
    bytes: Bytes,
    honest: Vec<u8>,
    inode: u64,
    /// How many bytes of `frame.data` are filled.
    filled: u64,
}

/// The files' bytes, for changes during a run.
#[derive(Clone)]
pub(crate) struct Bytes {
    meta: Arc<File>,
    data: Arc<File>,
    meta_len: u64,
    data_len: u64,
    data_poked: Arc<AtomicBool>,
}

impl Files {
    pub(crate) fn new() -> Self {
        let root = temporary();
        let honest = honest::meta(root.path());
        let dir = root.path().join(camera().as_str());
        std::fs::create_dir(&dir).unwrap();
        let create = |name| {
            let mut options = File::options();
            Arc::new(options.read(true).write(true).create_new(true).open(dir.join(name)).unwrap())
        };
        create(READERS_FILE);
        let (meta, data) = (create(META_FILE), create(DATA_FILE));
        let inode = data.metadata().unwrap().ino();
        let bytes = Bytes { meta, data, meta_len: 0, data_len: 0, data_poked: Arc::default() };
        Self { root, bytes, honest, inode, filled: 0 }
    }

    /// The export directory.
    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Writes the files that an input describes. They must not be mapped: they may become shorter.
    pub(crate) fn prepare(&mut self, meta: &Meta<'_>, data_len: Length) {
        let image = meta::image(meta, &self.honest, self.inode);
        self.bytes.meta.write_all_at(&image, 0).unwrap();
        self.bytes.meta_len = image.len() as u64;
        self.bytes.meta.set_len(self.bytes.meta_len).unwrap();
        self.bytes.data_len = match data_len {
            Length::Honest => honest::DATA_LEN,
            Length::Bytes(len) => u64::from(len) % (LONGEST_DATA + 1),
            Length::Huge => HUGE_DATA,
        };
        self.fill_data();
    }

    fn fill_data(&mut self) {
        let Bytes { data, data_len, data_poked, .. } = &self.bytes;
        if data_poked.swap(false, Ordering::Relaxed) {
            self.filled = 0;
        }
        data.set_len(*data_len).unwrap();
        self.filled = self.filled.min(*data_len);
        if *data_len > LONGEST_DATA || self.filled == *data_len {
            return;
        }
        let first = self.filled / WORD;
        let words = first as u32..data_len.div_ceil(WORD) as u32;
        let mut bytes: Vec<u8> =
            words.flat_map(|word| (word * WORD as u32).to_le_bytes()).collect();
        bytes.truncate((data_len - first * WORD) as usize);
        data.write_all_at(&bytes, first * WORD).unwrap();
        self.filled = *data_len;
    }
}

impl Bytes {
    /// Whether every word of `frame.data` holds its offset.
    pub(crate) fn data_is_located(&self) -> bool {
        self.data_len <= LONGEST_DATA
            && self.data_len.is_multiple_of(WORD)
            && !self.data_poked.load(Ordering::Relaxed)
    }

    pub(crate) fn data_len(&self) -> u64 {
        self.data_len
    }

    /// Changes a few bytes, and never the length.
    pub(crate) fn poke(&self, poke: &Poke) {
        for edit in meta::edits(poke, self.meta_len) {
            let MetaWord { at, len } = edit.place;
            if at + len as u64 <= self.meta_len {
                let mut word = [0; 8];
                self.meta.read_exact_at(&mut word[..len], at).unwrap();
                let value = edit.of(u64::from_le_bytes(word)).to_le_bytes();
                self.meta.write_all_at(&value[..len], at).unwrap();
            }
        }
        if let Poke::Data { at, xor } = *poke {
            self.poke_data(at, xor);
        }
    }

    fn poke_data(&self, at: u32, xor: u8) {
        let len = self.data_len.min(LONGEST_DATA);
        if len > 0 {
            self.data_poked.store(true, Ordering::Relaxed);
            let at = u64::from(at) % len;
            let mut byte = [0];
            self.data.read_exact_at(&mut byte, at).unwrap();
            self.data.write_all_at(&[byte[0] ^ xor], at).unwrap();
        }
    }

    /// Takes or drops the lock that shows that the writer is alive.
    pub(crate) fn set_writer(&self, lives: bool) {
        let mut lock = libc::flock {
            l_type: if lives { libc::F_WRLCK } else { libc::F_UNLCK } as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        // SAFETY: the descriptor is open, and the command reads one `struct flock`.
        let done = unsafe { libc::fcntl(self.meta.as_raw_fd(), libc::F_OFD_SETLK, &raw mut lock) };
        assert_eq!(done, 0, "nobody else locks the file");
    }
}
