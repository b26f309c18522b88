//! The service's side: looks through the readers directory, where anyone who may write there puts what they like.
//!
//! House rules. Nothing is written, and nothing is mapped: a file that becomes shorter would be SIGBUS. Nothing can
//! block: no link, FIFO or mount is followed or waited for. Each pass does a bounded amount of work and keeps a
//! bounded number of descriptors, whatever the directory holds; no user's files can crowd out those of another.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{Ordering, fence};

use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, open, openat2};
use rustix::io::Errno;

use super::layout::{FILE_SIZE, SUFFIX};
use super::parse::{Malformed, ReaderReport, SEQUENCE_AT, parse, sequence};
use crate::clock::monotonic_ns;
use crate::lock;

/// How often a file is read again that its reader changes meanwhile.
const TRIES: u32 = 4;

/// Looks through a readers directory, again and again.
///
/// Files of live readers stay open from one pass to the next. A file counts as live as long as a process holds a
/// write lock on it, which the kernel drops when the process dies.
#[derive(Debug)]
pub struct Scanner {
    path: PathBuf,
    folder: Option<Folder>,
}

/// What a pass found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scan {
    /// The live readers, each with the id of the user that owns its file, by file name.
    pub readers: Vec<(u32, ReaderReport)>,
    /// Live files that were left out because of [`Scanner::MAX_READERS`] or [`Scanner::MAX_PER_USER`], as far as this
    /// and the pass before it have looked.
    pub left_out: usize,
}

/// The directory that the path named at the last pass.
#[derive(Debug)]
struct Folder {
    fd: OwnedFd,
    id: (u64, u64),
    /// Where the search for new names goes on.
    names: Dir,
    known: BTreeMap<CString, Known>,
    left_out: LeftOut,
}

/// Files left out in the search that goes on, and in the last one that reached the end.
#[derive(Clone, Copy, Debug, Default)]
struct LeftOut {
    so_far: usize,
    last: usize,
}

/// A live reader's file.
#[derive(Debug)]
struct Known {
    file: File,
    inode: u64,
    uid: u32,
    report: ReaderReport,
}

impl Scanner {
    /// The most readers that are reported, and descriptors that are kept.
    pub const MAX_READERS: usize = 256;
    /// The most readers of one user.
    pub const MAX_PER_USER: usize = 128;
    /// The most names that one pass looks at. A directory with more is searched over several passes.
    pub const MAX_NAMES: usize = 512;

    /// A scanner of the directory at `path`, which need not exist.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), folder: None }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks through the directory once. A directory that does not exist has no readers.
    ///
    /// # Errors
    /// The directory can't be opened or read.
    pub fn scan(&mut self) -> io::Result<Scan> {
        self.reopen()?;
        let Some(folder) = &mut self.folder else { return Ok(Scan::default()) };
        folder.known.retain(|_, known| known.refresh());
        folder.search()?;
        let readers = folder.known.values().map(|known| (known.uid, known.report.clone()));
        let left_out = folder.left_out.so_far.max(folder.left_out.last);
        Ok(Scan { readers: readers.collect(), left_out })
    }

    /// Follows the path to another directory, if it names another one now.
    fn reopen(&mut self) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let opened = open(&self.path, flags, Mode::empty());
        let fd = match opened {
            Ok(fd) => fd,
            Err(e) => {
                self.folder = None;
                return if e == Errno::NOENT { Ok(()) } else { Err(e.into()) };
            }
        };
        let stat = fstat(&fd)?;
        let id = (stat.st_dev, stat.st_ino);
        if self.folder.as_ref().is_none_or(|folder| folder.id != id) {
            let names = Dir::read_from(&fd)?;
            let known = BTreeMap::new();
            self.folder = Some(Folder { fd, id, names, known, left_out: LeftOut::default() });
        }
        Ok(())
    }
}

