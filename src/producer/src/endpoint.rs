//! What a producer holds on to for as long as its camera is in the config, whatever becomes of the process that
//! sends.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::sockets::RtpSockets;
use super::stream_state::StreamState;
use vas_config::Producer;

/// Sockets, and where the stream stands. Viewers see one stream as long as both stay the same: a
/// PlainTransport with comedia hears the first address that it was sent something from, and no other.
#[derive(Clone, Debug)]
pub struct RtpEndpoint {
    pub(super) sockets: Arc<RtpSockets>,
    pub(super) stream_state: Arc<StreamState>,
}

impl RtpEndpoint {
    /// A new one.
    ///
    /// # Errors
    /// When the system gives no socket, no memory or no random numbers.
    pub fn take(producer: &Producer) -> io::Result<Self> {
        Ok(Self {
            sockets: Arc::new(RtpSockets::bind(producer)?),
            stream_state: Arc::new(StreamState::beginning()?),
        })
    }

    /// Second descriptors of all of it, for another process.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn share(&self) -> io::Result<Vec<OwnedFd>> {
        let mut files = vec![self.stream_state.share()?];
        files.extend(self.sockets.share()?);
        Ok(files)
    }

    /// One that another process has [shared](Self::share); `None` when files are missing.
    pub fn of(files: impl IntoIterator<Item = OwnedFd>) -> Option<Self> {
        let mut files = files.into_iter();
        let stream_state = StreamState::of(files.next()?);
        let sockets = RtpSockets::of(files.next()?, files.next());
        Some(Self { sockets: Arc::new(sockets), stream_state: Arc::new(stream_state) })
    }
}
