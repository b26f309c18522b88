//! Keeps information about packets for their frames, which the decoder outputs in another order.

/// More pictures than any codec holds back: H.264 and H.265 reorder by at most 16, and slice threads
/// add none.
const CAPACITY: usize = 64;

/// A fixed ring of packet records. A packet's tag passes through the decoder and returns on its frame.
pub(super) struct Records {
    ring: [Record; CAPACITY],
    /// The tag of the newest packet. Tags begin at 1, so FFmpeg's default of 0 belongs to none.
    newest: i64,
    discontinuities: u64,
    reported: u64,
}

#[derive(Clone, Copy, Default)]
struct Record {
    tag: i64,
    info: PacketInfo,
    /// Discontinuities up to and including this packet.
    discontinuities: u64,
    lost: bool,
}

/// What is kept of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PacketInfo {
    pub(super) arrival_ns: u64,
    pub(super) wall_clock_ns: Option<i64>,
    /// Its picture may be wrong because of a loss.
    pub(super) after_loss: bool,
}

/// What a frame inherits from its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inherited {
    pub(super) info: PacketInfo,
    /// There is a discontinuity between the frame output last and this one.
    pub(super) discontinuity: bool,
}

impl Records {
    pub(super) fn new() -> Self {
        Self { ring: [Record::default(); CAPACITY], newest: 0, discontinuities: 0, reported: 0 }
    }

    /// The tag of the next packet that is kept.
    pub(super) fn next_tag(&self) -> i64 {
        self.newest + 1
    }

    /// Keeps a packet under [`next_tag`](Self::next_tag), and forgets the oldest.
    pub(super) fn keep(&mut self, info: PacketInfo, discontinuity: bool) {
        self.newest = self.next_tag();
        self.discontinuities += u64::from(discontinuity);
        let (tag, discontinuities) = (self.newest, self.discontinuities);
        self.ring[slot(tag)] = Record { tag, info, discontinuities, lost: false };
    }

    /// Skips a packet, which may be marked as a discontinuity.
    pub(super) fn skip(&mut self, discontinuity: bool) {
        self.discontinuities += u64::from(discontinuity);
    }

    /// Marks the picture of the newest packet as lost, should the decoder still output it.
    pub(super) fn lose_newest(&mut self) {
        self.ring[slot(self.newest)].lost = true;
    }

    /// Marks the picture of the newest packet as possibly wrong.
    pub(super) fn spoil_newest(&mut self) {
        self.ring[slot(self.newest)].info.after_loss = true;
    }

    /// Whether the picture with this tag is marked as lost.
    pub(super) fn is_lost(&self, tag: i64) -> bool {
        let found = self.ring[slot(tag)];
        found.tag == tag && found.lost
    }

    /// What the frame with this tag inherits. If the tag is not kept, because the decoder outputs one
    /// frame for each packet and does not pass tags on, the newest packet applies.
    pub(super) fn inherit(&mut self, tag: i64) -> Inherited {
        let found = self.ring[slot(tag)];
        let record = if tag > 0 && found.tag == tag { found } else { self.ring[slot(self.newest)] };
        let discontinuity = record.discontinuities > self.reported;
        self.reported = self.reported.max(record.discontinuities);
        Inherited { info: record.info, discontinuity }
    }
}

fn slot(tag: i64) -> usize {
    tag.rem_euclid(CAPACITY as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(arrival_ns: u64) -> PacketInfo {
        PacketInfo { arrival_ns, ..PacketInfo::default() }
    }

    fn frame(arrival_ns: u64, discontinuity: bool) -> Inherited {
        Inherited { info: info(arrival_ns), discontinuity }
    }

    #[test]
    fn frames_find_their_packets_in_any_order() {
        let mut records = Records::new();
        for arrival in [10, 20, 30] {
            records.keep(info(arrival), false);
        }
        assert_eq!(records.inherit(1), frame(10, false));
        assert_eq!(records.inherit(3), frame(30, false));
        assert_eq!(records.inherit(2), frame(20, false));
    }

    #[test]
    fn a_discontinuity_is_reported_once_on_the_first_frame_after_it() {
        let mut records = Records::new();
        records.keep(info(10), false);
        records.keep(info(20), true);
        records.keep(info(30), false);
        assert_eq!(records.inherit(1), frame(10, false));
        // The marked packet has no frame: the next one carries the mark.
        assert_eq!(records.inherit(3), frame(30, true));
        assert_eq!(records.inherit(2), frame(20, false));
    }

    #[test]
    fn a_discontinuity_on_a_skipped_packet_is_reported_on_the_next() {
        let mut records = Records::new();
        records.keep(info(10), false);
        records.skip(true);
        records.keep(info(30), false);
        assert_eq!(records.inherit(1), frame(10, false));
        assert_eq!(records.inherit(2), frame(30, true));
    }

    #[test]
    fn two_discontinuities_are_reported_twice() {
        let mut records = Records::new();
        records.keep(info(10), true);
        records.keep(info(20), true);
        assert_eq!(records.inherit(1), frame(10, true));
        assert_eq!(records.inherit(2), frame(20, true));
    }

    #[test]
    fn marks_travel_with_the_packet_to_its_frame() {
        let mut records = Records::new();
        let marked =
            |arrival_ns| PacketInfo { after_loss: true, wall_clock_ns: Some(7), arrival_ns };
        records.keep(info(10), false);
        records.keep(marked(20), false);
        records.keep(info(30), false);
        assert_eq!(records.inherit(1), frame(10, false));
        assert_eq!(records.inherit(3), frame(30, false));
        assert_eq!(records.inherit(2).info, marked(20));
        records.spoil_newest();
        assert!(records.inherit(3).info.after_loss);
    }

    #[test]
    fn lost_pictures_are_found_by_tag() {
        let mut records = Records::new();
        records.keep(info(10), false);
        records.keep(info(20), true);
        records.lose_newest();
        records.keep(info(30), false);
        assert_eq!([1, 2, 3].map(|tag| records.is_lost(tag)), [false, true, false]);
        assert!(!records.is_lost(2 + CAPACITY as i64));
        // Its discontinuity is reported on the next frame.
        assert_eq!(records.inherit(3), frame(30, true));
    }

    #[test]
    fn unknown_tags_fall_back_to_the_newest_packet() {
        let mut records = Records::new();
        for arrival in 0..200 {
            records.keep(info(arrival), false);
        }
        for tag in [0, -1, 1, 201, i64::MIN, i64::MAX] {
            assert_eq!(records.inherit(tag), frame(199, false), "{tag}");
        }
        assert_eq!(records.inherit(200 - CAPACITY as i64 + 1), frame(136, false));
    }
}
