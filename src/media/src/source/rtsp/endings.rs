//! Checks whether retina's pictures are complete. Pure.
//!
//! retina ends a picture at RTP's marker. Some cameras set the marker on the last packet of each slice or NAL unit, or on
//! every packet; one picture then arrives in pieces with the same timestamp. A marker is therefore trusted once a few
//! pictures of a kind have ended at it; until then a picture is held back until the next one begins.

use std::time::Duration;

/// Longest time to hold a picture back: the packets of one picture arrive closer together.
pub(super) const HOLD: Duration = Duration::from_millis(150);

/// Pictures of each kind after which the marker is trusted.
const PROOFS: [u8; 2] = [1, 3];

/// Kinds of pictures that a camera may split differently: key pictures are larger and include parameter sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Key,
    Other,
}

/// Tracks the timestamps of retina's pictures.
#[derive(Debug, Default)]
pub(super) struct Endings {
    last: Option<i64>,
    proven: [u8; 2],
}

impl Endings {
    /// Takes the next piece. Returns true if it continues the previous picture, whose marker was wrong.
    pub(super) fn continues(&mut self, ticks: i64) -> bool {
        self.last.replace(ticks) == Some(ticks)
    }

    /// Whether pictures of this kind don't need to be held back.
    pub(super) fn is_proven(&self, kind: Kind) -> bool {
        self.proven[kind as usize] >= PROOFS[kind as usize]
    }

    /// Records that a picture of this kind was complete at its marker.
    pub(super) fn prove(&mut self, kind: Kind) {
        let proven = &mut self.proven[kind as usize];
        *proven = proven.saturating_add(1);
    }
}

/// Weighs invalid packets against the pictures between them.
#[derive(Debug)]
pub(super) struct BadPackets {
    weight: u32,
    limit: u32,
}

impl BadPackets {
    /// The weight of an invalid packet, in valid pictures.
    const WEIGHT: u32 = 100;

    /// Over TCP the network neither loses nor reorders packets, so three invalid ones show that the camera sends
    /// them regularly; over UDP it takes many more.
    pub(super) fn new(over_tcp: bool) -> Self {
        Self { weight: 0, limit: Self::WEIGHT * if over_tcp { 3 } else { 32 } }
    }

    /// Counts a valid picture.
    pub(super) fn picture(&mut self) {
        self.weight = self.weight.saturating_sub(1);
    }

    /// Counts an invalid packet. Returns true if there were so many that more are to be expected.
    pub(super) fn packet(&mut self) -> bool {
        self.weight = (self.weight + Self::WEIGHT).min(self.limit);
        self.weight + Self::WEIGHT / 2 > self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_with_the_same_timestamp_are_one_picture() {
        let mut endings = Endings::default();
        assert!(!endings.continues(0));
        assert!(!endings.continues(3000));
        assert!(endings.continues(3000));
        assert!(!endings.continues(6000));
        assert!(!endings.continues(3000), "reordered pictures repeat earlier timestamps");
    }

    #[test]
    fn markers_are_trusted_for_each_kind() {
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
    fn several_invalid_packets_in_a_row_exceed_the_limit() {
        let mut tcp = BadPackets::new(true);
        assert_eq!([(); 4].map(|()| tcp.packet()), [false, false, true, true]);
        let mut udp = BadPackets::new(false);
        assert!((0..31).all(|_| !udp.packet()) && udp.packet());
    }

    #[test]
    fn occasional_invalid_packets_are_tolerated() {
        let mut tcp = BadPackets::new(true);
        for _ in 0..100 {
            assert!(!tcp.packet());
            (0..BadPackets::WEIGHT).for_each(|_| tcp.picture());
        }
    }
}
