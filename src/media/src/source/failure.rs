//! Classifies FFmpeg's error codes for a source. Pure.

use std::time::Duration;

use ffmpeg_sys_next as ffi;

use super::watch::Fired;
use crate::av::AvError;
use crate::error::SourceErrorKind;
use vas_request::Transport;

/// What FFmpeg was doing when it failed.
#[derive(Clone, Copy)]
pub(super) enum During<'a> {
    OpeningCamera { asked: Transport, waiting: Waiting<'a> },
    ReadingCamera { waiting: Waiting<'a> },
    OpeningFile,
    ReadingFile,
}

/// What a source waits for, and its time limit.
#[derive(Clone, Copy)]
pub(super) struct Waiting<'a> {
    pub(super) what: &'static str,
    pub(super) limit: &'a Duration,
}

/// Classifies a failure. `fired` takes precedence: the code of an interrupted call depends on the layer
/// in which it was interrupted.
pub(super) fn classify(
    error: AvError,
    fired: Option<Fired>,
    during: During<'_>,
) -> SourceErrorKind {
    use SourceErrorKind as Kind;
    let timed_out = || match during {
        During::OpeningCamera { waiting, .. } | During::ReadingCamera { waiting } => {
            Kind::TimedOut { what: waiting.what, limit: *waiting.limit }
        }
        During::OpeningFile | During::ReadingFile => Kind::Broken(error.into()),
    };
    match fired {
        Some(Fired::Stop) => return Kind::Stopped,
        Some(Fired::Deadline) => return timed_out(),
        None => {}
    }
    if error.errno() == Some(libc::ETIMEDOUT) {
        return timed_out();
    }
    match during {
        During::OpeningCamera { asked, .. } => opening_camera(error, asked),
        During::ReadingCamera { .. } => reading_camera(error),
        During::OpeningFile => opening_file(error),
        During::ReadingFile if error.code() == ffi::AVERROR_INVALIDDATA => {
            Kind::Garbage(error.into())
        }
        During::ReadingFile => Kind::Broken(error.into()),
    }
}

fn opening_camera(error: AvError, asked: Transport) -> SourceErrorKind {
    use SourceErrorKind as Kind;
    match error.code() {
        ffi::AVERROR_HTTP_UNAUTHORIZED => Kind::Refused { status: 401 },
        ffi::AVERROR_HTTP_FORBIDDEN => Kind::Refused { status: 403 },
        ffi::AVERROR_HTTP_NOT_FOUND => Kind::NoSuchPath,
        ffi::AVERROR_HTTP_BAD_REQUEST
        | ffi::AVERROR_HTTP_OTHER_4XX
        | ffi::AVERROR_HTTP_SERVER_ERROR => Kind::Rejected(error.into()),
        ffi::AVERROR_INVALIDDATA => Kind::Garbage(error.into()),
        ffi::AVERROR_EOF => Kind::Unreachable(error.into()),
        ffi::AVERROR_STREAM_NOT_FOUND => Kind::NoVideo,
        ffi::AVERROR_PROTOCOL_NOT_FOUND => {
            Kind::BadUrl { reason: "this FFmpeg was built without its protocol".into() }
        }
        _ => match error.errno() {
            // ff_rtsp_make_setup_request returns this for 461 if no other transport is left.
            Some(libc::EPROTONOSUPPORT) => Kind::NoTransport { asked },
            _ => Kind::Unreachable(error.into()),
        },
    }
}

fn reading_camera(error: AvError) -> SourceErrorKind {
    match error.code() {
        ffi::AVERROR_EOF => SourceErrorKind::Ended,
        ffi::AVERROR_INVALIDDATA => SourceErrorKind::Garbage(error.into()),
        _ => SourceErrorKind::Broken(error.into()),
    }
}

fn opening_file(error: AvError) -> SourceErrorKind {
    use SourceErrorKind as Kind;
    match error.errno() {
        Some(libc::ENOENT | libc::ENOTDIR) => Kind::NotFound,
        Some(_) => Kind::NotReadable(error),
        None if error.code() == ffi::AVERROR_STREAM_NOT_FOUND => Kind::NoVideo,
        None => Kind::Garbage(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SourceErrorKind as Kind;

    const LIMIT: Duration = Duration::from_secs(3);
    const WAITING: Waiting<'_> = Waiting { what: "a packet", limit: &LIMIT };
    const OPENING: During<'_> = During::OpeningCamera { asked: Transport::Tcp, waiting: WAITING };
    const READING: During<'_> = During::ReadingCamera { waiting: WAITING };

    fn kind(code: i32, during: During<'_>) -> Kind {
        classify(AvError::new(code), None, during)
    }

    #[test]
    fn an_interrupt_takes_precedence_over_the_code() {
        let code = AvError::new(ffi::AVERROR_INVALIDDATA);
        assert_eq!(classify(code, Some(Fired::Stop), OPENING), Kind::Stopped);
        let timed_out = Kind::TimedOut { what: "a packet", limit: LIMIT };
        assert_eq!(classify(code, Some(Fired::Deadline), READING), timed_out);
        assert_eq!(kind(-libc::ETIMEDOUT, OPENING), timed_out);
    }

    #[test]
    fn rtsp_statuses() {
        assert_eq!(kind(ffi::AVERROR_HTTP_UNAUTHORIZED, OPENING), Kind::Refused { status: 401 });
        assert_eq!(kind(ffi::AVERROR_HTTP_FORBIDDEN, OPENING), Kind::Refused { status: 403 });
        assert_eq!(kind(ffi::AVERROR_HTTP_NOT_FOUND, OPENING), Kind::NoSuchPath);
        assert!(matches!(kind(ffi::AVERROR_HTTP_SERVER_ERROR, OPENING), Kind::Rejected(_)));
        assert_eq!(
            kind(-libc::EPROTONOSUPPORT, OPENING),
            Kind::NoTransport { asked: Transport::Tcp }
        );
    }

    #[test]
    fn connections() {
        for errno in [libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::EIO] {
            assert!(matches!(kind(-errno, OPENING), Kind::Unreachable(_)), "{errno}");
        }
        assert_eq!(kind(ffi::AVERROR_EOF, READING), Kind::Ended);
        assert!(matches!(kind(-libc::ECONNRESET, READING), Kind::Broken(_)));
        assert!(matches!(kind(ffi::AVERROR_INVALIDDATA, READING), Kind::Garbage(_)));
    }

    #[test]
    fn files() {
        assert_eq!(kind(-libc::ENOENT, During::OpeningFile), Kind::NotFound);
        assert!(matches!(kind(-libc::EACCES, During::OpeningFile), Kind::NotReadable(_)));
        let code = ffi::AVERROR_INVALIDDATA;
        assert!(matches!(kind(code, During::OpeningFile), Kind::Garbage(_)));
        assert!(matches!(kind(code, During::ReadingFile), Kind::Garbage(_)));
        assert!(matches!(kind(-libc::EIO, During::ReadingFile), Kind::Broken(_)));
    }
}
