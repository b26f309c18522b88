//! What retina's errors mean for a source. Pure.
//!
//! retina's errors are words and, for an answer of the camera, its status; their kinds are private. They are
//! told apart by how the words begin, as retina 0.4.21 has them (its src/error.rs), pinned in Cargo.lock.

use crate::error::{Cause, SourceErrorKind};
use crate::request::Transport;

/// A failure while the camera was opened.
pub(super) fn opening(status: Option<u16>, words: &str, asked: Transport) -> SourceErrorKind {
    use SourceErrorKind as Kind;
    let cause = Cause::message(&words);
    match status {
        // No login was sent.
        Some(401) if words.contains("Can't understand WWW-Authenticate") => {
            return Kind::ClientLacks { what: format!("a login of the kinds offered ({cause})") };
        }
        Some(status @ (401 | 403)) => return Kind::Refused { status },
        Some(404) => return Kind::NoSuchPath,
        Some(461) => return Kind::NoTransport { asked },
        Some(status @ 300..=399) => {
            return Kind::Moved { status, why: "does not say where to" };
        }
        // The camera agreed, in a way that can't be understood.
        Some(200..=299) => return Kind::Garbage(cause),
        Some(_) => return Kind::Rejected(cause),
        None => {}
    }
    if words.starts_with("RTSP framing error") {
        Kind::Garbage(cause)
    } else if words.starts_with("Invalid argument") {
        Kind::BadUrl { reason: cause.to_string() }
    } else if words.starts_with("Unsupported") {
        Kind::ClientLacks { what: cause.to_string() }
    } else {
        Kind::Unreachable(cause)
    }
}

/// Whether a connection was refused: the host is there, and nothing listens.
pub(super) fn is_refused(words: &str) -> bool {
    words.starts_with("Unable to connect") && words.contains("Connection refused")
}

/// A failure of a stream that plays.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// One packet made no sense; the next ones may.
    Packet(Cause),
    /// A packet came once more, or late: what is there is none the worse for it.
    Again,
    /// The session is of no more use.
    Session(SourceErrorKind),
}

pub(super) fn playing(words: &str) -> Trouble {
    let cause = Cause::message(&words);
    // RtpPacketError and PacketError alone name a packet.
    if is_again(words) {
        Trouble::Again
    } else if words.contains("\npkt: ") {
        Trouble::Packet(cause)
    } else if words.starts_with("RTSP framing error") || words.starts_with("Received interleaved") {
        Trouble::Session(SourceErrorKind::Garbage(cause))
    } else {
        Trouble::Session(SourceErrorKind::Broken(cause))
    }
}

/// Whether a packet lies a little before the one that was expected. Numbers that begin anew lie far off.
fn is_again(words: &str) -> bool {
    const NEAR: u16 = 64;
    fn number(words: &str, before: &str) -> Option<u16> {
        let digits = words.split_once(before)?.1;
        digits.split(|sign: char| !sign.is_ascii_digit()).next()?.parse().ok()
    }
    if !words.starts_with("Out-of-order packet") {
        return false;
    }
    match (number(words, "next: "), number(words, "\nseq: ")) {
        (Some(next), Some(came)) => (1..=NEAR).contains(&next.wrapping_sub(came)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SourceErrorKind as Kind;

    #[test]
    fn answers_of_a_camera() {
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
    fn a_packet_that_comes_again_is_no_trouble() {
        let words = |next: u16, seq: u16| {
            format!(
                "Out-of-order packet or large loss; expecting ssrc=Some(Ssrc {{ init: RtpPacket, ssrc: 0x11223344 }}) \
                 seq=Some(Seq {{ init: RtpPacket, next: {next} }})\n\nconn: c\nstream: s\nssrc: 11223344\n\
                 seq: {seq}\npkt: p"
            )
        };
        assert_eq!(playing(&words(100, 99)), Trouble::Again);
        assert_eq!(playing(&words(0, 65_535)), Trouble::Again);
        assert!(matches!(playing(&words(20_000, 7)), Trouble::Packet(_)), "numbers begin anew");
    }

    #[test]
    fn one_bad_packet_does_not_end_a_session() {
        let packet = "wrong ssrc\n\nconn: c\nstream: s\nssrc: 00000001\nseq: 0002\npkt: p";
        assert_eq!(playing(packet), Trouble::Packet(Cause::Message("wrong ssrc".into())));
        let read = "Error reading from RTSP peer: reset\n\nconn: c\nmsg: m";
        assert!(matches!(playing(read), Trouble::Session(Kind::Broken(_))));
        let framing = "RTSP framing error: x\n\nconn: c\nmsg: m";
        assert!(matches!(playing(framing), Trouble::Session(Kind::Garbage(_))));
    }
}
