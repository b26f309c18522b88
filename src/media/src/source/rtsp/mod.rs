//! Cameras over RTSP: chooses client and address, follows redirects, and applies the time limit.

mod aac;
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
mod unread;
mod words;

use std::net::IpAddr;
use std::time::{Duration, Instant};

pub use ladder::ClientLadder;

use self::redirect::Redirect;
use super::Source;
use crate::error::SourceErrorKind;
use crate::stop::StopFlag;
use vas_request::{Location, RtspClient, SourceRequest};

/// A time limit and its deadline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// The limit in the request, for messages.
    total: Duration,
    /// `None` if it is too far in the future to be represented.
    until: Option<Instant>,
}

impl Limit {
    pub(super) fn from_now(limit: Duration) -> Self {
        Self { total: limit, until: Instant::now().checked_add(limit) }
    }

    pub(super) fn left(&self) -> Duration {
        self.until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()))
    }

    /// At most `part` of the time that is left.
    pub(super) fn at_most(&self, part: Duration) -> Self {
        Self { total: self.total, until: Instant::now().checked_add(part.min(self.left())) }
    }

    /// An equal share of the time that is left.
    fn share(&self, of: usize) -> Self {
        let part = self.left() / u32::try_from(of.max(1)).unwrap_or(u32::MAX);
        Self { total: self.total, until: Instant::now().checked_add(part) }
    }

    pub(super) fn passed(&self, what: &'static str) -> SourceErrorKind {
        SourceErrorKind::TimedOut { what, limit: self.total }
    }
}

/// Opens a camera; follows its redirects.
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
        let target = match redirect::ask(&request.url, address, &limit, stop) {
            Redirect::To(url) => url,
            Redirect::WantsLogin if request.client == RtspClient::Auto => {
                let url = resolve::with_address(&request.url, address);
                let why = "the camera redirects its clients after a login".to_owned();
                let opened = ffmpeg::Camera::open(&request, &url, &limit, Some(why), stop)?;
                return Ok(Box::new(opened));
            }
            Redirect::WantsLogin => {
                return moved("requires a login first, which only FFmpeg's client supports");
            }
            Redirect::Unusable => return moved(redirect::NO_URL),
        };
        tracing::info!("the camera redirects its clients to {}", crate::redact(&target));
        request.url = target;
        (host, tls) = match Location::parse(&request.url) {
            Ok(Location::Camera { host, tls, .. }) => (host, tls),
            _ => return moved("the new URL is not that of a camera"),
        };
    }
    Err(SourceErrorKind::Moved { status: 302, why: "there are too many redirects in a row" })
}

/// Why no address of a host opened, and the address that determined it.
struct Failed {
    kind: SourceErrorKind,
    at: Option<IpAddr>,
}

/// Looks a camera's name up, then tries its addresses in order.
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

/// Whether another address of the same camera may work.
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
    let url = resolve::with_address(&request.url, address);
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
            tracing::info!("using FFmpeg's RTSP client with this camera: {why}");
            ladder.found(&kind, why, Instant::now());
            Ok(source)
        }
        Err(SourceErrorKind::Stopped) => Err(SourceErrorKind::Stopped),
        // No client plays it, whatever kept retina from finding that out.
        Err(other @ SourceErrorKind::Unplayable { .. }) => Err(other),
        // Only the missing feature keeps retina from playing this camera, so FFmpeg's error is the reason.
        Err(other)
            if matches!(kind, SourceErrorKind::ClientLacks { .. })
                && !matches!(other, SourceErrorKind::Refused { .. }) =>
        {
            Err(other)
        }
        Err(other) => {
            tracing::debug!("FFmpeg's RTSP client also failed: {other}");
            Err(kind)
        }
    }
}
