//! Cameras over RTSP: which client speaks with them, at which address, for how long at most.

mod address;
mod ffmpeg;
mod link;
mod outliers;
mod receive_buffer;
mod reorder;
mod report;
mod resolve;
mod retina;
mod sequence;
mod sound;
mod track;
mod words;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Source;
use crate::error::SourceErrorKind;
use crate::request::{RtspClient, SourceRequest};
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

    /// An equal part of what is left.
    fn share(&self, of: usize) -> Self {
        let part = self.left() / u32::try_from(of.max(1)).unwrap_or(u32::MAX);
        Self { whole: self.whole, until: Instant::now().checked_add(part) }
    }

    pub(super) fn passed(&self, what: &'static str) -> SourceErrorKind {
        SourceErrorKind::TimedOut { what, limit: self.whole }
    }
}

/// Opens a camera: looks its name up, then tries its addresses one after the other.
pub(super) fn open(
    request: &SourceRequest,
    host: &str,
    tls: bool,
    stop: &StopFlag,
) -> Result<Box<dyn Source>, SourceErrorKind> {
    let limit = Limit::from_now(request.connect_timeout);
    let addresses = resolve::resolve(host, &limit, stop)?;
    let mut last = None;
    for (tried, address) in addresses.iter().enumerate() {
        let limit = limit.share(addresses.len() - tried);
        match open_at(request, *address, tls, &limit, stop) {
            Err(kind) if is_of_address(&kind) => last = Some(kind),
            other => return other,
        }
    }
    Err(last.unwrap_or(limit.passed("the camera's answer")))
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
    stop: &StopFlag,
) -> Result<Box<dyn Source>, SourceErrorKind> {
    let url = address::at(&request.url, address);
    let by_ffmpeg = || -> Result<Box<dyn Source>, SourceErrorKind> {
        Ok(Box::new(ffmpeg::Camera::open(request, &url, limit, stop)?))
    };
    let by_retina = || -> Result<Box<dyn Source>, SourceErrorKind> {
        if tls {
            return Err(SourceErrorKind::ClientLacks { what: "RTSP over TLS (rtsps://)".into() });
        }
        Ok(Box::new(retina::Camera::open(request, &url, limit, stop)?))
    };
    match request.client {
        RtspClient::Ffmpeg => by_ffmpeg(),
        RtspClient::Retina => by_retina(),
        RtspClient::Auto => match by_retina() {
            Err(SourceErrorKind::ClientLacks { what }) => {
                tracing::info!("FFmpeg speaks RTSP with this camera: retina lacks {what}");
                by_ffmpeg()
            }
            other => other,
        },
    }
}
