//! The state that continues a stream in another sender.

/// The state of a stream between senders: with it, viewers see one stream without a jump.
///
/// Timestamps are derived from `CLOCK_MONOTONIC`, which all processes of a host share. `timestamp_offset` and the
/// first `sequence` are chosen at random once for the life of a stream (RFC 3550, 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Continuity {
    /// Sequence number of the next packet.
    pub sequence: u16,
    /// RTP timestamp of `CLOCK_MONOTONIC` zero.
    pub timestamp_offset: u32,
    /// The time of the latest picture on `CLOCK_MONOTONIC`, in nanoseconds; 0 before the first.
    pub media_ns: u64,
    /// Packets sent.
    pub packets: u32,
    /// Payload bytes sent.
    pub octets: u32,
}

impl Continuity {
    /// The state of a stream that has not begun; both numbers should be random.
    pub fn beginning(sequence: u16, timestamp_offset: u32) -> Self {
        Self { sequence, timestamp_offset, media_ns: 0, packets: 0, octets: 0 }
    }

    /// Length of [`to_bytes`](Self::to_bytes).
    pub const BYTES: usize = 24;

    /// Encodes the state, for another process on this host that runs the same version.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.media_ns.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.timestamp_offset.to_ne_bytes());
        bytes[12..16].copy_from_slice(&self.packets.to_ne_bytes());
        bytes[16..20].copy_from_slice(&self.octets.to_ne_bytes());
        bytes[20..22].copy_from_slice(&self.sequence.to_ne_bytes());
        bytes
    }

    /// Decodes the output of [`to_bytes`](Self::to_bytes).
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let [m0, m1, m2, m3, m4, m5, m6, m7, o0, o1, o2, o3, rest @ ..] = bytes;
        let [p0, p1, p2, p3, c0, c1, c2, c3, s0, s1, _, _] = rest;
        Self {
            media_ns: u64::from_ne_bytes([m0, m1, m2, m3, m4, m5, m6, m7]),
            timestamp_offset: u32::from_ne_bytes([o0, o1, o2, o3]),
            packets: u32::from_ne_bytes([p0, p1, p2, p3]),
            octets: u32::from_ne_bytes([c0, c1, c2, c3]),
            sequence: u16::from_ne_bytes([s0, s1]),
        }
    }

    /// The RTP timestamp of a time on `CLOCK_MONOTONIC`.
    pub fn timestamp(&self, media_ns: u64) -> u32 {
        // 90 kHz, truncated to 32 bits: RTP timestamps wrap.
        let ticks = u128::from(media_ns) * 9 / 100_000;
        self.timestamp_offset.wrapping_add(ticks as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_reverses_encoding() {
        let stream =
            Continuity { sequence: 1, timestamp_offset: 2, media_ns: 3, packets: 4, octets: 5 };
        assert_eq!(Continuity::from_bytes(stream.to_bytes()), stream);
    }

    #[test]
    fn timestamps_are_90_khz_and_wrap() {
        let stream = Continuity::beginning(0, 10);
        assert_eq!(stream.timestamp(0), 10);
        assert_eq!(stream.timestamp(1_000_000_000), 90_010);
        // 2^32 ticks are 47,721.8 s; hosts run for longer than that.
        let wrapped = (1u64 << 32) * 100_000 / 9 + 100_000;
        assert!(stream.timestamp(wrapped) < 30);
    }
}
