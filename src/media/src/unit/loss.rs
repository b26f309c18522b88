//! Determines which pictures a loss may have damaged. Pure.
//!
//! Decoders don't report this: FFmpeg flags hardly any of the wrong pictures that it decodes from a stream with gaps.
//! The marks therefore follow from the order of pictures alone: every picture from a loss on is marked, until a
//! complete picture from which on no picture refers to an earlier one. A marked picture may happen to be correct; an
//! unmarked one always is.

use vas_nal::{CodedPicture, PictureKind};

/// Whether a packet and its predecessors are complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    /// Access units before it are missing.
    pub(crate) gap: bool,
    /// Parts of the packet itself may be missing.
    pub(crate) damaged: bool,
}

/// Tracks the access units of one decoder, in decoding order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LossTracker {
    /// The decoder's reference pictures may be wrong.
    dirty: bool,
    /// The pictures that the RASL pictures of the latest CRA or BLA picture refer to may be wrong.
    rasl_dirty: bool,
}

impl LossTracker {
    /// For a new decoder, which has no reference pictures.
    pub(crate) fn new() -> Self {
        Self { dirty: true, rasl_dirty: true }
    }

    /// Marks all pictures from here on, until a complete key frame.
    pub(crate) fn spoil(&mut self) {
        *self = Self::new();
    }

    /// Whether the picture of this access unit may be wrong because of a loss.
    pub(crate) fn admit(&mut self, unit: CodedPicture, condition: Condition) -> bool {
        if condition.gap || condition.damaged || !unit.begins {
            self.spoil();
        }
        if condition.damaged || !unit.begins {
            return true;
        }
        match unit.kind {
            PictureKind::Idr => {
                *self = Self { dirty: false, rasl_dirty: false };
                false
            }
            PictureKind::Cra => {
                *self = Self { dirty: false, rasl_dirty: self.dirty };
                false
            }
            PictureKind::Bla => {
                *self = Self { dirty: false, rasl_dirty: true };
                false
            }
            PictureKind::Rasl => self.dirty || self.rasl_dirty,
            // A recovery point states when pictures look correct, not that they are.
            PictureKind::Radl | PictureKind::RecoveryPoint | PictureKind::Other => self.dirty,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PictureKind::{Bla, Cra, Idr, Other, Radl, Rasl, RecoveryPoint};

    const COMPLETE: Condition = Condition { gap: false, damaged: false };
    const GAP: Condition = Condition { gap: true, damaged: false };
    const DAMAGED: Condition = Condition { gap: false, damaged: true };

    fn unit(kind: PictureKind) -> CodedPicture {
        CodedPicture { kind, begins: true, is_reference: true }
    }

    fn marks(units: &[(PictureKind, Condition)]) -> String {
        let mut tracker = LossTracker::new();
        let mark = |(picture, condition): &(PictureKind, Condition)| {
            if tracker.admit(unit(*picture), *condition) { 'x' } else { '.' }
        };
        units.iter().map(mark).collect()
    }

    fn complete(pictures: &[PictureKind]) -> Vec<(PictureKind, Condition)> {
        pictures.iter().map(|picture| (*picture, COMPLETE)).collect()
    }

    #[test]
    fn no_picture_is_marked_without_loss() {
        assert_eq!(marks(&complete(&[Idr, Other, Other, Idr, Other])), ".....");
        assert_eq!(
            marks(&complete(&[Idr, Other, Cra, Rasl, Radl, Other, Bla, Radl, Other])),
            "........."
        );
    }

    #[test]
    fn pictures_are_marked_until_a_complete_key_frame() {
        let units = [
            (Idr, COMPLETE),
            (Other, DAMAGED),
            (Other, COMPLETE),
            (Idr, DAMAGED),
            (Other, COMPLETE),
            (Idr, COMPLETE),
            (Other, COMPLETE),
        ];
        assert_eq!(marks(&units), ".xxxx..");
    }

    #[test]
    fn a_key_frame_after_a_gap_is_not_marked() {
        assert_eq!(marks(&[(Idr, COMPLETE), (Idr, GAP), (Other, COMPLETE), (Other, GAP)]), "...x");
        // Pictures that refer to earlier ones are.
        let units =
            [(Idr, COMPLETE), (Cra, GAP), (Rasl, COMPLETE), (Radl, COMPLETE), (Other, COMPLETE)];
        assert_eq!(marks(&units), "..x..");
    }

    #[test]
    fn rasl_pictures_depend_on_pictures_before_their_cra() {
        let units = [
            (Idr, COMPLETE),
            (Other, DAMAGED),
            (Cra, COMPLETE),
            (Rasl, COMPLETE),
            (Radl, COMPLETE),
            (Other, COMPLETE),
            (Cra, COMPLETE),
            (Rasl, COMPLETE),
        ];
        assert_eq!(marks(&units), ".x.x....");
        // The references of a BLA picture's RASL pictures are missing.
        assert_eq!(marks(&complete(&[Idr, Bla, Rasl, Radl, Other])), "..x..");
        // A loss among them lasts until the next key frame.
        let units = [
            (Cra, COMPLETE),
            (Cra, COMPLETE),
            (Rasl, DAMAGED),
            (Other, COMPLETE),
            (Cra, COMPLETE),
            (Rasl, COMPLETE),
        ];
        assert_eq!(marks(&units), "..xx.x");
    }

    #[test]
    fn a_start_without_an_idr_picture_counts_as_a_loss() {
        assert_eq!(marks(&complete(&[Other, Other, Idr, Other])), "xx..");
        assert_eq!(marks(&complete(&[RecoveryPoint, Other, RecoveryPoint])), "xxx");
        assert_eq!(marks(&complete(&[Cra, Rasl, Radl, Other])), ".x..");
    }

    #[test]
    fn a_picture_without_its_first_slice_counts_as_damaged() {
        let mut tracker = LossTracker::new();
        let torn = CodedPicture { begins: false, ..unit(Idr) };
        assert!(tracker.admit(torn, COMPLETE));
        assert!(tracker.admit(unit(Other), COMPLETE));
        assert!(!tracker.admit(unit(Idr), COMPLETE));
    }

    #[test]
    fn every_sequence_of_five_pictures_follows_the_rule() {
        // Compares all sequences with another formulation of the rule.
        let kinds = [
            (Idr, COMPLETE),
            (Idr, DAMAGED),
            (Other, COMPLETE),
            (Other, DAMAGED),
            (Idr, GAP),
            (Other, GAP),
        ];
        for number in 0..kinds.len().pow(5) {
            let units: Vec<_> =
                (0..5).map(|place| kinds[number / kinds.len().pow(place) % kinds.len()]).collect();
            let expected: String = (0..5)
                .map(|at| {
                    let clean_key = |&(picture, condition): &(PictureKind, Condition)| {
                        picture == Idr && !condition.damaged
                    };
                    let since = units[..=at].iter().rposition(clean_key);
                    let spoilt = since.is_none_or(|key| {
                        units[key + 1..=at]
                            .iter()
                            .any(|(_, condition)| condition.damaged || condition.gap)
                    });
                    if spoilt { 'x' } else { '.' }
                })
                .collect();
            assert_eq!(marks(&units), expected, "{units:?}");
        }
    }
}
