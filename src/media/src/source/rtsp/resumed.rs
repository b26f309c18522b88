//! Repairs the stream after a pause in reading ahead. Pure.
//!
//! When a read fails, also for a pause, FFmpeg flushes its parser and returns the parser's content as a picture. If the
//! camera had stopped in the middle of a picture, that is half of it, and the rest arrives later without a start code
//! or without a first slice. So the last picture that was read ahead is held back until the next packet shows whether
//! it is complete. If not, everything up to the next key frame is left out.
//!
//! The first picture is never held back, nor one that follows slowly: the pause exists for cameras that send rarely.

use std::collections::VecDeque;

use vas_nal::{CodedPicture, Framing, NalCodec};

use crate::packet::Packet;

/// Pictures further apart than this are slow: a pause between them is normal.
const SLOW_NS: i64 = 300_000_000;

/// Follows the pictures of one stream from its first on.
#[derive(Debug)]
pub(super) struct Resumed {
    codec: NalCodec,
    state: State,
    /// The presentation time of the previous picture.
    last_ns: Option<Option<i64>>,
    held: Option<Packet>,
    ready: VecDeque<Packet>,
    /// Sizes of the pictures that were left out.
    left_out: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The pictures were read ahead.
    Ahead,
    /// A picture is broken; waiting for the next key frame.
    Broken,
    /// Nothing is held back any more.
    Over,
}

impl Resumed {
    /// For a stream with NAL units whose reading ahead was paused.
    pub(super) fn new(codec: NalCodec) -> Self {
        let (ready, left_out) = (VecDeque::new(), Vec::new());
        Self { codec, state: State::Ahead, last_ns: None, held: None, ready, left_out }
    }

    /// Takes the next picture; `read_ahead` is whether it arrived before the pause.
    pub(super) fn push(&mut self, mut packet: Packet, read_ahead: bool) {
        if self.state == State::Ahead && read_ahead {
            self.ready.extend(self.held.take());
            let pts_ns = packet.pts_ns();
            let slow = match self.last_ns.replace(pts_ns) {
                None => true,
                Some(last_ns) => last_ns.zip(pts_ns).is_some_and(|(a, b)| (b - a).abs() > SLOW_NS),
            };
            return match slow {
                true => self.ready.push_back(packet),
                false => self.held = Some(packet),
            };
        }
        let rest = rest_of_a_picture(self.codec, packet.data());
        if self.state == State::Ahead {
            self.state = if rest == Rest::None { State::Over } else { State::Broken };
            match (self.state, self.held.take()) {
                (State::Over, held) => self.ready.extend(held),
                (_, held) => self.left_out.extend(held.map(|held| held.size())),
            }
        }
        if self.state == State::Broken {
            let size = packet.size();
            if let Rest::Bytes(bytes) = rest {
                packet.cut_front(bytes);
            }
            if !packet.is_key() || rest_of_a_picture(self.codec, packet.data()) != Rest::None {
                return self.left_out.push(size);
            }
            packet.set_discontinuity(true);
            self.state = State::Over;
        }
        self.ready.push_back(packet);
    }

    /// The next picture to return.
    pub(super) fn pop(&mut self) -> Option<Packet> {
        self.ready.pop_front()
    }

    /// The stream ends: the picture that is held back is left out.
    pub(super) fn end(&mut self) {
        self.left_out.extend(self.held.take().map(|held| held.size()));
    }

    /// Sizes of the pictures that were left out since the last call.
    pub(super) fn left_out(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.left_out)
    }

    /// Whether there is nothing more to repair or to return.
    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over && self.ready.is_empty() && self.left_out.is_empty()
    }
}

/// The part of an earlier picture at the front of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    None,
    /// The rest of a NAL unit, of so many bytes.
    Bytes(usize),
    /// Further slices.
    Slices,
}

fn rest_of_a_picture(codec: NalCodec, data: &[u8]) -> Rest {
    if !data.starts_with(&[0, 0, 1]) && !data.starts_with(&[0, 0, 0, 1]) {
        // The start code of the next unit, with the zero byte that may precede it.
        let code = data.windows(3).position(|three| three == [0, 0, 1]);
        let zero = code.is_some_and(|code| code > 0 && data[code - 1] == 0);
        return Rest::Bytes(code.map_or(data.len(), |code| code - usize::from(zero)));
    }
    match CodedPicture::of(codec, Framing::AnnexB, data) {
        Some(picture) if !picture.begins => Rest::Slices,
        _ => Rest::None,
    }
}

