//! Cameras over RTSP: which client speaks with them, at which address, for how long at most.

mod aac;
mod address;
mod endings;
mod ffmpeg;
mod jpeg;
mod ladder;
mod link;
mod media;
mod outliers;
mod receive_buffer;
mod redirect;
mod reorder;
mod report;
mod resolve;
mod resumed;
mod retina;
mod session;
mod sound;
mod track;
mod words;

use std::net::IpAddr;
use std::time::{Duration, Instant};

pub use ladder::ClientLadder;

use super::Source;
use crate::error::SourceErrorKind;
use crate::request::{Location, RtspClient, SourceRequest};
use crate::stop::StopFlag;

/// A time limit and when it is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// As the request has it, for words.
    whole: Duration,
    /// `None` for one too far to be stated.
    until: Option<Instant>,
}

impl Limit {
    pub(super) fn from_now(limit: Duration) -> Self {
        Self { whole: limit, until: Instant::now().checked_add(limit) }
    }

    pub(super) fn left(&self) -> Duration {
        self.until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()))
    }

    /// At most so much of what is left.
    pub(super) fn at_most(&self, part: Duration) -> Self {
        Self { whole: self.whole, until: Instant::now().checked_add(part.min(self.left())) }
    }

    /// An equal part of what is left.
    fn share(&self, of: usize) -> Self {
        let part = self.left() / u32::try_from(of.max(1)).unwrap_or(u32::MAX);
        Self { whole: self.whole, until: Instant::now().checked_add(part) }
    }

    pub(super) fn passed(&self, what: &'static str) -> SourceErrorKind {
        SourceErrorKind::TimedOut { what, limit: self.whole }
    }
}

/// Opens a camera, and where it sends its clients elsewhere what is there.
pub(super) fn open(
    request: &SourceRequest,
    host: &str,
    tls: bool,
    ladder: &mut ClientLadder,
    stop: &StopFlag,
) -> Result<Box<dyn Source>, SourceErrorKind> {
    let limit = Limit::from_now(request.connect_timeout);
    let mut request = request.clone();
    let (mut host, mut tls) = (host.to_owned(), tls);
    for _ in 0..=redirect::MAX_HOPS {
        let (status, address) = match open_host(&request, &host, tls, &limit, ladder, stop) {
            Err(Failed { kind: SourceErrorKind::Moved { status, .. }, at: Some(address) }) => {
                (status, address)
            }
            other => return other.map_err(|failed| failed.kind),
        };
        let moved = |why| Err(SourceErrorKind::Moved { status, why });
        let place = match redirect::ask(&request.url, address, &limit, stop) {
            redirect::Answer::Elsewhere(place) => place,
            redirect::Answer::WantsLogin if request.client == RtspClient::Auto => {
                let url = address::at(&request.url, address);
                let why = "the camera sends its clients elsewhere behind a login".to_owned();
                let opened = ffmpeg::Camera::open(&request, &url, &limit, Some(why), stop)?;
                return Ok(Box::new(opened));
            }
            redirect::Answer::WantsLogin => return moved("tells only FFmpeg's client where to"),
            redirect::Answer::Nowhere => return moved("does not say where to"),
        };
        tracing::info!("the camera sends its clients to {}", crate::redact(&place));
        request.url = place;
        (host, tls) = match Location::parse(&request.url) {
            Ok(Location::Camera { host, tls, .. }) => (host, tls),
            _ => return moved("what it names is no camera's URL"),
        };
    }
    Err(SourceErrorKind::Moved { status: 302, why: "from there again elsewhere, without an end" })
}

/// Why no address of a host opened, and which one said so.
struct Failed {
    kind: SourceErrorKind,
    at: Option<IpAddr>,
}

/// Looks a camera's name up, then tries its addresses one after the other.
fn open_host(
    request: &SourceRequest,
    host: &str,
    tls: bool,
    limit: &Limit,
    ladder: &mut ClientLadder,
    stop: &StopFlag,
) -> Result<Box<dyn Source>, Failed> {
    let failed = |kind| Failed { kind, at: None };
    let addresses = resolve::resolve(host, limit, stop).map_err(failed)?;
    let mut last = None;
    for (tried, address) in addresses.iter().enumerate() {
        let limit = limit.share(addresses.len() - tried);
        match open_at(request, *address, tls, &limit, ladder, stop) {
            Err(kind) if is_of_address(&kind) => last = Some(kind),
            other => return other.map_err(|kind| Failed { kind, at: Some(*address) }),
        }
    }
    Err(failed(last.unwrap_or(limit.passed("the camera's answer"))))
}

/// Whether another address of the same camera may do better.
fn is_of_address(kind: &SourceErrorKind) -> bool {
    matches!(kind, SourceErrorKind::Unreachable(_) | SourceErrorKind::TimedOut { .. })
}

fn open_at(
    request: &SourceRequest,
    address: IpAddr,
    tls: bool,
    limit: &Limit,
    ladder: &mut ClientLadder,
    stop: &StopFlag,
) -> Result<Box<dyn Source>, SourceErrorKind> {
    let url = address::at(&request.url, address);
    let by_ffmpeg = |limit: &Limit, why: Option<String>| -> Result<Box<dyn Source>, _> {
        Ok(Box::new(ffmpeg::Camera::open(request, &url, limit, why, stop)?))
    };
    let by_retina = |limit: &Limit| -> Result<Box<dyn Source>, SourceErrorKind> {
        if tls {
            return Err(SourceErrorKind::ClientLacks { what: "RTSP over TLS (rtsps://)".into() });
        }
        Ok(Box::new(retina::Camera::open(request, &url, limit, stop)?))
    };
    match request.client {
        RtspClient::Ffmpeg => return by_ffmpeg(limit, None),
        RtspClient::Retina => return by_retina(limit),
        RtspClient::Auto => {}
    }
    if let Some(why) = ladder.first(Instant::now()) {
        let opened = by_ffmpeg(limit, Some(why.to_owned()));
        return opened.inspect_err(|kind| ladder.ffmpeg_failed(kind));
    }
    let kind = match by_retina(&limit.share(2)) {
        Ok(source) => {
            ladder.retina_opened();
            return Ok(source);
        }
        Err(kind) => kind,
    };
    let Some(why) = ClientLadder::other(&kind) else { return Err(kind) };
    tracing::debug!("{why}; trying FFmpeg's RTSP client");
    match by_ffmpeg(limit, Some(why.clone())) {
        Ok(source) => {
            tracing::info!("FFmpeg speaks RTSP with this camera: {why}");
            ladder.found(&kind, why, Instant::now());
            Ok(source)
        }
        Err(SourceErrorKind::Stopped) => Err(SourceErrorKind::Stopped),
        // No client plays it, whatever kept retina from finding that out.
        Err(other @ SourceErrorKind::Unplayable { .. }) => Err(other),
        // retina would have played the rest: what FFmpeg says is the reason.
        Err(other)
            if matches!(kind, SourceErrorKind::ClientLacks { .. })
                && !matches!(other, SourceErrorKind::Refused { .. }) =>
        {
            Err(other)
        }
        Err(other) => {
            tracing::debug!("FFmpeg's RTSP client failed, too: {other}");
            Err(kind)
        }
    }
}