impl Folder {
    /// Looks for new files among the next names, and begins again at the end.
    fn search(&mut self) -> io::Result<()> {
        let mut of_user: HashMap<u32, usize> = HashMap::new();
        self.known.values().for_each(|known| *of_user.entry(known.uid).or_default() += 1);
        let mut inodes: HashSet<u64> = self.known.values().map(|known| known.inode).collect();
        for _ in 0..Scanner::MAX_NAMES {
            let Some(entry) = self.names.read() else {
                self.names.rewind();
                self.left_out = LeftOut { so_far: 0, last: self.left_out.so_far };
                break;
            };
            let entry = entry?;
            let name = entry.file_name();
            if !name.to_bytes().ends_with(SUFFIX.as_bytes()) || self.known.contains_key(name) {
                continue;
            }
            let Some(known) = Known::open(&self.fd, name) else { continue };
            // Another name of a file that is listed already.
            if inodes.contains(&known.inode) {
                continue;
            }
            let of_user = of_user.entry(known.uid).or_default();
            if *of_user == Scanner::MAX_PER_USER || self.known.len() == Scanner::MAX_READERS {
                self.left_out.so_far += 1;
                continue;
            }
            *of_user += 1;
            inodes.insert(known.inode);
            self.known.insert(name.into(), known);
        }
        Ok(())
    }
}

impl Known {
    /// Opens a live reader's file; `None` for anything else, without waiting for anything.
    fn open(folder: impl AsFd, name: &std::ffi::CStr) -> Option<Self> {
        // Non-blocking for FIFOs and leases, and no mounts: a file system of a user's own may never answer.
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let file: File = openat2(folder, name, flags, Mode::empty(), resolve).ok()?.into();
        let stat = fstat(&file).ok().filter(is_plausible)?;
        let report = is_live(&file).then(|| read(&file)).flatten()?;
        Some(Self { file, inode: stat.st_ino, uid: stat.st_uid, report })
    }

    /// Reads the file again; `false` if it is not a live reader's any more.
    fn refresh(&mut self) -> bool {
        if !fstat(&self.file).is_ok_and(|stat| is_plausible(&stat)) || !is_live(&self.file) {
            return false;
        }
        match read_once(&self.file) {
            Ok(report) => self.report = report,
            // A reader that was stopped while it changed its file: what it stated last still holds.
            Err(Some(Malformed::Changing)) => {}
            Err(_) => return false,
        }
        true
    }
}

/// A regular file of the right size that still has a name. It may have several: a link that another user made must not
/// hide a reader.
fn is_plausible(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        && stat.st_size == FILE_SIZE as i64
        && stat.st_nlink > 0
}

fn is_live(file: &File) -> bool {
    lock::is_write_locked(file.as_fd()).unwrap_or(false)
}

/// Reads a file of which nothing is known yet.
fn read(file: &File) -> Option<ReaderReport> {
    (0..TRIES).find_map(|_| read_once(file).ok())
}

/// Reads a file once. An error without a cause is the system's.
fn read_once(file: &File) -> Result<ReaderReport, Option<Malformed>> {
    let mut before = [0; size_of::<u64>()];
    file.read_exact_at(&mut before, SEQUENCE_AT as u64).map_err(|_| None)?;
    // Partner: the release store that ends `Telemetry::taken`.
    fence(Ordering::Acquire);
    let mut bytes = [0; FILE_SIZE];
    file.read_exact_at(&mut bytes, 0).map_err(|_| None)?;
    // Partner: the release fence behind the odd sequence. If a later change was read, so is its sequence.
    fence(Ordering::Acquire);
    let mut after = [0; size_of::<u64>()];
    file.read_exact_at(&mut after, SEQUENCE_AT as u64).map_err(|_| None)?;
    if before != after || u64::from_le_bytes(before) != sequence(&bytes) {
        return Err(Some(Malformed::Changing));
    }
    parse(&bytes, monotonic_ns()).map_err(Some)
}