#[cfg(test)]
mod tests {
    use vas_nal::nals;

    use super::*;
    use vas_request::Fraction;

    const KEY: &[u8] = &[0, 0, 0, 1, 0x65, 0x88, 0x80];
    const OTHER: &[u8] = &[0, 0, 0, 1, 0x41, 0x9a, 0x80];
    /// `first_mb_in_slice` is not 0.
    const SLICE: &[u8] = &[0, 0, 0, 1, 0x41, 0x4d, 0x80];
    const REST: &[u8] = &[0x11, 0x22, 0x33];

    fn packet(data: &[&[u8]], pts_ms: Option<i64>) -> Packet {
        let data = data.concat();
        let mut packet = Packet::with_size(Fraction::new(1, 1000).unwrap(), data.len()).unwrap();
        packet.data_mut().copy_from_slice(&data);
        packet.set_key(nals(&data, Framing::AnnexB).any(|unit| unit[0] & 31 == 5));
        packet.set_ticks(pts_ms);
        packet
    }

    /// Pictures at 15 a second: sizes of those that come out, with a mark where there is a gap, and of those left out.
    fn play(ahead: &[&[&[u8]]], live: &[&[&[u8]]]) -> (Vec<String>, Vec<usize>) {
        let mut resumed = Resumed::new(NalCodec::H264);
        let (mut out, mut at_ms) = (Vec::new(), 0);
        for (data, read_ahead) in
            ahead.iter().map(|data| (data, true)).chain(live.iter().map(|data| (data, false)))
        {
            resumed.push(packet(data, Some(at_ms)), read_ahead);
            at_ms += 66;
            while let Some(packet) = resumed.pop() {
                let mark = if packet.discontinuity() { "!" } else { "" };
                out.push(format!("{}{mark}", packet.size()));
            }
        }
        resumed.end();
        (out, resumed.left_out())
    }

    fn sizes(out: &[&str]) -> Vec<String> {
        out.iter().map(|size| size.to_string()).collect()
    }

    #[test]
    fn whole_pictures_go_on() {
        assert_eq!(
            play(&[&[KEY], &[OTHER], &[OTHER]], &[&[OTHER], &[OTHER]]),
            (sizes(&["7", "7", "7", "7", "7"]), vec![])
        );
        assert_eq!(play(&[&[KEY]], &[&[OTHER]]), (sizes(&["7", "7"]), vec![]));
        assert_eq!(play(&[], &[&[KEY]]), (sizes(&["7"]), vec![]));
    }

    #[test]
    fn half_a_picture_and_all_up_to_the_next_key_frame_are_left_out() {
        let found = play(
            &[&[KEY], &[OTHER], &[&OTHER[..6]]],
            &[&[REST, OTHER], &[OTHER], &[KEY, SLICE], &[OTHER]],
        );
        assert_eq!(found, (sizes(&["7", "7", "14!", "7"]), vec![6, 10, 7]));
        // The rest is of whole slices.
        let found = play(&[&[KEY], &[OTHER]], &[&[SLICE], &[OTHER], &[KEY]]);
        assert_eq!(found, (sizes(&["7", "7!"]), vec![7, 7, 7]));
        // The rest of a slice, and then further slices of the same picture, which is a key frame.
        let idr_slice = &[0, 0, 0, 1, 0x65, 0x4d, 0x80];
        let found = play(&[&[KEY]], &[&[REST, idr_slice], &[OTHER], &[KEY]]);
        assert_eq!(found, (sizes(&["7", "7!"]), vec![10, 7]));
    }

    #[test]
    fn a_key_frame_behind_the_rest_is_cut_free_of_it() {
        assert_eq!(
            play(&[&[KEY], &[OTHER]], &[&[REST, KEY], &[OTHER]]),
            (sizes(&["7", "7!", "7"]), vec![7])
        );
    }

    #[test]
    fn nothing_is_held_back_that_comes_slowly() {
        let mut resumed = Resumed::new(NalCodec::H264);
        for at_ms in [0, 2000] {
            resumed.push(packet(&[KEY], Some(at_ms)), true);
            assert!(resumed.pop().is_some());
        }
        resumed.push(packet(&[OTHER], Some(4000)), false);
        assert!(resumed.pop().is_some() && resumed.is_over());
    }

    #[test]
    fn what_is_held_back_at_the_end_is_counted() {
        assert_eq!(play(&[&[KEY], &[OTHER]], &[]), (sizes(&["7"]), vec![7]));
    }
}
