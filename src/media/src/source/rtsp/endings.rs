//! Whether what retina takes for a picture is one. Pure.
//!
//! retina ends a picture at RTP's marker. Some cameras set the marker on the last packet of each slice, of each
//! NAL unit or of every packet: then one picture comes in pieces of one timestamp. So a marker is believed once a
//! few pictures of the kind have ended at it, and until then a picture is held back until the next one begins.

use std::time::Duration;

/// For how long at most a picture is held back: the packets of one picture come closer together.
pub(super) const HOLD: Duration = Duration::from_millis(150);

/// Pictures of a kind after which the marker is believed.
const PROOFS: [u8; 2] = [1, 3];

/// A picture by how a camera may cut it: key pictures are larger, and bring parameter sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Key,
    Other,
}

/// Follows the timestamps of what comes out of retina.
#[derive(Debug, Default)]
pub(super) struct Endings {
    last: Option<i64>,
    proven: [u8; 2],
}

impl Endings {
    /// Takes what came next. True when it continues the picture before it, whose marker was false.
    pub(super) fn continues(&mut self, ticks: i64) -> bool {
        self.last.replace(ticks) == Some(ticks)
    }

    /// Whether a picture of this kind need not be held back.
    pub(super) fn is_proven(&self, kind: Kind) -> bool {
        self.proven[kind as usize] >= PROOFS[kind as usize]
    }

    /// A picture of this kind was whole at its marker.
    pub(super) fn prove(&mut self, kind: Kind) {
        let proven = &mut self.proven[kind as usize];
        *proven = proven.saturating_add(1);
    }
}

/// Counts the packets that make no sense, against the pictures between them.
#[derive(Debug)]
pub(super) struct BadPackets {
    weight: u32,
    limit: u32,
}

impl BadPackets {
    /// What a bad packet counts, in pictures that came well.
    const WEIGHT: u32 = 100;

    /// Over TCP nothing is lost or mixed up on the way, so three of them are the camera's manner; over UDP
    /// it takes a flood.
    pub(super) fn new(over_tcp: bool) -> Self {
        Self { weight: 0, limit: Self::WEIGHT * if over_tcp { 3 } else { 32 } }
    }

    /// A picture came well.
    pub(super) fn picture(&mut self) {
        self.weight = self.weight.saturating_sub(1);
    }

    /// A packet made no sense. True when there were so many that it will go on like that.
    pub(super) fn packet(&mut self) -> bool {
        self.weight = (self.weight + Self::WEIGHT).min(self.limit);
        self.weight + Self::WEIGHT / 2 > self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pieces_of_one_timestamp_are_one_picture() {
        let mut endings = Endings::default();
        assert!(!endings.continues(0));
        assert!(!endings.continues(3000));
        assert!(endings.continues(3000));
        assert!(!endings.continues(6000));
        assert!(!endings.continues(3000), "reordered pictures come again and again");
    }

    #[test]
    fn a_marker_is_believed_by_kind() {
        let mut endings = Endings::default();
        assert!(!endings.is_proven(Kind::Key) && !endings.is_proven(Kind::Other));
        endings.prove(Kind::Key);
        assert!(endings.is_proven(Kind::Key) && !endings.is_proven(Kind::Other));
        (0..3).for_each(|_| endings.prove(Kind::Other));
        assert!(endings.is_proven(Kind::Other));
        (0..1000).for_each(|_| endings.prove(Kind::Other));
        assert!(endings.is_proven(Kind::Other));
    }

    #[test]
    fn bad_packets_in_a_row_are_no_accident() {
        let mut tcp = BadPackets::new(true);
        assert_eq!([(); 4].map(|()| tcp.packet()), [false, false, true, true]);
        let mut udp = BadPackets::new(false);
        assert!((0..31).all(|_| !udp.packet()) && udp.packet());
    }

    #[test]
    fn a_bad_packet_now_and_then_is_borne() {
        let mut tcp = BadPackets::new(true);
        for _ in 0..100 {
            assert!(!tcp.packet());
            (0..BadPackets::WEIGHT).for_each(|_| tcp.picture());
        }
    }
}
