//! Debian's FFmpeg decodes on a simulated node, with the predicted output.

use vas_sim_vaapi::testing::{CallRecord, Session, SimulatedVaapi};

use crate::clip::{Clip, FRAMES, assert_same, decode};

const PLAIN: [Clip; 11] = [
    Clip::h264(320, 192),
    // Neither a multiple of 16: the surface is larger than the picture.
    Clip::h264(322, 182).with(&["-bf", "0", "-profile:v", "baseline"]),
    Clip::h264(640, 362).with(&["-bf", "0", "-profile:v", "main"]),
    Clip::h264(1280, 720).with(&["-bf", "0", "-profile:v", "high", "-slices", "3"]),
    Clip::hevc(320, 192, 8),
    Clip::hevc(642, 366, 8),
    Clip::hevc(320, 192, 10),
    Clip::hevc(646, 362, 10),
    Clip { encoder: "mjpeg", size: (320, 192), depth: 8, options: &["-q:v", "4"] },
    Clip { encoder: "mjpeg", size: (322, 182), depth: 8, options: &["-huffman", "0"] },
    // Chroma planes with half a column and row more than luma has.
    Clip { encoder: "mjpeg", size: (321, 181), depth: 8, options: &[] },
];

fn check(nodes: &Session, clip: &Clip, seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let path = clip.make(dir.path());
    let predicted = clip.predicted(seed, &path);
    assert_eq!(predicted.len(), FRAMES, "{clip:?}");
    let output = decode(nodes, 0, &path, clip.depth);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{clip:?}: {errors}");
    let seen: Vec<&[u8]> = output.stdout.chunks(clip.picture_bytes()).collect();
    assert_same(&seen, &predicted, clip);
}

#[test]
fn pictures_are_as_predicted() {
    for clip in &PLAIN {
        for seed in [1, 2] {
            let nodes = SimulatedVaapi::new().set("seed", seed).start();
            check(&nodes, clip, seed);
            nodes.report().assert_clean(&[]);
        }
    }
}

#[test]
fn pictures_out_of_order_are_as_predicted() {
    let dir = tempfile::tempdir().unwrap();
    for clip in [Clip::h264(320, 192), Clip::hevc(320, 192, 10)] {
        let clip = clip.with(&["-bf", "2", "-y"]);
        let path = clip.make(dir.path());
        let nodes = SimulatedVaapi::new().start();
        let output = decode(&nodes, 0, &path, clip.depth);
        let mut seen: Vec<&[u8]> = output.stdout.chunks(clip.picture_bytes()).collect();
        let mut predicted = clip.predicted(1, &path);
        // Decoding order is not display order.
        seen.sort_unstable();
        predicted.sort_unstable();
        assert_same(&seen, &predicted, &clip);
        nodes.report().assert_clean(&[]);
    }
}

#[test]
fn a_size_may_change_within_a_stream() {
    let dir = tempfile::tempdir().unwrap();
    let clips = [Clip::h264(320, 192), Clip::h264(640, 362), Clip::h264(176, 146)];
    let paths = clips.map(|clip| clip.make(dir.path()));
    let streams: Vec<Vec<u8>> =
        clips.iter().zip(&paths).map(|(clip, path)| clip.stream(path)).collect();
    let whole = dir.path().join("whole.h264");
    std::fs::write(&whole, streams.concat()).unwrap();
    let nodes = SimulatedVaapi::new().start();
    let output = decode(&nodes, 0, &whole, 8);
    let mut rest = &output.stdout[..];
    for (clip, path) in clips.iter().zip(&paths) {
        let (seen, after) = rest.split_at(FRAMES * clip.picture_bytes());
        let seen: Vec<&[u8]> = seen.chunks(clip.picture_bytes()).collect();
        assert_same(&seen, &clip.predicted(1, path), clip);
        rest = after;
    }
    assert!(rest.is_empty());
    nodes.report().assert_clean(&[]);
    let contexts = |call: &&CallRecord| call.function == "vaCreateContext";
    assert_eq!(nodes.calls().iter().filter(contexts).count(), 3);
}

#[test]
fn pitches_and_offsets_depend_on_the_seed_and_pictures_do_not_on_delays() {
    let dir = tempfile::tempdir().unwrap();
    let clip = Clip::hevc(322, 182, 8);
    let path = clip.make(dir.path());
    let plain = decode(&SimulatedVaapi::new().start(), 0, &path, 8).stdout;
    let slow = SimulatedVaapi::new().set("decode_us", 3000).set("read_us_per_mib", 3000);
    let slow = slow.nodes(2).set("jitter_percent", 100).set("derive", 0).start();
    assert!(decode(&slow, 1, &path, 8).stdout == plain);
    assert!(slow.calls().iter().all(|call| call.node.as_deref().is_none_or(|n| n == "renderD129")));
    // What an image maps, padding included.
    let mapped = |seed: u64| {
        let nodes = SimulatedVaapi::new().set("seed", seed).start();
        assert!(decode(&nodes, 0, &path, 8).status.success());
        let calls = nodes.calls();
        calls.iter().find(|call| call.function == "vaMapBuffer").unwrap().bytes
    };
    let sizes: std::collections::BTreeSet<u64> = (1..=8).map(mapped).collect();
    assert!(sizes.len() > 3, "{sizes:?}");
}

#[test]
fn the_log_has_the_bytes_of_each_picture() {
    let dir = tempfile::tempdir().unwrap();
    let clip = Clip::hevc(320, 192, 10);
    let path = clip.make(dir.path());
    let nodes = SimulatedVaapi::new().set("forbid", "ffmpeg:vaGetImage").start();
    assert!(decode(&nodes, 0, &path, 10).status.success());
    let calls = nodes.calls();
    let copies: Vec<&CallRecord> = calls.iter().filter(|c| c.function == "vaGetImage").collect();
    assert_eq!(copies.len(), FRAMES);
    // FFmpeg reads what was coded: here no more than the picture.
    assert!(copies.iter().all(|call| call.bytes == clip.picture_bytes() as u64), "{copies:?}");
    assert_eq!(nodes.report().count("forbidden_thread"), FRAMES);
}

#[test]
fn only_jpegs_with_subsampled_chroma_are_decoded() {
    let dir = tempfile::tempdir().unwrap();
    for pixels in ["yuvj422p", "yuvj444p"] {
        let clip = Clip { encoder: "mjpeg", size: (320, 192), depth: 8, options: &[] };
        let path = clip.make_as(dir.path(), pixels);
        let nodes = SimulatedVaapi::new().start();
        assert!(decode(&nodes, 0, &path, 8).stdout.is_empty(), "{pixels}");
        let refused = |call: &CallRecord| call.status == "VA_STATUS_ERROR_UNSUPPORTED_RT_FORMAT";
        assert!(nodes.calls().iter().any(refused), "{pixels}");
    }
}
