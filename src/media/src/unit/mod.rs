//! Access units: the kind of picture in a packet, and the pictures that a loss may have damaged.

mod loss;

use vas_nal::{CodedPicture, Framing, NalCodec, PictureKind};

pub(crate) use loss::{Condition, LossTracker};

use crate::codec::Codec;

/// Reads the access units of one stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Units {
    /// NAL units with this framing.
    Nal(NalCodec, Framing),
    /// Another codec, which is not parsed: its key frames count as IDR pictures.
    Opaque,
}

impl Units {
    /// For a stream of `codec` with this extradata.
    pub(crate) fn of(codec: &Codec, extradata: &[u8]) -> Self {
        codec
            .nal_codec()
            .map_or(Self::Opaque, |codec| Self::Nal(codec, Framing::of(codec, extradata)))
    }

    /// Reads a packet up to its first slice. `key` is the packet's own flag.
    pub(crate) fn look(self, data: &[u8], key: bool) -> CodedPicture {
        match self {
            Self::Nal(codec, framing) => CodedPicture::of(codec, framing, data).unwrap_or(NOTHING),
            Self::Opaque => CodedPicture {
                kind: if key { PictureKind::Idr } else { PictureKind::Other },
                begins: true,
                is_reference: true,
            },
        }
    }
}

/// The picture of a packet without a slice: no part of it is known to be present.
const NOTHING: CodedPicture =
    CodedPicture { kind: PictureKind::Other, begins: false, is_reference: true };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_codecs_use_the_packets_own_flag() {
        assert_eq!(Units::Opaque.look(&[], true).kind, PictureKind::Idr);
        assert_eq!(Units::Opaque.look(&[], false).kind, PictureKind::Other);
    }

    #[test]
    fn a_packet_without_a_slice_has_no_picture() {
        let units = Units::of(&Codec::H264, &[]);
        assert_eq!(units.look(&[0, 0, 1, 9, 0xf0, 0, 0, 1, 0x67, 66], true), NOTHING);
    }

    #[test]
    fn other_codecs_have_no_nal_units() {
        assert_eq!(Codec::Other("mjpeg".into()).nal_codec(), None);
        assert_eq!(Codec::Raw.nal_codec(), None);
        assert!(matches!(Units::of(&Codec::Raw, &[]), Units::Opaque));
    }
}
