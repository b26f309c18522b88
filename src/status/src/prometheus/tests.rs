//! `vas.prom`, read back by a strict reader.

use super::super::sample::full_status;
use super::render;
use super::strict::parse;

#[test]
fn the_text_is_strictly_right_and_says_what_the_status_says() {
    let mut status = full_status();
    status.cameras[0].id = "a\\b\"c\nd".into();
    let id = status.cameras[0].id.as_str();
    let text = render(&status);
    let samples = parse(&text).unwrap_or_else(|why| panic!("{why}\n{text}"));
    let camera = &status.cameras[0];
    let main = [("camera", id), ("input", "main")];
    for (name, labels, expected) in [
        ("vas_uptime_seconds", &[][..], status.uptime_s as f64),
        ("vas_shard_up", &[("shard", "0")], 1.0),
        ("vas_frames_decoded_total", &[("camera", id)], camera.decoded as f64),
        ("vas_frames_marked_total", &[("camera", id)], camera.marked as f64),
        ("vas_packets_received_total", &main, camera.inputs[0].status.received as f64),
        ("vas_input_up", &main, 1.0),
        ("vas_frames_dropped_total", &[("camera", id), ("reason", "lease")], 3.0),
        ("vas_packets_dropped_total", &[("camera", id), ("reason", "overload")], 2.0),
        ("vas_ring_lease_seconds", &[("camera", id)], 0.25),
        ("vas_frame_age_seconds_bucket", &[("camera", id), ("le", "0.064")], 2.0),
        ("vas_frame_age_seconds_bucket", &[("camera", id), ("le", "0.032")], 1.0),
        ("vas_frame_age_seconds_count", &[("camera", id)], 2.0),
        ("vas_recorder_written_bytes_total", &main, 4096.0),
    ] {
        assert_eq!(samples.get(name, labels), Some(expected), "{name} {labels:?}\n{text}");
    }
    assert_eq!(
        samples.get("vas_frames_dropped_total", &[("camera", id), ("reason", "overload")]),
        None
    );
}

#[test]
fn a_service_without_cameras_is_valid_too() {
    let mut status = full_status();
    status.cameras.clear();
    status.shards.clear();
    parse(&render(&status)).unwrap();
}

#[test]
fn reasons_are_no_labels() {
    let mut status = full_status();
    status.cameras[0].inputs[0].status.reason = "because of x".into();
    status.cameras[0].input.reason = "because of x".into();
    assert!(!render(&status).contains("because of x"));
}
