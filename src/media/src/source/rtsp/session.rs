//! Chooses the track of a retina session, and watches for losses at its start. No I/O.

use percent_encoding::percent_decode_str;
use retina::client::{Credentials, Described, Session};
use url::Url;

use super::media::Picture;
use super::receive_buffer;
use super::track;
use crate::error::{Cause, SourceErrorKind};
use crate::stream::Carrier;

/// What no client supports. FFmpeg 5.1's removes the number from each fragment instead of the first, and leaves it in
/// complete units.
pub(super) const DECODING_ORDER_NUMBERS: &str =
    "H.265 with decoding order numbers (sprop-max-don-diff above 0): set 0 in the camera";

/// The track to play, if retina supports it.
pub(super) fn choose(session: &Session<Described>) -> Result<usize, SourceErrorKind> {
    let lacks = |what: String| SourceErrorKind::ClientLacks { what };
    let streams = session.streams();
    let index = streams.iter().position(|stream| stream.media() == "video");
    let index = index.ok_or(SourceErrorKind::NoVideo)?;
    let name = streams[index].encoding_name();
    if !["h264", "h265", "jpeg"].contains(&name) {
        return Err(lacks(format!("the codec {}", Cause::message(&name))));
    }
    if track::has_several_parameter_sets(&String::from_utf8_lossy(session.sdp())) {
        return Err(lacks("several parameter sets of one kind".into()));
    }
    if track::has_decoding_order_numbers(&String::from_utf8_lossy(session.sdp())) {
        return Err(SourceErrorKind::Unplayable { what: DECODING_ORDER_NUMBERS });
    }
    Ok(index)
}

/// The ports on which the session receives, from retina's display: `ADDRESS:RTP-RTCP(me) -> ...`.
pub(super) fn local_ports(session: &Session<Described>, index: usize) -> Vec<u16> {
    let context = session.streams()[index].ctx().map(ToString::to_string).unwrap_or_default();
    ports_in(&context)
}

fn ports_in(context: &str) -> Vec<u16> {
    let Some((ours, _)) = context.split_once("(me)") else { return Vec::new() };
    let Some((_, ports)) = ours.rsplit_once(':') else { return Vec::new() };
    ports.split('-').filter_map(|port| port.parse().ok()).collect()
}

/// Splits a URL into the URL to request and its login.
pub(super) fn split_credentials(url: &str) -> Result<(Url, Option<Credentials>), SourceErrorKind> {
    let bad = |reason: String| SourceErrorKind::BadUrl { reason };
    let mut url = Url::parse(url).map_err(|error| bad(error.to_string()))?;
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let username = decoded(url.username());
    let password = decoded(url.password().unwrap_or_default());
    let given = !url.username().is_empty() || url.password().is_some();
    let stripped = url.set_password(None).and_then(|()| url.set_username(""));
    stripped.map_err(|()| bad("it has a login without a host".into()))?;
    Ok((url, given.then_some(Credentials { username, password })))
}

/// Warns an operator if the start of a UDP session suggests that the receive buffer is too small.
#[derive(Clone, Copy, Debug)]
pub(super) struct StartWatch {
    /// Bytes of the receive buffer, if known.
    granted: Option<usize>,
    /// Pictures still to check.
    left: u32,
}

impl StartWatch {
    /// The burst at the start consists of the first key frame and the pictures queued after it.
    const PICTURES: u32 = 10;

    pub(super) fn new(carrier: Carrier, granted: Option<usize>) -> Self {
        Self { granted, left: if carrier == Carrier::Udp { Self::PICTURES } else { 0 } }
    }

    pub(super) fn check(&mut self, picture: &Picture, lost: bool) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        if !picture.lost() && !lost {
            return;
        }
        self.left = 0;
        let kib = |bytes: usize| bytes / 1024;
        tracing::warn!(
            "packets were lost at the start of the session; the receive buffer has {} of the {} KiB requested: \
             raise net.core.rmem_max (see the guide on operating) if this happens at every start",
            self.granted
                .map_or("an unknown part".into(), |granted| format!("{} KiB", kib(granted))),
            kib(receive_buffer::WANTED_BYTES),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_is_removed_from_the_url() {
        let (url, credentials) = split_credentials("rtsp://u%40:p%3Aw@10.0.0.2:554/a?b=c").unwrap();
        assert_eq!(url.as_str(), "rtsp://10.0.0.2:554/a?b=c");
        let credentials = credentials.unwrap();
        assert_eq!((&*credentials.username, &*credentials.password), ("u@", "p:w"));
        assert_eq!(split_credentials("rtsp://10.0.0.2/a").unwrap().1, None);
        let (url, credentials) = split_credentials("rtsp://u@[::1]/a").unwrap();
        assert_eq!((url.as_str(), credentials.unwrap().password.as_str()), ("rtsp://[::1]/a", ""));
    }

    #[test]
    fn ports_are_read_from_retinas_display() {
        let context = "127.0.0.1:40000-40001(me) -> 127.0.0.1:5000-5001";
        assert_eq!(ports_in(context), [40000, 40001]);
        assert_eq!(ports_in("::1:40000-40001(me) -> ::1:5000-5001"), [40000, 40001]);
        assert!(ports_in("TCP, interleaved channel ids 0-1").is_empty());
    }
}
