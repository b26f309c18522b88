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
mod peers;
mod seat;
mod sending;
mod shown;

use vas_frame::CameraId;
use vas_rtp::Identity;

pub(crate) use copy::Copy;
pub(crate) use encoding::Encode;
pub(crate) use frames::HELD_PICTURES;
pub(crate) use seat::Seat;
#[cfg(test)]
pub(crate) use shown::Loss;
pub(crate) use shown::{Facts, Shown};

use crate::config;

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
