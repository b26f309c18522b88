//! The pictures of an elementary stream, as FFmpeg's NVDEC and VA-API code submits them.

use crate::picture::Content;

/// The codecs whose pictures can be predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// H.264.
    H264,
    /// H.265.
    Hevc,
}

/// The content of each picture of an Annex B stream on a device with this seed, in decoding order.
///
/// FFmpeg must get the stream from a container or over RTP. Of a raw H.265 stream it makes packets that end with
/// the first zero of the next picture's start code, and submits that zero as part of the slice.
pub fn contents(seed: u64, codec: Codec, annex_b: &[u8]) -> Vec<Content> {
    let mut pictures: Vec<Vec<&[u8]>> = Vec::new();
    for nal in nal_units(annex_b) {
        match codec.slice(nal) {
            Some(Slice::First) => pictures.push(vec![nal]),
            Some(Slice::Later) => pictures.last_mut().expect("a first slice comes first").push(nal),
            None => {}
        }
    }
    pictures.into_iter().map(|slices| Content::of_slices(seed, slices)).collect()
}

enum Slice {
    First,
    Later,
}

impl Codec {
    /// Whether a NAL unit is a slice, and the first of its picture.
    fn slice(self, nal: &[u8]) -> Option<Slice> {
        let (is_slice, header) = match self {
            // H.264 7.4.1: types 1 and 5.
            Self::H264 => (matches!(nal.first()? & 0x1F, 1 | 5), 1),
            // H.265 7.4.2.2: types up to 31.
            Self::Hevc => (nal.first()? >> 1 & 0x3F < 32, 2),
        };
        // first_mb_in_slice is ue(0), first_slice_segment_in_pic_flag is 1: either way a set bit.
        let first = nal.get(header)? & 0x80 != 0;
        is_slice.then_some(if first { Slice::First } else { Slice::Later })
    }
}

/// The content of a baseline JPEG picture on a VA-API node with this seed: FFmpeg submits what follows the
/// header of the scan, to the end of the packet.
///
/// # Panics
/// If there is no scan.
pub fn jpeg_content(seed: u64, jpeg: &[u8]) -> Content {
    // ITU-T T.81 B.1.1.2 and B.1.1.4: SOI, then segments, each a marker, then a length that counts itself.
    let mut at = 2;
    loop {
        let marker = &jpeg[at..at + 2];
        let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        at += 2 + length;
        if marker == [0xFF, 0xDA] {
            return Content::of_slices(seed, [&jpeg[at..]]);
        }
    }
}

/// The NAL units of an Annex B stream, without start codes and the zeros before them.
pub fn nal_units(stream: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> = stream
        .windows(3)
        .enumerate()
        .filter(|(_, w)| *w == [0, 0, 1])
        .map(|(i, _)| i + 3)
        .collect();
    let ends = starts.iter().skip(1).map(|start| start - 3).chain([stream.len()]);
    let trim = |(start, end): (&usize, usize)| {
        let unit = &stream[*start..end];
        let len = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &unit[..len]
    };
    starts.iter().zip(ends).map(trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_codes_of_both_lengths_part_units() {
        let stream = [0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x65, 0x80, 9, 0, 0, 1, 0x65, 0x40, 7];
        let units: [&[u8]; 3] = [&[0x67, 1], &[0x65, 0x80, 9], &[0x65, 0x40, 7]];
        assert_eq!(nal_units(&stream), units);
        let expected = Content::of_slices(3, [units[1], units[2]]);
        assert_eq!(contents(3, Codec::H264, &stream), [expected]);
    }
}
