//! Where a camera's video is sent as RTP, and in which form.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a camera sends to a MediaSoup PlainTransport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producer {
    /// Where the transport listens.
    pub rtp: Destination,
    /// Where it listens for RTCP; `None`: both use the first (`rtcpMux`).
    pub rtcp: Option<Destination>,
    /// Synchronisation source, never 0.
    pub ssrc: u32,
    /// 96 to 127.
    pub payload_type: u8,
    /// How its video is sent.
    pub video: Video,
    /// Largest encoded width in pixels.
    pub max_width: Option<u32>,
    /// Largest encoded height in pixels.
    pub max_height: Option<u32>,
    /// In units of 1,000 bits a second; `None`: by size and rate.
    pub bitrate_kbit: Option<u32>,
    /// Longest time between key frames, when encoding.
    pub key_interval: Duration,
}

/// The destinations of a producer: its sockets are bound for these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destinations {
    /// Of RTP.
    pub rtp: Destination,
    /// Of RTCP; `None`: that of RTP.
    pub rtcp: Option<Destination>,
}

impl Producer {
    /// Where it sends.
    pub fn destinations(&self) -> Destinations {
        Destinations { rtp: self.rtp.clone(), rtcp: self.rtcp.clone() }
    }
}

/// The destination of packets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Destination {
    /// A fixed address.
    Address(SocketAddr),
    /// A name that the sending process looks up.
    Name {
        /// In lower case.
        host: String,
        /// Never 0.
        port: u16,
    },
}

/// How the camera's video is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Video {
    /// Its H.264 as it came.
    #[default]
    Copy,
    /// Its decoded frames, re-encoded.
    H264,
}

/// An invalid value of a key.
#[derive(Debug, thiserror::Error)]
pub enum ProducerError {
    #[error(
        "{typed:?} is no address; expected an IP address or a host's name, and a port, such as \
         127.0.0.1:40000 or mediasoup:40000"
    )]
    NoAddress { typed: String },
    #[error(
        "{typed:?} is no destination; expected the address and port that the transport listens on"
    )]
    NotSendable { typed: String },
    #[error("{typed:?} is unknown; expected \"copy\" or \"h264\"")]
    Video { typed: String },
}

impl Producer {
    /// Synchronisation sources that may be set: 0 is reserved for "none".
    pub const SSRCS: RangeInclusive<u32> = 1..=u32::MAX;
    /// The dynamic payload types (RFC 3551, 6).
    pub const PAYLOAD_TYPES: RangeInclusive<u32> = 96..=127;
    /// Also the first one in MediaSoup's own examples and demos.
    pub const DEFAULT_PAYLOAD_TYPE: u8 = 96;
    /// Range of `max_width` and `max_height`.
    pub const PIXELS: RangeInclusive<u32> = 64..=8192;
    /// Range of `bitrate_kbit`.
    pub const BITRATES_KBIT: RangeInclusive<u32> = 50..=100_000;
    /// Default of `key_interval`.
    pub const DEFAULT_KEY_INTERVAL: Duration = Duration::from_secs(2);
    /// Range of `key_interval`.
    pub const KEY_INTERVALS: RangeInclusive<Duration> =
        Duration::from_millis(500)..=Duration::from_secs(60);
}

/// Parses a destination.
pub(super) fn destination(typed: &str) -> Result<Destination, ProducerError> {
    let not_sendable = || ProducerError::NotSendable { typed: typed.into() };
    if let Ok(address) = typed.parse::<SocketAddr>() {
        let ip = address.ip();
        let is_of_one = address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast();
        return is_of_one.then_some(Destination::Address(address)).ok_or_else(not_sendable);
    }
    let no_address = || ProducerError::NoAddress { typed: typed.into() };
    let (host, port) = typed.rsplit_once(':').ok_or_else(no_address)?;
    let port: u16 = port.parse().map_err(|_| no_address())?;
    if !is_name(host) {
        return Err(no_address());
    }
    match port {
        0 => Err(not_sendable()),
        port => Ok(Destination::Name { host: host.to_ascii_lowercase(), port }),
    }
}

/// Whether it can be a host's name (RFC 1123, 2.1; with the underscore that container networks
/// allow). A name that ends in a number is a mistyped address.
fn is_name(host: &str) -> bool {
    let mut labels = host.strip_suffix('.').unwrap_or(host).split('.');
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    host.len() <= 253 && labels.clone().all(is_label) && !labels.next_back().is_none_or(is_number)
}

/// The SSRC of a camera that sets none: always the same, so that it can be declared before the
/// service runs (FNV-1a).
pub(super) fn default_ssrc(id: &str) -> u32 {
    let hash = |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    id.bytes().fold(0x811c_9dc5, hash).max(1)
}

impl FromStr for Video {
    type Err = ProducerError;

    fn from_str(typed: &str) -> Result<Self, ProducerError> {
        match typed {
            "copy" => Ok(Self::Copy),
            "h264" => Ok(Self::H264),
            _ => Err(ProducerError::Video { typed: typed.into() }),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl fmt::Display for Video {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Copy => "copy",
            Self::H264 => "h264",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_those_that_can_be_sent_to() {
        for address in ["127.0.0.1:40000", "[::1]:40000"] {
            assert!(matches!(destination(address), Ok(Destination::Address(_))), "{address}");
        }
        for name in ["mediasoup:40000", "sfu-1.example.:1", "a_b.c9:65535", "localhost:7", "9a:1"] {
            assert_eq!(destination(name).unwrap().to_string(), name);
        }
        let same = destination("MediaSoup:40000").unwrap();
        assert_eq!(same, destination("mediasoup:40000").unwrap());
        for bad in [
            "127.0.0.1",
            "127.0.0.1:0",
            "0.0.0.0:1",
            "224.0.0.1:5004",
            "mediasoup",
            "mediasoup:0",
            "mediasoup:65536",
            ":40000",
            "a b:1",
            "a..b:1",
            "127.0.0.256:1",
            "127.0.1:40000",
            "::1:40000",
            "[::1",
            "rtp://sfu:1",
            "u@sfu:1",
        ] {
            assert!(destination(bad).unwrap_err().to_string().contains(bad), "{bad}");
        }
    }

    #[test]
    fn a_camera_has_the_same_ssrc_each_time_and_another_than_others() {
        assert_eq!(default_ssrc("gate"), 0x1660_eb12, "declared in somebody's MediaSoup");
        assert_ne!(default_ssrc("gate"), default_ssrc("yard"));
        assert_ne!(default_ssrc(""), 0);
    }
}
