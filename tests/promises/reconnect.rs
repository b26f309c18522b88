//! The status gives a reason for a lost camera, which is reconnected automatically.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;

use serde_json::Value;
use vas_tests::camera::Camera;
use vas_tests::clip::Clip;
use vas_tests::service::Service;

fn clip() -> PathBuf {
    Clip { encoder: "libx264", size: "640x360", pixels: "yuv420p", range: "tv", frames: 60 }.make()
}

/// A service with one camera, whose limits are short.
fn service(url: &str, keys: &str) -> Service {
    let limits = "connect_timeout = \"2s\"\nread_timeout = \"1s\"";
    let camera = format!("[[camera]]\nid = \"cam\"\nurl = {url:?}\n{limits}\n{keys}\n");
    Service::start("false", "", &camera)
}

/// The status of the camera's input.
fn input(camera: &Value) -> &Value {
    &camera["inputs"][0]
}

/// Waits for a state and returns its reason.
fn reason(service: &mut Service, state: &str) -> String {
    let camera = service.until(state, |camera| input(camera)["state"] == state);
    input(&camera)["reason"].as_str().unwrap().to_owned()
}

fn until_received(service: &mut Service, more_than: u64) -> u64 {
    let received = |camera: &Value| input(camera)["received"].as_u64().unwrap_or(0);
    let camera = service.until("packets", |camera| {
        input(camera)["state"] == "streaming" && received(camera) > more_than
    });
    received(&camera)
}

/// Each client, with one transport.
const WAYS: [&str; 3] = [
    "rtsp_client = \"retina\"\ntransport = \"tcp\"",
    "rtsp_client = \"retina\"\ntransport = \"udp\"",
    "rtsp_client = \"ffmpeg\"\ntransport = \"tcp\"",
];

#[test]
fn a_killed_and_restarted_camera_is_reconnected() {
    let clip = clip();
    for way in WAYS {
        // If the server's end looks like a session that continues, the client waits for its timeout: a
        // short one here.
        let camera = Camera::start_with(&[&clip], "", &["--session-timeout", "4"]);
        let port = camera.port().to_string();
        let mut service = service(&camera.url(), way);
        let received = until_received(&mut service, 0);
        drop(camera);
        let words = reason(&mut service, "unreachable");
        assert!(words.contains("check address and port"), "{way}: {words}");
        let _camera = Camera::start_with(&[&clip], "", &["--port", &port]);
        until_received(&mut service, received);
        assert_eq!(service.stop(), Some(0));
    }
}

#[test]
fn a_suspended_camera_is_silent_and_reconnected_when_it_resumes() {
    let clip = clip();
    for way in WAYS {
        // The client waits for the old session to expire: as short as the server allows.
        let camera = Camera::start_with(&[&clip], "", &["--session-timeout", "4"]);
        let mut service = service(&camera.url(), way);
        let received = until_received(&mut service, 0);
        camera.signal("STOP");
        if way.contains("ffmpeg") {
            // The next attempt follows at once, so the reason is visible only briefly.
            reason(&mut service, "unreachable");
        } else {
            let words = reason(&mut service, "silent");
            assert!(words.contains("its old session was not ended"), "{way}: {words}");
        }
        assert!(service.log().contains("timed out after 1 s waiting for a packet"), "{way}");
        camera.signal("CONT");
        until_received(&mut service, received);
        assert_eq!(service.stop(), Some(0));
    }
}

#[test]
fn a_wrong_password_is_reported_without_revealing_it() {
    let clip = clip();
    let camera = Camera::start_with(&[&clip], "", &["--user", "admin:right"]);
    let url = camera.url().replace("//", "//admin:s3cret@");
    for way in WAYS {
        let mut service = service(&url, way);
        let words = reason(&mut service, "refused");
        assert!(words.contains("the camera refused the login (RTSP 401)"), "{words}");
        let status = service.status().unwrap().to_string();
        assert_eq!(service.stop(), Some(0));
        assert!(!format!("{status}{}", service.log()).contains("s3cret"), "{}", service.log());
    }
}

#[test]
fn a_stop_does_not_wait_for_a_camera_that_never_answers() {
    // The kernel accepts connections, and nothing ever answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtsp://{}/cam", listener.local_addr().unwrap());
    for way in WAYS {
        let mut service = service(&url, way);
        let words = reason(&mut service, "unreachable");
        assert!(
            words.contains("timed out after 2 s waiting for the camera's answer"),
            "{way}: {words}"
        );
        assert_eq!(service.stop(), Some(0));
    }
}

#[test]
fn unparsable_answers_are_garbage() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtsp://{}/cam", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            // The client may have disconnected already.
            let _ = client.unwrap().write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
        }
    });
    let mut service = service(&url, WAYS[0]);
    let words = reason(&mut service, "garbage");
    assert!(words.contains("it sends invalid data"), "{words}");
    assert_eq!(service.stop(), Some(0));
}
