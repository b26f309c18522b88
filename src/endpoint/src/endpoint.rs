//! What a producer keeps for as long as its camera is in the config, even if the sending process
//! dies.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use vas_config::Producer;

use super::sockets::RtpSockets;
use super::stream_state::StreamState;

/// Sockets and stream state. Viewers see one stream as long as both stay the same: a PlainTransport
/// with comedia accepts only the first address from which it receives.
#[derive(Clone, Debug)]
pub struct RtpEndpoint {
    /// What it sends from.
    pub sockets: Arc<RtpSockets>,
    /// Where its stream goes on.
    pub stream_state: Arc<StreamState>,
}

/// Where a producer finds its endpoint, which may come after its camera has started.
#[derive(Debug, Default)]
pub struct EndpointSlot(Mutex<Option<RtpEndpoint>>);

impl EndpointSlot {
    /// Puts the endpoint in, in place of an earlier one.
    pub fn fill(&self, endpoint: RtpEndpoint) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(endpoint);
    }

    /// The endpoint.
    ///
    /// # Errors
    /// There is none yet.
    pub fn get(&self) -> io::Result<RtpEndpoint> {
        let endpoint = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        endpoint.ok_or_else(|| io::Error::other("the supervisor has no sockets for it yet"))
    }
}

impl RtpEndpoint {
    /// Creates an endpoint.
    ///
    /// # Errors
    /// The system gives no socket, no memory or no random numbers.
    pub fn take(producer: &Producer) -> io::Result<Self> {
        Ok(Self {
            sockets: Arc::new(RtpSockets::bind(producer)?),
            stream_state: Arc::new(StreamState::beginning()?),
        })
    }

    /// Duplicates all its descriptors, for another process.
    ///
    /// # Errors
    /// The process has no file descriptor left.
    pub fn share(&self) -> io::Result<Vec<OwnedFd>> {
        let mut files = vec![self.stream_state.share()?];
        files.extend(self.sockets.share()?);
        Ok(files)
    }

    /// An endpoint that another process has [shared](Self::share); `None` when files are missing.
    pub fn of(files: impl IntoIterator<Item = OwnedFd>) -> Option<Self> {
        let mut files = files.into_iter();
        let stream_state = StreamState::of(files.next()?);
        let sockets = RtpSockets::of(files.next()?, files.next());
        Some(Self { sockets: Arc::new(sockets), stream_state: Arc::new(stream_state) })
    }
}
