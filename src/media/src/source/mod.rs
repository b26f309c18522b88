//! Sources of packets: cameras, files and test pictures.

mod failure;
mod input;
mod pace;
mod paced;
mod rtsp;
mod watch;

use std::time::Duration;

pub use rtsp::ClientLadder;

use crate::av::init;
use crate::coalescing::Coalescing;
use crate::error::{SourceError, SourceErrorKind};
use crate::packet::Packet;
use crate::stop::StopFlag;
use crate::stream::StreamInfo;
use vas_request::{Location, SourceRequest, redact};

/// The packets of one video stream, in decoding order.
pub trait Source: Send {
    /// The stream, as known when the source was opened.
    fn stream(&self) -> &StreamInfo;

    /// Waits for the next packet; `None` at the end of a file. If a camera ends its stream, that is
    /// [`SourceErrorKind::Ended`].
    ///
    /// # Errors
    /// After any error the source can't be used any more; drop it and open another.
    fn next_packet(&mut self) -> Result<Option<Packet>, SourceError>;

    /// From now on, the source may leave the connection unread for a while where that is `allowed`, so that it reads
    /// several pictures at once. By default it reads each as it arrives.
    fn coalesce(&mut self, allowed: Coalescing) {
        drop(allowed);
    }

    /// Sizes in bytes of the pictures that the source had received but not returned when it failed. They are lost:
    /// another client begins with the camera's next key frame.
    fn withheld(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Sizes in bytes of the pictures that were left out since the last call, because what they refer to is broken.
    fn left_out(&mut self) -> Vec<usize> {
        Vec::new()
    }

    /// Ends the session within half a second, as dropping the source does. Returns how long the camera may still keep
    /// the session, if it may: many cameras serve only a few sessions at once, and some send an old session's packets
    /// to a new one.
    fn close(self: Box<Self>) -> Option<Duration> {
        None
    }
}

/// Opens a source; see [`SourceRequest`] for the kinds of URL.
///
/// Blocks until the stream is known, at most for the request's `connect_timeout`, or until `stop`.
/// The source keeps a clone of `stop`.
///
/// # Errors
/// The message says what failed and what to do; its URL is [redacted](crate::redact()).
pub fn open(request: &SourceRequest, stop: &StopFlag) -> Result<Box<dyn Source>, SourceError> {
    open_again(request, &mut ClientLadder::new(), stop)
}

/// Opens a source like [`open`], with what earlier attempts have learned about the camera's RTSP clients.
///
/// # Errors
/// Those of [`open`].
pub fn open_again(
    request: &SourceRequest,
    ladder: &mut ClientLadder,
    stop: &StopFlag,
) -> Result<Box<dyn Source>, SourceError> {
    init();
    let opened = Location::parse(&request.url)
        .map_err(|reason| SourceErrorKind::BadUrl { reason })
        .and_then(|location| -> Result<Box<dyn Source>, SourceErrorKind> {
            Ok(match location {
                Location::Camera { host, tls, .. } => {
                    rtsp::open(request, &host, tls, ladder, stop)?
                }
                Location::File { path } => Box::new(paced::Paced::open_file(&path, stop)?),
                Location::TestPicture { width, height, fps } => {
                    Box::new(paced::Paced::open_test_picture(width, height, fps, stop)?)
                }
            })
        });
    opened.map_err(|kind| SourceError { url: redact(&request.url), kind })
}
