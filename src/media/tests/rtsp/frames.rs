//! Skipping pictures does not change those that are decoded.

use vas_media::{DecodeFrames, Frame, Received, StopFlag};

use crate::clips::{Clip, H264, H265, md5_of};

/// Plays a clip. Returns for each packet whether it was skipped, and which pictures were output before the next.
fn play(clip: Clip, frames: DecodeFrames) -> Vec<(bool, Vec<String>)> {
    let request = vas_media::SourceRequest {
        url: clip.file().to_str().unwrap().to_owned(),
        transport: vas_media::Transport::Auto,
        client: vas_media::RtspClient::Auto,
        connect_timeout: std::time::Duration::from_secs(30),
        read_timeout: std::time::Duration::from_secs(30),
        sound: false,
    };
    let mut source = vas_media::open(&request, &StopFlag::new()).unwrap();
    let mut decoder = vas_media::open_software(source.stream(), 1).unwrap();
    decoder.decode_only(frames);
    let (mut frame, mut played) = (Frame::new(), Vec::new());
    let mut out = |decoder: &mut dyn vas_media::Decoder| {
        let mut pictures = Vec::new();
        while decoder.receive(&mut frame).unwrap() == Received::Frame {
            assert!(!frame.after_loss());
            pictures.push(md5_of(&frame));
        }
        pictures
    };
    while let Some(packet) = source.next_packet().unwrap() {
        let left_out = decoder.leaves_out(&packet);
        if !left_out {
            decoder.send(&packet).unwrap();
        }
        played.push((left_out, out(decoder.as_mut())));
    }
    decoder.finish().unwrap();
    played.push((true, out(decoder.as_mut())));
    played
}

#[test]
fn decoded_pictures_are_correct_and_key_frames_are_output_at_once() {
    std::thread::scope(|scope| {
        for clip in [H264, H265] {
            scope.spawn(move || {
                let expected = clip.pictures();
                let played = play(clip, DecodeFrames::Key);
                let sent = played.iter().filter(|(left_out, _)| !left_out).count();
                assert_eq!(sent, clip.frames as usize / 25, "a key frame every 25 pictures");
                for (left_out, pictures) in played {
                    assert_eq!(pictures.len(), usize::from(!left_out), "each is output at once");
                    assert!(pictures.iter().all(|picture| expected.contains(picture)));
                }
            });
            scope.spawn(move || {
                let expected = clip.pictures();
                let played = play(clip, DecodeFrames::Reference);
                let sent = played.iter().filter(|(left_out, _)| !left_out).count();
                assert!(sent < clip.frames as usize, "some are skipped");
                let pictures: Vec<_> = played.into_iter().flat_map(|(_, out)| out).collect();
                assert_eq!(pictures.len(), sent, "all that were sent are output");
                assert!(pictures.iter().all(|picture| expected.contains(picture)));
            });
        }
    });
}
