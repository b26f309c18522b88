//! What all exports of a process depend on: the export directory, and the thread that wakes large
//! numbers of readers. Either may be unavailable, at start or later; it is then retried with
//! back-off.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use vas_backoff::Backoff;
use vas_config::Export;
use vas_frame::{CameraId, ExportError, ExportRoot, Notifier, RingPages, Watch, WatchId, Watcher};

/// What the frame path could not get.
#[derive(Debug, thiserror::Error)]
pub(super) enum FramePathError {
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("can't start a thread of the frame path: {0}")]
    Thread(#[from] std::io::Error),
}

/// Both, or why they are unavailable.
pub(super) struct Resources {
    config: Export,
    root: Option<Arc<ExportRoot>>,
    watch: Option<Watch>,
    notifier: Option<Arc<Notifier>>,
    why: String,
    backoff: Backoff,
    at_ns: u64,
    /// Whether the log says that rings get no huge pages.
    huge_pages_missed: Cell<bool>,
}

impl Resources {
    pub(super) fn new(config: &Export) -> Self {
        Self {
            config: config.clone(),
            root: None,
            watch: None,
            notifier: None,
            why: "the export directory has not been opened yet".into(),
            backoff: Backoff::jittered(RandomState::new().hash_one(&config.dir)),
            at_ns: 0,
            huge_pages_missed: Cell::new(false),
        }
    }

    /// What exports need.
    ///
    /// # Errors
    /// Why it is unavailable.
    pub(super) fn parts(&self) -> Result<(&Arc<ExportRoot>, &Arc<Notifier>), &str> {
        match (&self.root, &self.notifier) {
            (Some(root), Some(notifier)) => Ok((root, notifier)),
            _ => Err(&self.why),
        }
    }

    /// Logs the first ring that gets fewer huge pages than it could use.
    pub(super) fn opened(&self, camera: &CameraId, pages: &RingPages) {
        let huge = pages.huge();
        let Some(refused) = huge.refused() else { return };
        if !self.huge_pages_missed.replace(true) {
            tracing::warn!(
                %camera,
                "its ring has huge pages for {} of {} MiB ({refused}): everything works, but copies may take up to \
                 four times as long; docs/guide/operating.md, section Huge pages, lists the causes (logged once)",
                huge.bytes() >> 20,
                pages.bytes() >> 20,
            );
        }
    }

    /// When to try again; never while nothing is missing.
    pub(super) fn next_ns(&self) -> u64 {
        if self.parts().is_ok() { u64::MAX } else { self.at_ns }
    }

    /// Opens what is missing, if it is due. `true`: nothing is missing any more.
    pub(super) fn open(&mut self, now_ns: u64) -> bool {
        if now_ns < self.next_ns() {
            return false;
        }
        match self.try_open() {
            Ok(()) => {
                // A later fault starts a new back-off.
                self.backoff.reset();
                true
            }
            Err(error) => {
                self.why = error.to_string();
                let wait = self.backoff.failed();
                self.at_ns = now_ns + u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
                false
            }
        }
    }

    fn try_open(&mut self) -> Result<(), FramePathError> {
        if self.root.is_none() {
            self.root = Some(Arc::new(ExportRoot::open(&self.config.dir, self.config.access())?));
        }
        if self.notifier.is_none() {
            self.notifier = Some(Arc::new(Notifier::start()?));
        }
        Ok(())
    }

    /// To be called when the export directory's [watch](Self::is_watched_by) notifies, and from time to time:
    /// readers find exports only by the directory's path. `true`: it is no longer there.
    pub(super) fn housekeep(&mut self) -> bool {
        let gone = self.root.as_ref().is_some_and(|root| !root.is_there());
        if gone {
            tracing::warn!("{} is no longer the export directory", self.config.dir.display());
            (self.root, self.watch) = (None, None);
            self.at_ns = 0;
        }
        gone
    }

    /// Whether the export directory is open and not watched.
    pub(super) fn lacks_watch(&self) -> bool {
        self.root.is_some() && self.watch.is_none()
    }

    /// Watches the export directory, if that is possible.
    pub(super) fn watch(&mut self, watcher: &Arc<Watcher>) {
        self.watch = self.root.as_ref().and_then(|root| root.watch(watcher).ok());
    }

    /// Whether this is the watch of the export directory.
    pub(super) fn is_watched_by(&self, id: WatchId) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.id() == id)
    }
}
