//! What packets said, kept until their frames come out in another order.

/// More than any codec holds back: H.264 and H.265 reorder by at most 16 pictures, and a decoder
/// with slice threads adds none.
const KEPT: usize = 64;

/// A fixed ring of packet records. A packet's tag goes through the decoder and comes back on its
/// frame.
pub(super) struct Records {
    ring: [Record; KEPT],
    /// Of the newest packet; tags begin at 1, so that FFmpeg's default of 0 is nobody's.
    newest: i64,
    breaks: u64,
    breaks_reported: u64,
}

#[derive(Clone, Copy, Default)]
struct Record {
    tag: i64,
    said: Said,
    /// Discontinuities up to and with this packet.
    breaks: u64,
    lost: bool,
}

/// What is kept of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) arrival_ns: u64,
    pub(super) wall_clock_ns: Option<i64>,
    /// Its picture may be wrong for what was lost.
    pub(super) after_loss: bool,
}

/// What a frame inherits from its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inherited {
    pub(super) said: Said,
    /// A discontinuity lies between the frame given out last and this one.
    pub(super) discontinuity: bool,
}

impl Records {
    pub(super) fn new() -> Self {
        Self { ring: [Record::default(); KEPT], newest: 0, breaks: 0, breaks_reported: 0 }
    }

    /// The tag that the next packet gets when it is kept.
    pub(super) fn next_tag(&self) -> i64 {
        self.newest + 1
    }

    /// Keeps a packet under [`next_tag`](Self::next_tag), in the place of the oldest.
    pub(super) fn keep(&mut self, said: Said, discontinuity: bool) {
        self.newest = self.next_tag();
        self.breaks += u64::from(discontinuity);
        let (tag, breaks) = (self.newest, self.breaks);
        self.ring[slot(tag)] = Record { tag, said, breaks, lost: false };
    }

    /// Notes that a packet is left out of which this was true.
    pub(super) fn leave_out(&mut self, discontinuity: bool) {
        self.breaks += u64::from(discontinuity);
    }

    /// The newest packet's picture is not to be shown, should it come out.
    pub(super) fn lose_newest(&mut self) {
        self.ring[slot(self.newest)].lost = true;
    }

    /// The newest packet's picture may be wrong, should it come out.
    pub(super) fn spoil_newest(&mut self) {
        self.ring[slot(self.newest)].said.after_loss = true;
    }

    /// Whether the frame with this tag is not to be shown.
    pub(super) fn is_lost(&self, tag: i64) -> bool {
        let found = self.ring[slot(tag)];
        found.tag == tag && found.lost
    }

    /// What the frame with this tag inherits. For a tag that is not kept (a decoder that does not
    /// pass tags on, because it gives one frame a packet) that is the newest packet.
    pub(super) fn inherit(&mut self, tag: i64) -> Inherited {
        let found = self.ring[slot(tag)];
        let record = if tag > 0 && found.tag == tag { found } else { self.ring[slot(self.newest)] };
        let discontinuity = record.breaks > self.breaks_reported;
        self.breaks_reported = self.breaks_reported.max(record.breaks);
        Inherited { said: record.said, discontinuity }
    }
}

fn slot(tag: i64) -> usize {
    tag.rem_euclid(KEPT as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(arrival_ns: u64) -> Said {
        Said { arrival_ns, ..Said::default() }
    }

    fn frame(arrival_ns: u64, discontinuity: bool) -> Inherited {
        Inherited { said: said(arrival_ns), discontinuity }
    }

    #[test]
    fn frames_find_their_packets_in_any_order() {
        let mut records = Records::new();
        for arrival in [10, 20, 30] {
            records.keep(said(arrival), false);
        }
        assert_eq!(records.inherit(1), frame(10, false));
        assert_eq!(records.inherit(3), frame(30, false));
        assert_eq!(records.inherit(2), frame(20, false));
    }

    #[test]
    fn a_break_is_told_once_on_the_first_frame_behind_it() {
        let mut records = Records::new();
        records.keep(said(10), false);
        records.keep(said(20), true);
        records.keep(said(30), false);
        assert_eq!(records.inherit(1), frame(10, false));
        // The marked packet gave no frame: the next one carries the mark.
        assert_eq!(records.inherit(3), frame(30, true));
        assert_eq!(records.inherit(2), frame(20, false));
    }

    #[test]
    fn a_break_on_a_packet_that_is_left_out_is_told_on_the_next() {
        let mut records = Records::new();
        records.keep(said(10), false);
        records.leave_out(true);
        records.keep(said(30), false);
        assert_eq!(records.inherit(1), frame(10, false));
        assert_eq!(records.inherit(2), frame(30, true));
    }

    #[test]
    fn two_breaks_are_two_marks() {
        let mut records = Records::new();
        records.keep(said(10), true);
        records.keep(said(20), true);
        assert_eq!(records.inherit(1), frame(10, true));
        assert_eq!(records.inherit(2), frame(20, true));
    }

    #[test]
    fn marks_travel_with_the_packet_to_its_frame() {
        let mut records = Records::new();
        let marked = |arrival_ns| Said { after_loss: true, wall_clock_ns: Some(7), arrival_ns };
        records.keep(said(10), false);
        records.keep(marked(20), false);
        records.keep(said(30), false);
        assert_eq!(records.inherit(1), frame(10, false));
        assert_eq!(records.inherit(3), frame(30, false));
        assert_eq!(records.inherit(2).said, marked(20));
        records.spoil_newest();
        assert!(records.inherit(3).said.after_loss);
    }

    #[test]
    fn a_lost_picture_is_known_by_its_tag_alone() {
        let mut records = Records::new();
        records.keep(said(10), false);
        records.keep(said(20), true);
        records.lose_newest();
        records.keep(said(30), false);
        assert_eq!([1, 2, 3].map(|tag| records.is_lost(tag)), [false, true, false]);
        assert!(!records.is_lost(2 + KEPT as i64));
        // The break before it is told on the next one.
        assert_eq!(records.inherit(3), frame(30, true));
    }

    #[test]
    fn unknown_tags_fall_back_to_the_newest() {
        let mut records = Records::new();
        for arrival in 0..200 {
            records.keep(said(arrival), false);
        }
        for tag in [0, -1, 1, 201, i64::MIN, i64::MAX] {
            assert_eq!(records.inherit(tag), frame(199, false), "{tag}");
        }
        assert_eq!(records.inherit(200 - KEPT as i64 + 1), frame(136, false));
    }
}
