//! Producers.

use super::*;

/// The lines for a `[camera.producer]` with `lines`, which begin at line 5.
fn producer_problems(lines: &str) -> Vec<String> {
    problems(&format!("{GATE}[camera.producer]\n{lines}\n"))
}

#[test]
fn a_producer_is_understood_with_its_defaults() {
    let text = format!("{GATE}[camera.producer]\nrtp = \"127.0.0.1:40000\"\n");
    let producer = config(&text).cameras.remove(0).producer.unwrap();
    assert_eq!((producer.rtcp, producer.payload_type), (None, 96));
    assert_eq!((producer.video, producer.key_interval), (Video::Copy, Duration::from_secs(2)));
    let full = "rtp = \"[::1]:40000\"\nrtcp = \"[::1]:40001\"\nssrc = 4294967295\n\
                payload_type = 101\nvideo = \"h264\"\nmax_width = 1280\nmax_height = 720\n\
                bitrate_kbit = 1500\nkey_interval = \"1s\"\n";
    let text = format!("{GATE}[camera.producer]\n{full}");
    let producer = config(&text).cameras.remove(0).producer.unwrap();
    assert_eq!((producer.ssrc, producer.payload_type), (u32::MAX, 101));
    assert_eq!((producer.max_width, producer.bitrate_kbit), (Some(1280), Some(1500)));
    assert_eq!(config(GATE).cameras[0].producer, None);
}

#[test]
fn an_encoder_is_given_all_frames_or_the_config_is_refused() {
    let text = |frames: &str, video: &str| {
        let producer = format!("[camera.producer]\nrtp = \"127.0.0.1:40000\"\nvideo = {video:?}\n");
        format!("{GATE}decode_frames = {frames:?}\n{producer}")
    };
    for frames in ["reference", "key"] {
        let line = one(problems(&text(frames, "h264")));
        assert!(
            line.contains("`decode_frames` must be \"all\" where the producer encodes"),
            "{line}"
        );
        // A passed-through stream is not decoded.
        assert_eq!(config(&text(frames, "copy")).cameras.len(), 1);
    }
    assert_eq!(config(&text("all", "h264")).cameras.len(), 1);
    // The camera's own setting overrides the default.
    let defaults = "[defaults]\ndecode_frames = \"key\"\n";
    assert_eq!(config(&format!("{defaults}{}", text("all", "h264"))).cameras.len(), 1);
}

#[test]
fn a_producer_that_can_not_be_is_refused() {
    let at = "rtp = \"127.0.0.1:40000\"\n";
    for (lines, words) in [
        (String::new(), "`rtp` is missing"),
        ("rtp = \"sfu\"".into(), "expected an IP address or a host's name, and a port"),
        (format!("{at}ssrc = 0"), "out of range; expected 1 to 4294967295"),
        (format!("{at}payload_type = 8"), "out of range; expected 96 to 127"),
        (format!("{at}video = \"h265\""), "expected \"copy\" or \"h264\""),
        (format!("{at}max_width = 640"), "only with `video = \"h264\"`"),
        (
            format!("{at}video = \"h264\"\n[defaults]\ndecode_frames = \"key\"\n"),
            "`decode_frames` must be \"all\" where the producer encodes",
        ),
        (format!("{at}rtpc = 1"), "did you mean `rtp"),
    ] {
        let line = one(producer_problems(&lines));
        assert!(line.contains(words), "{line}");
    }
    let other = GATE.replace("gate", "yard");
    let producer = format!("[camera.producer]\n{at}");
    let line = one(problems(&format!("{GATE}{producer}{other}{producer}")));
    assert!(line.contains("a PlainTransport takes one sender's packets"), "{line}");
    // Names are compared without case.
    let named = |name: &str| format!("[camera.producer]\nrtp = {name:?}\n");
    let (one_name, same) = (named("sfu:40000"), named("SFU:40000"));
    let line = one(problems(&format!("{GATE}{one_name}{other}{same}")));
    assert!(line.contains("a PlainTransport takes one sender's packets"), "{line}");
    let input = "[[camera.input]]\nurl = \"rtsp://cam/\"\nroles = [\"export\"]\n";
    let line = one(problems(&format!("[[camera]]\nid = \"gate\"\n{producer}{input}")));
    assert!(line.contains("no input has the role \"producer\""), "{line}");
}
