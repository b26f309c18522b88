//! Access units: what kind of picture a packet holds, and which pictures a loss may have spoilt.

mod loss;

use vas_nal::{CodedPicture, Framing, NalCodec, PictureKind};

pub(crate) use loss::{Coming, LossTracker};

use crate::codec::Codec;

impl Codec {
    /// The codec, if its streams consist of NAL units.
    pub(crate) fn nal_codec(&self) -> Option<NalCodec> {
        match self {
            Self::H264 => Some(NalCodec::H264),
            Self::H265 => Some(NalCodec::H265),
            Self::Raw | Self::Other(_) => None,
        }
    }
}

/// Looks into the packets of one stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Units {
    /// NAL units, framed like this.
    Nal(NalCodec, Framing),
    /// A codec that is not looked into: its key frames are taken for IDR pictures.
    Opaque,
}

impl Units {
    /// For a stream of `codec` with this extradata.
    pub(crate) fn of(codec: &Codec, extradata: &[u8]) -> Self {
        codec
            .nal_codec()
            .map_or(Self::Opaque, |codec| Self::Nal(codec, Framing::of(codec, extradata)))
    }

    /// Looks at a packet as far as its first slice. `key` is what the packet says of itself.
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

/// A packet without any slice: nothing is known to be there.
const NOTHING: CodedPicture =
    CodedPicture { kind: PictureKind::Other, begins: false, is_reference: true };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_looked_into_says_itself() {
        assert_eq!(Units::Opaque.look(&[], true).kind, PictureKind::Idr);
        assert_eq!(Units::Opaque.look(&[], false).kind, PictureKind::Other);
    }

    #[test]
    fn without_a_slice_nothing_is_known_to_begin() {
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
