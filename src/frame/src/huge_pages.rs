//! Mappings that huge pages can back, and files that are made of them.
//!
//! Between two frames of a camera the translations of small pages fall out of the processor's caches, and a picture
//! of 1080p has 760 of them. How much that costs depends on the machine (docs/performance.md). A mapping gets huge
//! pages only where its address and its offset in the file agree modulo their size, which the kernel leaves to
//! chance for tmpfs mounted without `huge=`, so [`AlignedMap`] chooses the address.

use std::fs::File;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate, ftruncate};
use rustix::io::Errno;
use rustix::mm::{
    Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap, mmap_anonymous, mprotect, munmap,
};

/// Bytes of a huge page, where small ones have [`SMALL_PAGE`] bytes.
const HUGE_PAGE: usize = 2 << 20;
const SMALL_PAGE: usize = 4096;

/// After this time the rest of a file gets small pages.
const COLLAPSE_WITHIN: Duration = Duration::from_millis(200);
const COLLAPSE_TRIES: u32 = 3;

/// Since Linux 6.1; neither rustix nor libc names it.
const MADV_COLLAPSE: i32 = 25;

/// How much of a file huge pages back, and why not more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HugePages {
    bytes: u64,
    refused: Option<Errno>,
}

impl HugePages {
    /// The most bytes of a file of `len` bytes that huge pages can back: whole ones. The file takes `len` bytes either
    /// way.
    #[must_use]
    pub fn at_most(len: u64) -> u64 {
        len / HUGE_PAGE as u64 * HUGE_PAGE as u64
    }

    /// Bytes that huge pages back: a multiple of their size.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The kernel's answer to the first huge page that it refused. All after it are small pages.
    #[must_use]
    pub fn refused(&self) -> Option<std::io::Error> {
        self.refused.map(Into::into)
    }
}

/// A mapping that begins on a boundary of huge pages if it is long enough to hold one.
#[derive(Debug)]
pub(crate) struct AlignedMap {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to no thread. Whoever reads or writes through its pointers argues for that itself.
unsafe impl Send for AlignedMap {}
// SAFETY: as above; `&self` gives a pointer and a length, no more.
unsafe impl Sync for AlignedMap {}

impl AlignedMap {
    /// Maps the first `len` bytes of a file for reading.
    pub(crate) fn read_only(file: &File, len: usize) -> rustix::io::Result<Self> {
        Self::of_file(file, len, ProtFlags::READ, MapFlags::empty())
    }

    /// Maps the first `len` bytes of a file for writing, and all of its pages in, so that no later store faults.
    pub(crate) fn populated(file: &File, len: usize) -> rustix::io::Result<Self> {
        Self::of_file(file, len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::POPULATE)
    }

    fn of_file(
        file: &File,
        len: usize,
        protection: ProtFlags,
        flags: MapFlags,
    ) -> rustix::io::Result<Self> {
        let map = Self::reserve(len)?;
        let flags = MapFlags::SHARED | MapFlags::FIXED | flags;
        // SAFETY: replaces pages of the reservation, which nobody has a pointer to yet, and no other ones.
        let mapped =
            unsafe { mmap(map.start.as_ptr().cast(), len, protection, flags, file.as_fd(), 0) };
        if let Err(error) = mapped {
            // The kernel may have unmapped the range, and another thread mapped something there (mmap(2)).
            std::mem::forget(map);
            return Err(error);
        }
        Ok(map)
    }

    /// Maps zeros of one's own, and asks for huge pages where whole ones fit in. Memory is taken as it is touched.
    pub(crate) fn zeroed(len: usize) -> rustix::io::Result<Self> {
        let map = Self::reserve(len)?;
        let start = map.start.as_ptr().cast();
        // SAFETY: the reservation is ours, and private: zeros appear where nothing was.
        unsafe { mprotect(start, len, MprotectFlags::READ | MprotectFlags::WRITE)? };
        // A kernel without huge pages is no reason to fail.
        // SAFETY: changes what backs the pages, not what they hold.
        let _ = unsafe { madvise(start, len, Advice::LinuxHugepage) };
        Ok(map)
    }

    /// Reserves addresses that nothing can be read from or written to.
    fn reserve(len: usize) -> rustix::io::Result<Self> {
        let page = page_size();
        let slack = if len >= HUGE_PAGE { HUGE_PAGE.saturating_sub(page) } else { 0 };
        let reserved = len.checked_add(slack).ok_or(Errno::NOMEM)?;
        // SAFETY: a new mapping, at addresses that the kernel chooses.
        let first = unsafe {
            mmap_anonymous(ptr::null_mut(), reserved, ProtFlags::empty(), MapFlags::PRIVATE)?
        };
        let first = NonNull::new(first.cast::<u8>()).expect("the kernel maps nothing at address 0");
        let before = if slack == 0 { 0 } else { first.align_offset(HUGE_PAGE) };
        // SAFETY: within the reservation: from a page to a boundary of huge pages it is at most `slack`.
        let start = unsafe { first.add(before) };
        let map = Self { start, len };
        // What is left over on both sides. Failing to give it back costs addresses, no memory.
        // SAFETY: these parts of the reservation are in nobody's hands.
        unsafe {
            if before > 0 {
                let _ = munmap(first.as_ptr().cast(), before);
            }
            let end = len.next_multiple_of(page);
            if slack > before {
                let _ = munmap(start.as_ptr().add(end).cast(), slack - before);
            }
        }
        Ok(map)
    }

