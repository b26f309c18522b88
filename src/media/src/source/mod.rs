//! Sources: where packets come from.

mod camera;
mod failure;
mod input;
mod pace;
mod paced;
mod watch;

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
}

/// Opens a source; see [`SourceRequest`] for the kinds of URL.
///
/// Blocks until the stream is known, at most for the request's `connect_timeout`, or until `stop`.
/// The source keeps `stop` for the rest of its life.
///
/// # Errors
/// Each says what it tried and what to do; the URL in it is [redacted](crate::redact()).
pub fn open(request: &SourceRequest, stop: &StopFlag) -> Result<Box<dyn Source>, SourceError> {
    init();
    let opened = Location::parse(&request.url)
        .map_err(|reason| SourceErrorKind::BadUrl { reason })
        .and_then(|location| -> Result<Box<dyn Source>, SourceErrorKind> {
            Ok(match location {
                Location::Camera { host, port } => {
                    Box::new(camera::Camera::open(request, &host, port, stop)?)
                }
                Location::File { path } => Box::new(paced::Paced::open_file(&path, stop)?),
                Location::TestPicture { width, height, fps } => {
                    Box::new(paced::Paced::open_test_picture(width, height, fps, stop)?)
                }
            })
        });
    opened.map_err(|kind| SourceError { url: redact(&request.url), kind })
}
