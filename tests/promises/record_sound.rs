//! Sound is recorded unchanged where MP4 allows it and otherwise left out with a reason; pictures are
//! never affected.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use vas_harness::Outcome as _;
use vas_tests::camera::Camera;
use vas_tests::clip::Clip;
use vas_tests::recording::{contents, files, packets};
use vas_tests::service::Service;

const SHORT: Clip =
    Clip { encoder: "libx264", size: "640x360", pixels: "yuv420p", range: "tv", frames: 60 };
const LONG: Clip = Clip { frames: 150, ..SHORT };

fn config(dir: &Path, url: &str, client: &str, record: &str) -> String {
    format!(
        "[record]\ndir = {dir:?}\nkeep_free = \"1MB\"\n{record}\n\
         [[camera]]\nid = \"cam\"\nurl = {url:?}\nrtsp_client = {client:?}\n"
    )
}

/// A file's streams as ffprobe reports them, after FFmpeg decoded each without an error.
fn streams(file: &Path) -> Vec<Value> {
    let decoded = Command::new("ffmpeg")
        .args(["-v", "warning", "-xerror", "-nostdin", "-i"])
        .arg(file)
        .args(["-map", "0", "-fps_mode", "passthrough", "-f", "framemd5", "/dev/null", "-y"])
        .outcome();
    let said = String::from_utf8_lossy(&decoded.stderr);
    assert!(decoded.status.success() && said.is_empty(), "{}: {said}", file.display());
    let probed = Command::new("ffprobe")
        .args(["-v", "error", "-show_streams", "-of", "json"])
        .arg(file)
        .outcome();
    let probed: Value = serde_json::from_slice(&probed.stdout).unwrap();
    probed["streams"].as_array().unwrap().clone()
}

fn number(stream: &Value, key: &str) -> f64 {
    stream[key].as_str().unwrap_or_else(|| panic!("no {key}: {stream}")).parse().unwrap()
}

/// The packets of the pictures from one recording, and the recorder's reason about sound.
fn pictures(options: &str, client: &str, record: &str) -> (Vec<String>, String, Service) {
    let camera = Camera::start(&[&SHORT.make()], &format!(",once{options}"));
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &camera.url(), client, record);
    let mut service = Service::start("false", "", &config);
    let seen =
        service.until("a closed file", |camera| camera["recorder"]["files"].as_u64() >= Some(1));
    assert_eq!(seen["recorder"]["dropped"]["before_key"], 0, "{client}: {seen}");
    let mut packets = packets(&files(dir.path(), "cam", ".mp4")[0]);
    packets.retain(|packet| packet.starts_with("0,"));
    (packets, seen["recorder"]["sound"].as_str().unwrap().to_owned(), service)
}

#[test]
fn aac_and_opus_play_beside_the_pictures() {
    for (codec, client) in [("aac", "retina"), ("aac", "ffmpeg"), ("opus", "ffmpeg")] {
        let camera = Camera::start(&[&LONG.make()], &format!(",{codec}"));
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), &camera.url(), client, "segment = \"1s\"");
        let mut service = Service::start("false", "", &config);
        let seen =
            service.until("closed files", |camera| camera["recorder"]["files"].as_u64() >= Some(2));
        assert_eq!(seen["recorder"]["sound"], codec, "{client}");
        let files = files(dir.path(), "cam", ".mp4");
        assert!(files.len() >= 2, "{files:?}");
        for file in files.iter().take(2) {
            let streams = streams(file);
            let [video, audio] = &streams[..] else { panic!("{client}, {codec}: {streams:?}") };
            assert_eq!(
                (&video["codec_type"], &audio["codec_name"]),
                (&"video".into(), &codec.into())
            );
            let (long, sounds) = (number(video, "duration"), number(audio, "duration"));
            let begins = number(audio, "start_time");
            println!("{client}, {codec}: pictures {long} s, sound {sounds} s from {begins} s");
            // Both start and end within the time that a stream takes to start.
            let over = begins + sounds - long;
            assert!(over.abs() < 1.0 && begins < 1.0, "{client}, {codec}: {streams:?}");
        }
    }
}

#[test]
fn unsupported_sound_is_left_out_with_a_reason() {
    for (codec, client, words) in [
        (
            ",audio",
            "retina",
            "left out: pcm_mulaw can't go into MP4 as it is; set the camera to AAC",
        ),
        (
            ",audio",
            "ffmpeg",
            "left out: pcm_mulaw can't go into MP4 as it is; set the camera to AAC",
        ),
        (",opus", "retina", "left out: retina can't depacketize opus"),
    ] {
        let (pictures, said, service) = pictures(codec, client, "");
        assert!(said.starts_with(words), "{client}: {said}");
        assert_eq!(pictures.len(), 60, "{client}");
        assert_eq!(service.log().matches("sound is left out").count(), 1, "{}", service.log());
    }
}

#[test]
fn pictures_are_the_same_with_and_without_sound() {
    for client in ["retina", "ffmpeg"] {
        let (with, said, _service) = pictures(",aac", client, "");
        assert_eq!(said, "aac");
        let (without, said, _service) = pictures(",aac", client, "sound = false");
        assert_eq!(said, "none");
        assert_eq!(with.len(), 60, "{client}");
        assert_eq!(contents(&with), contents(&without), "{client}");
    }
}
