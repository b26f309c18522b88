//! Encodes decoded pictures, and checks the output with FFmpeg.

use std::process::Command;

use vas_media::{EncoderRequest, Fraction, Frame, open_x264};

use crate::clips::{Clip, decode_all};

const PICTURE: &str = "testsrc2=size=320x180:rate=25:duration=2,noise=alls=20:allf=t";

/// Encodes a clip, with key frames requested at `keys`. Returns which packets are key frames, and the stream.
fn encode(clip: &Clip, size: (u32, u32), keys: &[usize]) -> (Vec<usize>, Vec<u8>) {
    let fps = Fraction::new(25, 1).unwrap();
    let request = EncoderRequest { size, fps, bit_rate: 500_000, threads: 1 };
    let mut encoder = open_x264(&request).unwrap();
    let (mut made, mut stream, mut shared) = (Vec::new(), Vec::new(), Frame::new());
    let mut picture = 0;
    let mut last_pts = None;
    decode_all(&mut *clip.open(), |frame| {
        shared.ref_from(frame).unwrap();
        let packet = encoder.encode(&mut shared, keys.contains(&picture)).unwrap();
        assert_eq!(packet.arrival_ns(), frame.arrival_ns());
        assert!(shared.is_empty() && !frame.is_empty(), "the decoder's frame keeps its picture");
        assert!(packet.pts_ns() > last_pts, "{:?} after {last_pts:?}", packet.pts_ns());
        last_pts = packet.pts_ns();
        if packet.is_key() {
            made.push(picture);
        }
        stream.extend_from_slice(packet.data());
        picture += 1;
    });
    assert_eq!(picture, 50);
    (made, stream)
}

/// FFmpeg's description of a stream: a line for each picture, then profile, size, format and range.
fn probe(stream: &[u8]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.h264");
    std::fs::write(&path, stream).unwrap();
    let entries = "stream=profile,width,height,pix_fmt,color_range:frame=pict_type";
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "default=nw=1:nk=1", "-show_entries", entries])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "FFmpeg reports no error");
    String::from_utf8(output.stdout).unwrap().lines().map(Into::into).collect()
}

fn assert_baseline(stream: &[u8], size: (u32, u32)) {
    let probed = probe(stream);
    let (width, height) = (size.0.to_string(), size.1.to_string());
    let (pictures, properties) = probed.split_at(50);
    assert!(pictures.iter().all(|kind| kind == "I" || kind == "P"), "{pictures:?}");
    // A stream that states no range has limited range.
    assert_eq!(properties, ["Constrained Baseline", &width, &height, "yuv420p", "unknown"]);
}

#[test]
fn key_frames_are_made_on_request_with_parameter_sets() {
    let clip = Clip::encode("a.mp4", PICTURE, &["-c:v", "libx264", "-pix_fmt", "yuv420p"]);
    let (made, stream) = encode(&clip, (320, 180), &[7, 30]);
    assert_eq!(made, [0, 7, 30]);
    assert_baseline(&stream, (320, 180));
    let sets = stream.windows(5).filter(|at| at[..4] == [0, 0, 0, 1] && at[4] & 0x1f == 7);
    assert_eq!(sets.count(), 3, "a sequence parameter set before each");
    let again = encode(&clip, (320, 180), &[7, 30]);
    assert!(again.1 == stream, "the same pictures give the same bytes");
}

#[test]
fn other_sizes_and_formats_are_converted() {
    // MJPEG has full range: without conversion, bright and dark samples would be clipped.
    let mjpeg = Clip::encode("a.avi", PICTURE, &["-c:v", "mjpeg", "-q:v", "3"]);
    assert_baseline(&encode(&mjpeg, (320, 180), &[]).1, (320, 180));
    let ten_bit = Clip::encode(
        "a.mkv",
        PICTURE,
        &["-c:v", "libx265", "-x265-params", "log-level=none", "-pix_fmt", "yuv420p10le"],
    );
    assert_baseline(&encode(&ten_bit, (160, 90), &[]).1, (160, 90));
}

#[test]
fn an_impossible_size_is_refused() {
    let fps = Fraction::new(25, 1).unwrap();
    let request = EncoderRequest { size: (0, 0), fps, bit_rate: 500_000, threads: 1 };
    let words = open_x264(&request).err().unwrap().to_string();
    assert!(words.starts_with("libx264 did not open for 0x0: "), "{words}");
}
