//! The producer: a camera's video as RTP to a MediaSoup PlainTransport.
//!
//! What is sent, and when, is decided in `vas-rtp`. Here are its sockets, its threads and its queues:
//!
//! - `copy`: one thread, a branch of the camera's input; packets go out as they came.
//! - `h264`: a taker at the decode boundary puts references to frames into a queue of four; a thread encodes
//!   them, another one sends. Neither ever holds up the decode thread: what finds no place is left out.
//!
//! Nothing here depends on whether frames are exported (contract V3).

mod copy;
mod encoding;
mod frames;
mod outlet;
mod page;
pub(crate) mod parameters;
mod sending;
mod shown;

use std::io;
use std::sync::Arc;

use vas_frame::CameraId;
use vas_rtp::Identity;

pub(crate) use copy::Copy;
pub(crate) use encoding::Encode;
pub(crate) use outlet::Outlet;
pub(crate) use page::Page;
#[cfg(test)]
pub(crate) use shown::Loss;
pub(crate) use shown::{Facts, Shown};

use crate::config;

/// What a producer holds on to for as long as its camera exists: viewers see one stream as long as these
/// stay the same.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) outlet: Arc<Outlet>,
    pub(crate) page: Arc<Page>,
}

impl Seat {
    /// A seat of this process's own.
    ///
    /// # Errors
    /// When the system gives no socket, or no random numbers.
    pub(crate) fn take(producer: &config::Producer) -> io::Result<Self> {
        Ok(Self { outlet: Arc::new(Outlet::bind(producer)?), page: Arc::new(Page::beginning()?) })
    }
}

/// Whose stream it is, as `vas producer-parameters` tells MediaSoup.
pub(crate) fn identity(camera: &CameraId, producer: &config::Producer) -> Identity {
    Identity {
        ssrc: producer.ssrc,
        payload_type: producer.payload_type,
        cname: format!("vas-{camera}"),
    }
}

#[cfg(test)]
mod tests;
