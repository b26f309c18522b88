//! Decoded frames equal those of the ffmpeg command line, in the same order, with their packets' data.

use vas_media::{Codec, DecodeError, DecoderKind, Frame, PixelLayout, Range, Received};

use crate::clips::{Clip, decode_all, visible};

/// Fifty pictures with noise, so that all differ, at 50 fps to last only one second.
const PICTURE: &str = "testsrc2=size=320x180:rate=50:duration=1,noise=alls=20:allf=t";

fn assert_same_frames(clip: &Clip, bytes_per_sample: usize) {
    let reference = clip.reference(&[]);
    let mut ours = Vec::new();
    let mut last_pts = i64::MIN;
    let count = decode_all(&mut *clip.open(), |frame| {
        ours.extend(visible(frame, 3, bytes_per_sample));
        let pts = frame.pts_ns().unwrap();
        assert!(pts > last_pts, "{pts} after {last_pts}");
        last_pts = pts;
    });
    assert_eq!(count, 50);
    assert!(ours == reference, "the frames differ from ffmpeg's");
}

#[test]
fn h264_with_b_frames() {
    let clip = Clip::encode(
        "b.mp4",
        PICTURE,
        &["-c:v", "libx264", "-profile:v", "high", "-bf", "3", "-g", "25", "-pix_fmt", "yuv420p"],
    );
    let source = clip.open();
    assert_eq!(source.stream().codec, Codec::H264);
    assert_eq!(source.stream().to_string(), "h264 (High) 320x180 50 fps");
    assert_same_frames(&clip, 1);
}

#[test]
fn h265_with_b_frames() {
    let clip = Clip::encode(
        "b.mp4",
        PICTURE,
        &["-c:v", "libx265", "-x265-params", "bframes=3:log-level=none", "-pix_fmt", "yuv420p"],
    );
    let source = clip.open();
    assert_eq!(source.stream().codec, Codec::H265);
    assert_eq!(source.stream().to_string(), "hevc (Main) 320x180 50 fps");
    assert_same_frames(&clip, 1);
}

#[test]
fn h265_with_10_bits() {
    let clip = Clip::encode(
        "ten.mkv",
        PICTURE,
        &["-c:v", "libx265", "-x265-params", "log-level=none", "-pix_fmt", "yuv420p10le"],
    );
    decode_all(&mut *clip.open(), |frame| {
        assert_eq!((frame.layout(), frame.bit_depth()), (PixelLayout::Yuv420p10, 10));
    });
    assert_same_frames(&clip, 2);
}

#[test]
fn a_size_that_is_not_a_multiple_of_a_block_is_cropped() {
    let clip = Clip::encode(
        "crop.mp4",
        "testsrc2=size=638x358:rate=50:duration=0.2",
        &["-c:v", "libx264", "-pix_fmt", "yuv420p"],
    );
    let reference = clip.reference(&[]);
    let mut ours = Vec::new();
    decode_all(&mut *clip.open(), |frame| {
        assert_eq!((frame.width(), frame.height()), (638, 358));
        assert_eq!(frame.coded_size(), (640, 368));
        assert_eq!((frame.crop().right, frame.crop().bottom), (2, 10));
        ours.extend(visible(frame, 3, 1));
    });
    assert!(ours == reference);
}

#[test]
fn a_left_and_top_crop_is_exact() {
    let clip = Clip::encode(
        "left.mp4",
        "testsrc2=size=640x368:rate=50:duration=0.2",
        &[
            "-c:v",
            "libx264",
            "-pix_fmt",
            "yuv420p",
            "-bsf:v",
            "h264_metadata=crop_left=6:crop_top=4:crop_right=2:crop_bottom=4",
        ],
    );
    let reference = clip.reference(&[]);
    let mut ours = Vec::new();
    decode_all(&mut *clip.open(), |frame| {
        assert_eq!((frame.width(), frame.height()), (632, 360));
        assert_eq!((frame.crop().left, frame.crop().top), (6, 4));
        ours.extend(visible(frame, 3, 1));
    });
    assert!(ours == reference);
}

#[test]
fn full_range_is_reported() {
    let clip = Clip::encode(
        "full.mp4",
        "testsrc2=size=64x64:rate=50:duration=0.1",
        &["-c:v", "libx264", "-pix_fmt", "yuvj420p", "-colorspace", "bt709"],
    );
    decode_all(&mut *clip.open(), |frame| {
        assert_eq!(frame.layout(), PixelLayout::Yuv420p);
        assert_eq!((frame.color().range, frame.color().matrix), (Range::Full, 1));
    });
}

#[test]
fn arrival_and_discontinuity_stay_with_reordered_pictures() {
    let clip = Clip::encode(
        "b.mp4",
        PICTURE,
        &["-c:v", "libx264", "-bf", "3", "-b_strategy", "0", "-pix_fmt", "yuv420p"],
    );
    let mut source = clip.open();
    let mut decoder = vas_media::open_software(source.stream(), 1).unwrap();
    assert_eq!(decoder.kind(), DecoderKind::Software);
    let mut arrivals = std::collections::HashMap::new();
    let mut marked_pts = None;
    let mut frame = Frame::new();
    let mut discontinuities = Vec::new();
    let mut reordered = false;
    let mut last_arrival = 0;
    let mut number = 0;
    loop {
        match source.next_packet().unwrap() {
            Some(mut packet) => {
                number += 1;
                if number == 20 {
                    packet.set_discontinuity(true);
                    marked_pts = packet.pts_ns();
                }
                arrivals.insert(packet.pts_ns(), packet.arrival_ns());
                decoder.send(&packet).unwrap();
            }
            None => decoder.finish().unwrap(),
        }
        let state = loop {
            match decoder.receive(&mut frame).unwrap() {
                Received::Frame => {}
                other => break other,
            }
            assert_eq!(arrivals.get(&frame.pts_ns()), Some(&frame.arrival_ns()));
            reordered |= frame.arrival_ns() < last_arrival;
            last_arrival = frame.arrival_ns();
            if frame.discontinuity() {
                discontinuities.push(frame.arrival_ns());
            }
        };
        if state == Received::End {
            break;
        }
    }
    assert!(reordered, "the clip has no B-frames");
    // Once, on the frame of the marked packet or of a later one.
    assert_eq!(discontinuities.len(), 1);
    assert!(discontinuities[0] >= arrivals[&marked_pts]);
}

#[test]
fn a_decoder_continues_after_an_invalid_packet() {
    let good = Clip::encode(
        "good.nut",
        "testsrc2=size=64x64:rate=50:duration=0.1",
        &["-c:v", "ffv1", "-g", "1", "-slicecrc", "1"],
    );
    let bad = Clip::encode(
        "bad.mp4",
        "testsrc2=size=64x64:rate=50:duration=0.1",
        &["-c:v", "libx264", "-pix_fmt", "yuv420p"],
    );
    let mut good_source = good.open();
    let mut bad_source = bad.open();
    let mut decoder = vas_media::open_software(good_source.stream(), 1).unwrap();
    let wrong = bad_source.next_packet().unwrap().unwrap();
    let error = decoder.send(&wrong).unwrap_err();
    assert!(matches!(error, DecodeError::Corrupt(_)), "{error}");
    assert!(!error.is_fatal());
    let mut frame = Frame::new();
    assert_eq!(decoder.receive(&mut frame).unwrap(), Received::NeedPacket);
    decoder.send(&good_source.next_packet().unwrap().unwrap()).unwrap();
    assert_eq!(decoder.receive(&mut frame).unwrap(), Received::Frame);
    assert_eq!(frame.width(), 64);
}
