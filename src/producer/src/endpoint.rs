//! What a producer holds on to for as long as its camera is in the config, whatever becomes of the process that
//! sends.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::outlet::Outlet;
use super::page::Page;
use crate::config::Producer;

/// Sockets, and where the stream stands. Viewers see one stream as long as both stay the same: a
/// PlainTransport with comedia hears the first address that it was sent something from, and no other.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(super) outlet: Arc<Outlet>,
    pub(super) page: Arc<Page>,
}

impl Seat {
    /// A new one.
    ///
    /// # Errors
    /// When the system gives no socket, no memory or no random numbers.
    pub(crate) fn take(producer: &Producer) -> io::Result<Self> {
        Ok(Self { outlet: Arc::new(Outlet::bind(producer)?), page: Arc::new(Page::beginning()?) })
    }

    /// Second descriptors of all of it, for another process.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub(crate) fn share(&self) -> io::Result<Vec<OwnedFd>> {
        let mut files = vec![self.page.share()?];
        files.extend(self.outlet.share()?);
        Ok(files)
    }

    /// One that another process has [shared](Self::share); `None` when files are missing.
    pub(crate) fn of(files: impl IntoIterator<Item = OwnedFd>) -> Option<Self> {
        let mut files = files.into_iter();
        let page = Page::of(files.next()?);
        let outlet = Outlet::of(files.next()?, files.next());
        Some(Self { outlet: Arc::new(outlet), page: Arc::new(page) })
    }
}
