//! Every picture that is wrong because of loss is marked, and none is marked without loss.

use std::collections::HashMap;

use vas_media::{Frame, Received, RtspClient, SourceErrorKind, StopFlag, Transport};

use crate::clips::{Clip, FPS, H264, H265, md5_of};
use crate::rig::{Rig, request};

/// A decoded frame, compared with the original.
struct Seen {
    marked: bool,
    right: bool,
    /// Whether the source reported a loss between the latest complete IDR picture and the frame's packet.
    after_loss: Option<bool>,
}

/// Plays a clip once over UDP through a network with the impairments `harm`. Returns all frames, and how often the network
/// interfered.
fn play(clip: Clip, harm: &[(&str, f64)], seed: u32) -> (Vec<Seen>, u64) {
    let expected = clip.pictures();
    let camera = Rig::camera(&clip.file(), ",once", &[]);
    let mut arguments = vec!["--codec".to_owned(), clip.codec().to_owned()];
    arguments.extend([format!("--seed={seed}")]);
    arguments.extend(harm.iter().map(|(what, probability)| format!("--{what}={probability}")));
    let mut network = Rig::network(&camera, &arguments);
    let request = request(network.url(""), RtspClient::Retina, Transport::Udp);
    let mut source = vas_media::open(&request, &StopFlag::new()).unwrap();
    assert!(source.stream().knows_loss);
    let mut decoder = vas_media::open_software(source.stream(), 1).unwrap();
    let mut frame = Frame::new();
    let (mut seen, mut offset) = (Vec::new(), None);
    let (mut loss, mut after_loss) = (true, HashMap::new());
    let mut ended = false;
    while !ended {
        match source.next_packet() {
            Ok(packet) => {
                let packet = packet.unwrap();
                loss = packet.lost() || (loss && !packet.is_key());
                after_loss.insert(packet.pts_ns(), loss);
                // From a packet that the decoder refuses on, pictures are marked as after a loss.
                loss |= decoder.send(&packet).is_err();
            }
            Err(error) => {
                assert_eq!(error.kind, SourceErrorKind::Ended, "{error}");
                decoder.finish().unwrap();
                ended = true;
            }
        }
        loop {
            match decoder.receive(&mut frame) {
                Ok(Received::Frame) => {}
                Ok(_) => break,
                Err(_) => continue,
            }
            // Once one picture is identified, the time of a frame identifies its picture.
            let tenths = frame.pts_ns().unwrap() * i64::from(FPS) / 100_000_000;
            let nth = (tenths + 5).div_euclid(10);
            let md5 = md5_of(&frame);
            if offset.is_none() && !frame.after_loss() {
                let first = expected.iter().position(|picture| *picture == md5);
                offset = Some(first.expect("an unmarked picture is one of the clip") as i64 - nth);
            }
            let right = offset
                .and_then(|offset| expected.get(usize::try_from(nth + offset).ok()?))
                .is_some_and(|picture| *picture == md5);
            let after_loss = after_loss.get(&frame.pts_ns()).copied();
            seen.push(Seen { marked: frame.after_loss(), right, after_loss });
        }
    }
    drop(source);
    let counts = network.line();
    let done = harm.iter().map(|(what, _)| counts[*what].as_u64().unwrap_or(0)).sum();
    (seen, done)
}

type Harm = (&'static str, &'static [(&'static str, f64)], u32);

/// Impairments with their seeds; each must occur at least once.
const HARMS: [Harm; 7] = [
    ("1 % lost", &[("loss", 0.01)], 1),
    ("lost, swapped, twice", &[("loss", 0.01), ("swap", 0.01), ("duplicate", 0.01)], 2),
    ("swapped, twice", &[("swap", 0.005), ("duplicate", 0.02)], 3),
    ("units", &[("units", 0.03)], 4),
    ("parameter sets", &[("sets", 0.2)], 5),
    ("first packets", &[("first", 0.02)], 6),
    ("last packets", &[("last", 0.02)], 7),
];

fn every_wrong_picture_is_marked(clip: Clip) {
    let (mut all, mut all_marked, mut all_right) = (0, 0, 0);
    for (what, harm, seed) in HARMS {
        let (seen, done) = play(clip, harm, seed);
        assert!(done > 0, "{what}: no packet was affected");
        let wrong = seen.iter().filter(|frame| !frame.right).count();
        let marked = seen.iter().filter(|frame| frame.marked).count();
        let right = seen.iter().filter(|frame| frame.marked && frame.right).count();
        println!(
            "{} {what:22} seed {seed}: {done:3} times; {} frames, {wrong} wrong, {marked} marked, \
             {right} of them right",
            clip.codec(),
            seen.len()
        );
        let unmarked = seen.iter().filter(|frame| !frame.right && !frame.marked).count();
        assert_eq!(unmarked, 0, "{what}, seed {seed}: wrong pictures without a mark");
        assert!(marked > 0, "{what}, seed {seed}: loss marks frames");
        assert!(marked < seen.len(), "{what}, seed {seed}: marks end");
        if clip.codec() == "h264" {
            // Every key frame of this clip is an IDR picture, and marks end with the first complete one.
            let others = seen.iter().filter(|frame| frame.after_loss != Some(frame.marked));
            assert_eq!(others.count(), 0, "{what}, seed {seed}: marks that do not match losses");
        }
        all += seen.len();
        all_marked += marked;
        all_right += right;
    }
    println!(
        "{}: {all} frames, {all_marked} marked, {all_right} of them right ({:.0} %)",
        clip.codec(),
        100.0 * all_right as f64 / all_marked as f64
    );
}

#[test]
fn h264_with_b_frames_and_slices() {
    every_wrong_picture_is_marked(H264);
}

#[test]
fn h265_with_cra_and_rasl_pictures() {
    every_wrong_picture_is_marked(H265);
}

#[test]
fn without_loss_all_pictures_are_correct_and_unmarked() {
    for clip in [H264, H265] {
        let (seen, _) = play(clip, &[], 1);
        assert_eq!(seen.len(), clip.frames as usize);
        assert!(seen.iter().all(|frame| frame.right && !frame.marked));
    }
}