    /// Keeps the pages out of core files.
    pub(crate) fn keep_out_of_core_files(&self) -> rustix::io::Result<()> {
        // SAFETY: changes what a core file holds, not the pages.
        unsafe { madvise(self.start.as_ptr().cast(), self.len, Advice::LinuxDontDump) }
    }

    pub(crate) fn as_ptr(&self) -> *const u8 {
        self.start.as_ptr()
    }

    pub(crate) fn as_mut_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for AlignedMap {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and whoever uses its pointers keeps it alive.
        if let Err(e) = unsafe { munmap(self.start.as_ptr().cast(), self.len) } {
            tracing::error!("can't unmap {} bytes: {e}", self.len);
        }
    }
}

/// Bytes of one's own, all zero at first, on huge pages from 2 MiB on.
#[derive(Debug)]
pub(crate) enum Buffer {
    Small(Vec<u8>),
    Large(AlignedMap),
}

impl Buffer {
    /// The last huge page is used in part only: for 1080p that is 0.9 MiB more than the picture.
    pub(crate) fn new(len: usize) -> Self {
        let large = (len >= HUGE_PAGE).then(|| AlignedMap::zeroed(len.next_multiple_of(HUGE_PAGE)));
        match large {
            Some(Ok(map)) => Self::Large(map),
            // No room for it: the allocator has its own way to say so.
            Some(Err(_)) | None => Self::Small(vec![0; len]),
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Small(bytes) => bytes,
            // SAFETY: the whole mapping is readable, private, and initialized: by zeros or by us.
            Self::Large(map) => unsafe { std::slice::from_raw_parts(map.as_ptr(), map.len()) },
        }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        match self {
            Self::Small(bytes) => bytes,
            // SAFETY: as above, and `self` is borrowed mutably.
            Self::Large(map) => unsafe {
                std::slice::from_raw_parts_mut(map.as_mut_ptr(), map.len())
            },
        }
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Self::Small(Vec::new())
    }
}

/// Gives an empty file its length and all of its memory, in huge pages as far as the kernel has them.
///
/// Only whole huge pages within `len` are asked for, so the file takes exactly `len` bytes, rounded up to small
/// pages, whether it gets them or not.
///
/// # Errors
/// `ENOSPC` and the like, where the file's memory can't be had at all. Huge pages that can't be had are no error.
pub(crate) fn allocate(file: &File, len: usize) -> rustix::io::Result<HugePages> {
    let huge = if len >= HUGE_PAGE && page_size() == SMALL_PAGE {
        ftruncate(file, len as u64)?;
        let map = AlignedMap::read_only(file, len)?;
        collapse(file, &map)
    } else {
        HugePages::default()
    };
    // `fallocate` turns "no room" into an error here and now instead of SIGBUS at a store.
    fallocate_all(file, 0, len)?;
    Ok(huge)
}

/// Backs each whole huge page's worth of an empty file with one, and stops at the first that is refused, and when it
/// takes long: writers that share an export directory allocate in turns.
fn collapse(file: &File, map: &AlignedMap) -> HugePages {
    let mut huge = HugePages::default();
    let start = Instant::now();
    for at in (0..map.len() / HUGE_PAGE).map(|i| i * HUGE_PAGE) {
        // The kernel collapses no hole, and copies what is there: one small page is the least. Were all allocated
        // first, each byte would be cleared, copied, and for a moment held twice.
        let in_time = start.elapsed() < COLLAPSE_WITHIN;
        let seeded = if in_time { fallocate_all(file, at, SMALL_PAGE) } else { Err(Errno::TIME) };
        if let Err(error) = seeded.and_then(|()| collapse_one(map, at)) {
            huge.refused = Some(error);
            break;
        }
        huge.bytes += HUGE_PAGE as u64;
    }
    huge
}

/// Has one huge page back the range at `at`, whose first small page is allocated.
fn collapse_one(map: &AlignedMap, at: usize) -> rustix::io::Result<()> {
    // SAFETY: `allocate` and `collapse` stay within the mapping.
    let start = unsafe { map.as_mut_ptr().add(at) };
    // Kernels before 6.11 or so refuse a range that has no page table yet. This makes one, and does nothing where it
    // is not known (before 5.14).
    // SAFETY: maps a page that exists.
    let _ = unsafe { madvise(start.cast(), SMALL_PAGE, Advice::LinuxPopulateRead) };
    let mut outcome = Ok(());
    for _ in 0..COLLAPSE_TRIES {
        // SAFETY: the range lies in the mapping; the advice changes what backs it, not what it holds.
        outcome = match unsafe { libc::madvise(start.cast(), HUGE_PAGE, MADV_COLLAPSE) } {
            0 => Ok(()),
            _ => Err(last_error()),
        };
        // Something else has the small page for a moment.
        if outcome != Err(Errno::AGAIN) {
            break;
        }
    }
    outcome
}

/// Bytes of a page, by libc: rustix asks the auxiliary vector in a way that valgrind does not survive.
fn page_size() -> usize {
    // SAFETY: asks for a constant of the system.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(SMALL_PAGE)
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

fn fallocate_all(file: &File, at: usize, len: usize) -> rustix::io::Result<()> {
    loop {
        match fallocate(file, FallocateFlags::empty(), at as u64, len as u64) {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}
