//! Open-file-description locks: the kernel releases them when their holder dies.
//!
//! Classic POSIX locks belong to a process and vanish when any of its descriptors closes; `flock` can't
//! be queried without taking the lock. OFD locks belong to the open file and can be queried.

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Takes the write lock on the whole file; `false` if another holder has a lock on it.
pub(crate) fn try_write_lock(file: BorrowedFd<'_>) -> io::Result<bool> {
    try_lock(file, libc::F_WRLCK, 0, 0)
}

/// Takes a read lock on one byte, which may lie beyond the end of the file.
pub(crate) fn try_read_lock_byte(file: BorrowedFd<'_>, byte: u64) -> io::Result<bool> {
    try_lock(file, libc::F_RDLCK, byte as i64, 1)
}

/// Whether another open file holds the write lock.
pub(crate) fn is_write_locked(file: BorrowedFd<'_>) -> io::Result<bool> {
    let mut lock = request(libc::F_RDLCK, 0, 0);
    fcntl(file, libc::F_OFD_GETLK, &mut lock)?;
    Ok(i32::from(lock.l_type) == libc::F_WRLCK)
}

/// Bytes of `within` on which another open file holds a lock of any kind: some of them, not necessarily the
/// first, since the kernel lists locks by owner. `None` if there is none.
pub(crate) fn locked_bytes(
    file: BorrowedFd<'_>,
    within: Range<u64>,
) -> io::Result<Option<Range<u64>>> {
    let len = within.end.saturating_sub(within.start);
    if len == 0 {
        return Ok(None);
    }
    // A write lock conflicts with every kind of lock, so the kernel returns one of the conflicting
    // locks.
    let mut lock = request(libc::F_WRLCK, within.start as i64, len as i64);
    fcntl(file, libc::F_OFD_GETLK, &mut lock)?;
    if i32::from(lock.l_type) == libc::F_UNLCK {
        return Ok(None);
    }
    let start = lock.l_start as u64;
    let end = if lock.l_len == 0 { within.end } else { start.saturating_add(lock.l_len as u64) };
    Ok(Some(start.max(within.start)..end.min(within.end)))
}

fn try_lock(file: BorrowedFd<'_>, kind: i32, start: i64, len: i64) -> io::Result<bool> {
    match fcntl(file, libc::F_OFD_SETLK, &mut request(kind, start, len)) {
        Ok(()) => Ok(true),
        Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(e) => Err(e),
    }
}

/// A lock request; a length of 0 reaches to the end of the file, however long it grows.
fn request(kind: i32, start: i64, len: i64) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: len,
        // OFD commands require 0 here.
        l_pid: 0,
    }
}

fn fcntl(file: BorrowedFd<'_>, command: libc::c_int, lock: &mut libc::flock) -> io::Result<()> {
    // SAFETY: the descriptor is open (it is borrowed), and the three lock commands read and write one
    // `struct flock`, which `lock` points to.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, std::ptr::from_mut(lock)) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn one_writer_holds_the_lock_and_its_death_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = File::create(&path).unwrap();
        let second = File::options().write(true).open(&path).unwrap();
        let reader = File::open(&path).unwrap();
        assert!(!is_write_locked(reader.as_fd()).unwrap());
        assert!(try_write_lock(first.as_fd()).unwrap());
        assert!(!try_write_lock(second.as_fd()).unwrap());
        assert!(is_write_locked(reader.as_fd()).unwrap());
        drop(first);
        assert!(!is_write_locked(reader.as_fd()).unwrap());
        assert!(try_write_lock(second.as_fd()).unwrap());
    }

    #[test]
    fn a_readers_lock_on_one_byte_does_not_block_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("readers");
        let writer = File::create(&path).unwrap();
        let (a, b) = (File::open(&path).unwrap(), File::open(&path).unwrap());
        assert!(try_read_lock_byte(a.as_fd(), 1 << 20).unwrap());
        assert!(try_read_lock_byte(b.as_fd(), 1 << 20).unwrap());
        // A read lock is not a write lock.
        assert!(!is_write_locked(writer.as_fd()).unwrap());
    }

    #[test]
    fn locks_are_found_by_their_bytes_and_vanish_with_their_holders() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("readers");
        let writer = File::create(&path).unwrap();
        let found = |within| locked_bytes(writer.as_fd(), within).unwrap();
        assert_eq!(found(0..u64::MAX >> 1), None);
        let (a, b) = (File::open(&path).unwrap(), File::open(&path).unwrap());
        assert!(try_read_lock_byte(a.as_fd(), 1000).unwrap());
        assert!(try_read_lock_byte(b.as_fd(), 1007).unwrap());
        assert_eq!((found(0..1007), found(1000..1007)), (Some(1000..1001), Some(1000..1001)));
        assert_eq!((found(1001..5000), found(1008..5000)), (Some(1007..1008), None));
        assert_eq!((found(0..1000), found(1000..1000)), (None, None));
        drop(a);
        assert_eq!(found(0..5000), Some(1007..1008));
        drop(b);
        // A lock on the whole file is found in every range.
        let everything = File::open(&path).unwrap();
        assert!(try_lock(everything.as_fd(), libc::F_RDLCK, 0, 0).unwrap());
        assert_eq!(found(500..600), Some(500..600));
    }
}
