//! What must be known to go on with a stream.

/// Where a stream stands: what the next sender must know so that viewers see one stream without a jump.
///
/// Timestamps count on from `CLOCK_MONOTONIC`, which all processes of a host share; `timestamp_offset` is
/// chosen at random once for the life of a stream (RFC 3550, 5.1), and so is the first `sequence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Continuity {
    /// Sequence number of the next packet.
    pub sequence: u16,
    /// RTP timestamp of `CLOCK_MONOTONIC` zero.
    pub timestamp_offset: u32,
    /// The latest picture's place on `CLOCK_MONOTONIC`, in nanoseconds; 0 before the first.
    pub media_ns: u64,
    /// Packets sent.
    pub packets: u32,
    /// Bytes of their payloads.
    pub octets: u32,
}

impl Continuity {
    /// A stream that has not begun; both numbers should be random.
    pub fn beginning(sequence: u16, timestamp_offset: u32) -> Self {
        Self { sequence, timestamp_offset, media_ns: 0, packets: 0, octets: 0 }
    }

    /// The RTP timestamp of a moment.
    pub fn timestamp(&self, media_ns: u64) -> u32 {
        // 90 kHz; what is above 32 bits is lost, as RTP's own wrapping has it.
        let ticks = u128::from(media_ns) * 9 / 100_000;
        self.timestamp_offset.wrapping_add(ticks as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_90_khz_and_wrap() {
        let stream = Continuity::beginning(0, 10);
        assert_eq!(stream.timestamp(0), 10);
        assert_eq!(stream.timestamp(1_000_000_000), 90_010);
        // 2^32 ticks are 47,721.8 s, and a host is up for longer.
        let wrapped = (1u64 << 32) * 100_000 / 9 + 100_000;
        assert!(stream.timestamp(wrapped) < 30);
    }
}
