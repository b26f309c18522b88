//! Which pictures a loss may have spoilt. Pure.
//!
//! No decoder can be asked: FFmpeg flags hardly any of the wrong pictures that it makes of a stream with holes.
//! So what is marked follows from the order of pictures alone: everything from a loss on, until a picture that
//! came whole and behind which nothing refers to anything before it. Some marked pictures are right by
//! chance; an unmarked one is right.

use vas_nal::{CodedPicture, PictureKind};

/// What became of the packets before and of this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coming {
    /// Units before it are missing.
    pub(crate) gap: bool,
    /// Parts of it may be missing, too.
    pub(crate) damaged: bool,
}

/// Follows the units that one decoder gets, in decoding order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LossTracker {
    /// What a decoder holds may be wrong.
    dirty: bool,
    /// What the RASL pictures of the newest CRA or BLA picture refer to may be wrong.
    rasl_dirty: bool,
}

impl LossTracker {
    /// A decoder that holds nothing.
    pub(crate) fn new() -> Self {
        Self { dirty: true, rasl_dirty: true }
    }

    /// Everything from here on may be wrong, until a clean key frame.
    pub(crate) fn spoil(&mut self) {
        *self = Self::new();
    }

    /// Whether the picture of this unit may be wrong for what was lost.
    pub(crate) fn admit(&mut self, unit: CodedPicture, coming: Coming) -> bool {
        if coming.gap || coming.damaged || !unit.begins {
            self.spoil();
        }
        if coming.damaged || !unit.begins {
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
            // A recovery point says when pictures look right, not that they are.
            PictureKind::Radl | PictureKind::RecoveryPoint | PictureKind::Other => self.dirty,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PictureKind::{Bla, Cra, Idr, Other, Radl, Rasl, RecoveryPoint};

    const WHOLE: Coming = Coming { gap: false, damaged: false };
    const GAP: Coming = Coming { gap: true, damaged: false };
    const DAMAGED: Coming = Coming { gap: false, damaged: true };

    fn unit(kind: PictureKind) -> CodedPicture {
        CodedPicture { kind, begins: true, is_reference: true }
    }

    fn marks(units: &[(PictureKind, Coming)]) -> String {
        let mut tracker = LossTracker::new();
        let mark = |(picture, coming): &(PictureKind, Coming)| {
            if tracker.admit(unit(*picture), *coming) { 'x' } else { '.' }
        };
        units.iter().map(mark).collect()
    }

    fn whole(pictures: &[PictureKind]) -> Vec<(PictureKind, Coming)> {
        pictures.iter().map(|picture| (*picture, WHOLE)).collect()
    }

    #[test]
    fn without_loss_nothing_is_marked() {
        assert_eq!(marks(&whole(&[Idr, Other, Other, Idr, Other])), ".....");
        assert_eq!(
            marks(&whole(&[Idr, Other, Cra, Rasl, Radl, Other, Bla, Radl, Other])),
            "........."
        );
    }

    #[test]
    fn a_loss_lasts_until_a_key_frame_that_came_whole() {
        let units = [
            (Idr, WHOLE),
            (Other, DAMAGED),
            (Other, WHOLE),
            (Idr, DAMAGED),
            (Other, WHOLE),
            (Idr, WHOLE),
            (Other, WHOLE),
        ];
        assert_eq!(marks(&units), ".xxxx..");
    }

    #[test]
    fn a_key_frame_after_a_gap_is_clean_itself() {
        assert_eq!(marks(&[(Idr, WHOLE), (Idr, GAP), (Other, WHOLE), (Other, GAP)]), "...x");
        // But not what refers to the pictures before it.
        let units = [(Idr, WHOLE), (Cra, GAP), (Rasl, WHOLE), (Radl, WHOLE), (Other, WHOLE)];
        assert_eq!(marks(&units), "..x..");
    }

    #[test]
    fn rasl_pictures_are_as_clean_as_what_was_before_their_cra() {
        let units = [
            (Idr, WHOLE),
            (Other, DAMAGED),
            (Cra, WHOLE),
            (Rasl, WHOLE),
            (Radl, WHOLE),
            (Other, WHOLE),
            (Cra, WHOLE),
            (Rasl, WHOLE),
        ];
        assert_eq!(marks(&units), ".x.x....");
        // Nothing that a BLA picture's refer to is there.
        assert_eq!(marks(&whole(&[Idr, Bla, Rasl, Radl, Other])), "..x..");
        // A loss among them ends with the next key frame only.
        let units = [
            (Cra, WHOLE),
            (Cra, WHOLE),
            (Rasl, DAMAGED),
            (Other, WHOLE),
            (Cra, WHOLE),
            (Rasl, WHOLE),
        ];
        assert_eq!(marks(&units), "..xx.x");
    }

    #[test]
    fn a_start_without_an_idr_picture_is_a_loss() {
        assert_eq!(marks(&whole(&[Other, Other, Idr, Other])), "xx..");
        assert_eq!(marks(&whole(&[RecoveryPoint, Other, RecoveryPoint])), "xxx");
        assert_eq!(marks(&whole(&[Cra, Rasl, Radl, Other])), ".x..");
    }

    #[test]
    fn a_picture_without_its_first_slice_is_damaged() {
        let mut tracker = LossTracker::new();
        let torn = CodedPicture { begins: false, ..unit(Idr) };
        assert!(tracker.admit(torn, WHOLE));
        assert!(tracker.admit(unit(Other), WHOLE));
        assert!(!tracker.admit(unit(Idr), WHOLE));
    }

    #[test]
    fn whatever_happens_every_picture_after_damage_is_marked_until_a_clean_key() {
        // All sequences of five units out of these: checked against the rule, said another way.
        let kinds = [
            (Idr, WHOLE),
            (Idr, DAMAGED),
            (Other, WHOLE),
            (Other, DAMAGED),
            (Idr, GAP),
            (Other, GAP),
        ];
        for number in 0..kinds.len().pow(5) {
            let units: Vec<_> =
                (0..5).map(|place| kinds[number / kinds.len().pow(place) % kinds.len()]).collect();
            let expected: String = (0..5)
                .map(|at| {
                    let clean_key = |&(picture, coming): &(PictureKind, Coming)| {
                        picture == Idr && !coming.damaged
                    };
                    let since = units[..=at].iter().rposition(clean_key);
                    let spoilt = since.is_none_or(|key| {
                        units[key + 1..=at].iter().any(|(_, coming)| coming.damaged || coming.gap)
                    });
                    if spoilt { 'x' } else { '.' }
                })
                .collect();
            assert_eq!(marks(&units), expected, "{units:?}");
        }
    }
}
