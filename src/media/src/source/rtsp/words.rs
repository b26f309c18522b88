//! Classifies retina's errors for a source. Pure.
//!
//! A retina error exposes a message and, for a response of the camera, its status; its variants are private. They are
//! distinguished by the beginning of the message in retina 0.4.21 (src/error.rs), which Cargo.lock pins.

use super::redirect::NO_URL;
use crate::error::{Cause, SourceErrorKind};
use vas_request::Transport;

/// Classifies a failure to open the camera.
pub(super) fn opening(status: Option<u16>, message: &str, asked: Transport) -> SourceErrorKind {
    use SourceErrorKind as Kind;
    let cause = Cause::message(&message);
    match status {
        // No login was sent.
        Some(401) if message.contains("Can't understand WWW-Authenticate") => {
            return Kind::ClientLacks { what: format!("the offered authentication ({cause})") };
        }
        Some(status @ (401 | 403)) => return Kind::Refused { status },
        Some(404) => return Kind::NoSuchPath,
        Some(461) => return Kind::NoTransport { asked },
        Some(status @ 300..=399) => {
            return Kind::Moved { status, why: NO_URL };
        }
        // The camera accepted the request, but its response is invalid.
        Some(200..=299) => return Kind::Garbage(cause),
        Some(_) => return Kind::Rejected(cause),
        None => {}
    }
    if message.starts_with("RTSP framing error") {
        Kind::Garbage(cause)
    } else if message.starts_with("Invalid argument") {
        Kind::BadUrl { reason: cause.to_string() }
    } else if message.starts_with("Unsupported") {
        Kind::ClientLacks { what: cause.to_string() }
    } else {
        Kind::Unreachable(cause)
    }
}

/// Whether the connection was refused: the host is up, but nothing listens.
pub(super) fn is_refused(message: &str) -> bool {
    message.starts_with("Unable to connect") && message.contains("Connection refused")
}

/// A failure of a stream that plays.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PlayError {
    /// One packet is invalid; later ones may be valid.
    Packet(Cause),
    /// A packet was repeated or late, which does not affect pictures.
    Repeated,
    /// The session can't continue.
    Session(SourceErrorKind),
}

pub(super) fn playing(message: &str) -> PlayError {
    let cause = Cause::message(&message);
    // Only RtpPacketError and PacketError name a packet.
    if is_repeated(message) {
        PlayError::Repeated
    } else if message.contains("\npkt: ") {
        PlayError::Packet(cause)
    } else if message.starts_with("RTSP framing error")
        || message.starts_with("Received interleaved")
    {
        PlayError::Session(SourceErrorKind::Garbage(cause))
    } else {
        PlayError::Session(SourceErrorKind::Broken(cause))
    }
}

/// Whether a packet's number is slightly below the expected one. Numbers that restart differ more.
fn is_repeated(message: &str) -> bool {
    const NEAR: u16 = 64;
    fn number(message: &str, before: &str) -> Option<u16> {
        let digits = message.split_once(before)?.1;
        digits.split(|char: char| !char.is_ascii_digit()).next()?.parse().ok()
    }
    if !message.starts_with("Out-of-order packet") {
        return false;
    }
    match (number(message, "next: "), number(message, "\nseq: ")) {
        (Some(next), Some(received)) => (1..=NEAR).contains(&next.wrapping_sub(received)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SourceErrorKind as Kind;

    #[test]
    fn responses_of_a_camera() {
        let kind = |status| opening(Some(status), "a\n\nconn: b", Transport::Tcp);
        assert_eq!(kind(401), Kind::Refused { status: 401 });
        assert_eq!(kind(403), Kind::Refused { status: 403 });
        assert_eq!(kind(404), Kind::NoSuchPath);
        assert!(matches!(kind(302), Kind::Moved { status: 302, .. }));
        assert_eq!(kind(461), Kind::NoTransport { asked: Transport::Tcp });
        assert_eq!(kind(453), Kind::Rejected(Cause::Message("a".into())));
        assert_eq!(kind(200), Kind::Garbage(Cause::Message("a".into())));
    }

    #[test]
    fn connections() {
        let kind = |words| opening(None, words, Transport::Tcp);
        let refused = "Unable to connect to RTSP server: Connection refused (os error 111)";
        assert_eq!(kind(refused), Kind::Unreachable(Cause::Message(refused.into())));
        assert!(is_refused(refused) && !is_refused("Unable to connect: No route to host"));
        assert!(matches!(kind("RTSP framing error: x"), Kind::Garbage(_)));
        assert!(matches!(kind("Invalid argument: x"), Kind::BadUrl { .. }));
        assert!(matches!(kind("Unsupported: x"), Kind::ClientLacks { .. }));
    }

    #[test]
    fn repeated_packets_are_recognized() {
        let message = |next: u16, seq: u16| {
            format!(
                "Out-of-order packet or large loss; expecting ssrc=Some(Ssrc {{ init: RtpPacket, ssrc: 0x11223344 }}) \
                 seq=Some(Seq {{ init: RtpPacket, next: {next} }})\n\nconn: c\nstream: s\nssrc: 11223344\n\
                 seq: {seq}\npkt: p"
            )
        };
        assert_eq!(playing(&message(100, 99)), PlayError::Repeated);
        assert_eq!(playing(&message(0, 65_535)), PlayError::Repeated);
        assert!(matches!(playing(&message(20_000, 7)), PlayError::Packet(_)), "numbers restart");
    }

    #[test]
    fn one_invalid_packet_does_not_end_a_session() {
        let packet = "wrong ssrc\n\nconn: c\nstream: s\nssrc: 00000001\nseq: 0002\npkt: p";
        assert_eq!(playing(packet), PlayError::Packet(Cause::Message("wrong ssrc".into())));
        let read = "Error reading from RTSP peer: reset\n\nconn: c\nmsg: m";
        assert!(matches!(playing(read), PlayError::Session(Kind::Broken(_))));
        let framing = "RTSP framing error: x\n\nconn: c\nmsg: m";
        assert!(matches!(playing(framing), PlayError::Session(Kind::Garbage(_))));
    }
}
