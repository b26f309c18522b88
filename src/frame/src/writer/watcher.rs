//! Events of an export's files: readers that attach and detach, files that other processes remove.
//!
//! A reader opens `readers` before it locks a byte of it, and the kernel closes the file when the reader dies. A lock
//! itself causes no event, and the event of a close precedes the release of the lock. So check the locks several times
//! after an event, at growing intervals.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// Bytes read at once: 256 events of `readers`, which carry no name.
const BUFFER: usize = 4096;

/// One inotify descriptor for all exports of a process.
#[derive(Debug)]
pub struct Watcher(OwnedFd);

/// Identifies a watch. The kernel does not reuse the number of an ended watch soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WatchId(i32);

/// What happened to a watched file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// `readers` was opened or closed.
    Readers(WatchId),
    /// A file or directory of the export was removed, renamed or replaced, perhaps by the export itself.
    Files(WatchId),
    /// Events were lost: anything may have happened to anything.
    Overflow,
}

impl Watcher {
    /// A watcher that watches nothing yet.
    ///
    /// # Errors
    /// When the user has as many inotify instances as it may have (`fs.inotify.max_user_instances`), or the process
    /// as many descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?))
    }

    /// Takes some of the pending events without blocking. Returns whether more may be pending.
    pub fn take(&self, mut each: impl FnMut(WatchEvent)) -> bool {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut events = inotify::Reader::new(&self.0, &mut buffer);
        loop {
            match events.next() {
                Ok(event) => each(WatchEvent::of(event.wd(), event.events())),
                Err(Errno::INTR) => continue,
                Err(_) => return false,
            }
            if events.is_buffer_empty() {
                return true;
            }
        }
    }

    /// Watches an open file by its descriptor, since its path may by now refer to another file.
    fn add(self: &Arc<Self>, file: BorrowedFd<'_>, flags: WatchFlags) -> io::Result<Watch> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let id = WatchId(inotify::add_watch(&self.0, path, flags)?);
        Ok(Watch { watcher: Arc::clone(self), id })
    }

    /// Watches `readers`.
    pub(super) fn add_readers(self: &Arc<Self>, file: BorrowedFd<'_>) -> io::Result<Watch> {
        let flags = WatchFlags::OPEN | WatchFlags::CLOSE_NOWRITE | WatchFlags::CLOSE_WRITE;
        self.add(file, flags)
    }

    /// Watches the entries of a directory, and its own name.
    pub(super) fn add_directory(self: &Arc<Self>, directory: BorrowedFd<'_>) -> io::Result<Watch> {
        let names = WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::MOVED_TO;
        let own = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        self.add(directory, names | own)
    }
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl WatchEvent {
    fn of(watch: i32, events: ReadFlags) -> Self {
        let readers = ReadFlags::OPEN | ReadFlags::CLOSE_NOWRITE | ReadFlags::CLOSE_WRITE;
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            Self::Overflow
        } else if events.intersects(readers) {
            Self::Readers(WatchId(watch))
        } else {
            Self::Files(WatchId(watch))
        }
    }
}

/// A watch, which ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    watcher: Arc<Watcher>,
    id: WatchId,
}

impl Watch {
    /// The id in its events.
    #[must_use]
    pub fn id(&self) -> WatchId {
        self.id
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The kernel has already ended the watch of a removed file.
        let _ = inotify::remove_watch(&self.watcher.0, self.id.0);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::fs::File;

    use super::*;

    fn taken(watcher: &Watcher) -> Vec<WatchEvent> {
        let mut events = Vec::new();
        while watcher.take(|event| events.push(event)) {}
        events
    }

    #[test]
    fn opened_and_closed_readers_and_removed_files_cause_events() {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = dir.path().join("readers");
        let (file, folder) = (File::create(&path).unwrap(), File::open(dir.path()).unwrap());
        let watcher = Arc::new(Watcher::new().unwrap());
        let readers = watcher.add_readers(file.as_fd()).unwrap();
        let files = watcher.add_directory(folder.as_fd()).unwrap();
        assert_eq!(taken(&watcher), []);
        let reader = File::open(&path).unwrap();
        assert_eq!(taken(&watcher), [WatchEvent::Readers(readers.id())]);
        assert!(crate::lock::try_read_lock_byte(reader.as_fd(), 1).unwrap());
        assert_eq!(taken(&watcher), [], "a lock is no event");
        drop(reader);
        assert_eq!(taken(&watcher), [WatchEvent::Readers(readers.id())]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(taken(&watcher), [WatchEvent::Files(files.id())]);
        let id = files.id();
        drop(files);
        // The kernel says so; nobody knows the number any more.
        assert_eq!(taken(&watcher), [WatchEvent::Files(id)]);
        std::fs::write(&path, "").unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(taken(&watcher), []);
    }

    #[test]
    fn lost_events_are_reported() {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = dir.path().join("readers");
        let file = File::create(&path).unwrap();
        let watcher = Arc::new(Watcher::new().unwrap());
        let _readers = watcher.add_readers(file.as_fd()).unwrap();
        let most = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        // Two events each: those that follow one of their own kind are merged.
        (0..=most.trim().parse::<u32>().unwrap() / 2)
            .for_each(|_| drop(File::open(&path).unwrap()));
        assert_eq!(taken(&watcher).last(), Some(&WatchEvent::Overflow));
        assert!(!watcher.take(|event| panic!("{event:?}")));
    }
}
