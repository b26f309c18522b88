//! Sources: where packets come from.

mod failure;
mod input;
mod pace;
mod paced;
mod rtsp;
mod watch;

use std::time::Duration;

pub use rtsp::ClientLadder;

use crate::av::init;
use crate::error::{SourceError, SourceErrorKind};
use crate::packet::Packet;
use crate::redact::redact;
use crate::request::{Location, SourceRequest};
use crate::stop::StopFlag;
use crate::stream::StreamInfo;

/// The packets of one video stream, in decoding order.
pub trait Source: Send {
    /// The stream, as it was known when the source was opened.
    fn stream(&self) -> &StreamInfo;

    /// Waits for the next packet; None at the end of a file. A camera has no end: when it ends its
    /// stream that is [`SourceErrorKind::Ended`].
    ///
    /// # Errors
    /// After any error the source is of no more use; drop it and open another.
    fn next_packet(&mut self) -> Result<Option<Packet>, SourceError>;

    /// Sizes in bytes of the pictures that had come when the source failed and that it had not given out: another
    /// client begins with the camera's next key frame, without them.
    fn withheld(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Sizes in bytes of the pictures that were left out since the last call, because what they refer to is broken.
    fn left_out(&mut self) -> Vec<usize> {
        Vec::new()
    }

    /// Says goodbye, within half a second, as dropping the source does. For how long the camera may keep the
    /// old session all the same, when it is known to be possible: many serve but a few at once, and some
    /// send an old session's packets to a new one.
    fn close(self: Box<Self>) -> Option<Duration> {
        None
    }
}

/// Opens a source; see [`SourceRequest`] for the kinds of URL.
///
/// Blocks until the stream is known, at most for the request's `connect_timeout`, or until `stop`.
/// The source keeps `stop` for the rest of its life.
///
/// # Errors
/// Each says what it tried and what to do; the URL in it is [redacted](crate::redact()).
pub fn open(request: &SourceRequest, stop: &StopFlag) -> Result<Box<dyn Source>, SourceError> {
    open_again(request, &mut ClientLadder::new(), stop)
}

/// Opens a source as [`open`] does, with what is known of the camera's RTSP clients from the times before.
///
/// # Errors
/// As [`open`].
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
