//! Where a camera's video goes out as RTP, and as what.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// What a camera sends to a MediaSoup PlainTransport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Producer {
    /// The transport's address.
    pub(crate) rtp: SocketAddr,
    /// Its second one for RTCP; `None`: both go over the first (`rtcpMux`).
    pub(crate) rtcp: Option<SocketAddr>,
    /// Synchronisation source, never 0.
    pub(crate) ssrc: u32,
    /// 96 to 127.
    pub(crate) payload_type: u8,
    pub(crate) video: Video,
    /// Most pixels of a row that are encoded.
    pub(crate) max_width: Option<u32>,
    /// Most rows that are encoded.
    pub(crate) max_height: Option<u32>,
    /// Thousand bits a second; `None`: by size and rate.
    pub(crate) bitrate_kbit: Option<u32>,
    /// Longest from a key frame to the next, when encoding.
    pub(crate) key_interval: Duration,
}

/// What becomes of the camera's video.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Video {
    /// Its H.264 goes out as it came.
    #[default]
    Copy,
    /// Its decoded frames are encoded again.
    H264,
}

/// A value that its key can't have.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProducerError {
    #[error("{typed:?} is no address; expected an IP address and a port, such as 127.0.0.1:40000")]
    NoAddress { typed: String },
    #[error(
        "{typed:?} can't be sent to; expected the address and port that the transport listens on"
    )]
    NotSendable { typed: String },
    #[error("{typed:?} is nothing to do with video; expected \"copy\" or \"h264\"")]
    Video { typed: String },
}

impl Producer {
    pub(crate) const SSRCS: RangeInclusive<u32> = 1..=u32::MAX;
    /// Those that stand for nothing by themselves (RFC 3551, 6).
    pub(crate) const PAYLOAD_TYPES: RangeInclusive<u32> = 96..=127;
    /// MediaSoup's own producers of examples and demos begin here, too.
    pub(crate) const DEFAULT_PAYLOAD_TYPE: u8 = 96;
    pub(crate) const PIXELS: RangeInclusive<u32> = 64..=8192;
    pub(crate) const BITRATES_KBIT: RangeInclusive<u32> = 50..=100_000;
    pub(crate) const DEFAULT_KEY_INTERVAL: Duration = Duration::from_secs(2);
    pub(crate) const KEY_INTERVALS: RangeInclusive<Duration> =
        Duration::from_millis(500)..=Duration::from_secs(60);
}

/// Reads where to send to.
pub(super) fn address(typed: &str) -> Result<SocketAddr, ProducerError> {
    let address: SocketAddr =
        typed.parse().map_err(|_| ProducerError::NoAddress { typed: typed.into() })?;
    let ip = address.ip();
    if address.port() == 0 || ip.is_unspecified() || ip.is_multicast() {
        return Err(ProducerError::NotSendable { typed: typed.into() });
    }
    Ok(address)
}

/// The SSRC of a camera that is given none: always the same, so that it can be declared before the service
/// runs (FNV-1a).
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
    fn addresses_are_those_that_can_be_sent_to() {
        assert!(address("127.0.0.1:40000").is_ok() && address("[::1]:40000").is_ok());
        for bad in ["mediasoup:40000", "127.0.0.1", "127.0.0.1:0", "0.0.0.0:1", "224.0.0.1:5004"] {
            assert!(address(bad).unwrap_err().to_string().contains(bad), "{bad}");
        }
    }

    #[test]
    fn a_camera_has_the_same_ssrc_each_time_and_another_than_others() {
        assert_eq!(default_ssrc("gate"), 0x1660_eb12, "declared in somebody's MediaSoup");
        assert_ne!(default_ssrc("gate"), default_ssrc("yard"));
        assert_ne!(default_ssrc(""), 0);
    }
}
