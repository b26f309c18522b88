//! What notifies the ring manager: one inotify descriptor for the exports of all its cameras.
//!
//! A system has a limited number of descriptors and watches. A camera without a watch is polled.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, poll};
use vas_frame::{CameraExport, Watch, WatchEvent, WatchId, Watcher};
use vas_pipeline::Wakeup;

use super::schedule::Key;
use crate::resources::Resources;

/// All watches, and the cameras that they belong to.
pub(super) struct Watches {
    watcher: Option<Arc<Watcher>>,
    cameras: HashMap<WatchId, Key>,
    /// Cameras whose readers are not watched, and whether the log says so.
    missing: usize,
    logged: bool,
    #[cfg(test)]
    most: usize,
}

/// The watches of a camera.
#[derive(Debug, Default)]
pub(super) struct CameraWatches {
    readers: Option<Watch>,
    files: Option<Watch>,
    /// Counted as missing.
    missing: bool,
}

impl Watches {
    pub(super) fn new() -> Self {
        Self {
            watcher: None,
            cameras: HashMap::new(),
            missing: 0,
            logged: false,
            #[cfg(test)]
            most: usize::MAX,
        }
    }

    #[cfg(test)]
    pub(super) fn limit(&mut self, most: Option<usize>) {
        self.most = most.unwrap_or(usize::MAX);
    }

    /// Cameras that are polled.
    #[cfg(test)]
    pub(super) fn missing(&self) -> usize {
        self.missing
    }

    /// Waits for events, for `wakeup`, or until `longest_ns` have passed.
    pub(super) fn wait(&self, wakeup: &Wakeup, longest_ns: u64) {
        let timeout = std::time::Duration::from_nanos(longest_ns).try_into().ok();
        let wakeup = PollFd::from_borrowed_fd(wakeup.as_fd(), PollFlags::IN);
        // An error means a signal or a lack of kernel memory; the next turn finds whatever is due.
        let _ = match &self.watcher {
            Some(watcher) => {
                let events = PollFd::from_borrowed_fd(watcher.as_fd(), PollFlags::IN);
                poll(&mut [wakeup, events], timeout.as_ref())
            }
            None => poll(&mut [wakeup], timeout.as_ref()),
        };
    }

    /// Takes some events. `true`: more may wait.
    pub(super) fn take(&self, events: &mut Vec<WatchEvent>) -> bool {
        self.watcher.as_ref().is_some_and(|watcher| watcher.take(|event| events.push(event)))
    }

    /// The camera of a watch; `None` for late events of a watch that has ended.
    pub(super) fn camera(&self, id: WatchId) -> Option<Key> {
        self.cameras.get(&id).copied()
    }

    /// Watches the export directory. Without a watch, only the slow checks look at its path.
    pub(super) fn watch_root(&mut self, resources: &mut Resources) {
        if let Ok(watcher) = self.watcher() {
            resources.watch(&watcher);
        }
    }

    /// Adds the watches that are missing. Returns whether readers are watched.
    pub(super) fn watch(
        &mut self,
        key: Key,
        export: &CameraExport,
        watches: &mut CameraWatches,
    ) -> bool {
        let watched = self.try_watch(key, export, watches);
        if watched.is_err() {
            // One without the other is of little use.
            self.unwatch(watches);
        }
        if watched.is_err() != watches.missing {
            watches.missing = watched.is_err();
            self.missing = if watches.missing { self.missing + 1 } else { self.missing - 1 };
        }
        if let Err(error) = &watched
            && !std::mem::replace(&mut self.logged, true)
        {
            tracing::warn!(
                camera = %export.camera(),
                "can't be notified of readers ({error}): the service checks for them once a second, and their first \
                 frame may be that much later; raise fs.inotify.max_user_watches and max_user_instances (logged once, for \
                 all cameras)",
            );
        }
        watched.is_ok()
    }

    fn try_watch(
        &mut self,
        key: Key,
        export: &CameraExport,
        watches: &mut CameraWatches,
    ) -> io::Result<()> {
        let watcher = self.watcher()?;
        if watches.readers.is_none() {
            self.check_limit()?;
            let watch = export.watch_readers(&watcher)?;
            self.cameras.insert(watch.id(), key);
            watches.readers = Some(watch);
        }
        if watches.files.is_none() {
            self.check_limit()?;
            let watch = export.watch_files(&watcher)?;
            self.cameras.insert(watch.id(), key);
            watches.files = Some(watch);
        }
        Ok(())
    }

    /// Ends the watch of `readers`.
    pub(super) fn unwatch_readers(&mut self, watches: &mut CameraWatches) {
        if let Some(watch) = watches.readers.take() {
            self.cameras.remove(&watch.id());
        }
    }

    /// Ends all watches of a camera.
    pub(super) fn unwatch(&mut self, watches: &mut CameraWatches) {
        self.unwatch_readers(watches);
        if let Some(watch) = watches.files.take() {
            self.cameras.remove(&watch.id());
        }
        self.missing -= usize::from(std::mem::take(&mut watches.missing));
    }

    fn watcher(&mut self) -> io::Result<Arc<Watcher>> {
        match &self.watcher {
            Some(watcher) => Ok(Arc::clone(watcher)),
            None => Ok(Arc::clone(self.watcher.insert(Arc::new(Watcher::new()?)))),
        }
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "only tests have a limit")]
    fn check_limit(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn check_limit(&self) -> io::Result<()> {
        if self.cameras.len() < self.most {
            return Ok(());
        }
        Err(rustix::io::Errno::NOSPC.into())
    }
}
