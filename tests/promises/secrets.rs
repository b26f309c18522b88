//! A reload applies a changed password, and no password is visible anywhere; log lines as JSON name their
//! camera.

use serde_json::Value;
use vas_tests::camera::Camera;
use vas_tests::clip::Clip;
use vas_tests::service::{Plan, Service};

const OLD: &str = "0ldSecret";
const NEW: &str = "n3wSecret";
const OF_ENVIRONMENT: &str = "env1ronSecret";

/// Every place where a password could be visible.
fn places(service: &Service) -> Vec<(String, String)> {
    let mut places = vec![("the log".to_owned(), service.log())];
    for name in ["status.json", "vas.prom"] {
        let path = service.work().join("run").join(name);
        places.push((name.into(), std::fs::read_to_string(path).unwrap()));
    }
    let shards = service.shards();
    assert!(!shards.is_empty());
    for pid in service.processes() {
        // The supervisor's environment has the secrets that it was started with.
        let of_shard = shards.contains(&pid).then_some("environ");
        for name in ["cmdline"].into_iter().chain(of_shard) {
            let path = format!("/proc/{pid}/{name}");
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.is_empty(), "{path}");
            places.push((path, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    places
}

#[test]
fn a_reload_changes_a_password_and_none_is_visible() {
    let clip =
        Clip { encoder: "libx264", size: "640x360", pixels: "yuv420p", range: "tv", frames: 50 };
    let server = Camera::start_with(&[&clip.make()], ",loop", &["--user", &format!("admin:{NEW}")]);
    let config = |password: &str| {
        let camera = |id: &str, password: &str| {
            let url = server.url_for(&format!("admin:{password}"));
            format!("[[camera]]\nid = {id:?}\nurl = {url:?}\nidle = \"decode\"\n")
        };
        [camera("gate", password), camera("yard", "${VAS_TEST_PASSWORD}")].concat()
    };
    let mut service = Service::launch(Plan {
        flag: "true",
        cameras: &config(OLD),
        arguments: &["-v", "--log-format", "json"],
        variables: &[("VAS_TEST_PASSWORD", OF_ENVIRONMENT)],
        ..Plan::default()
    });
    for id in ["gate", "yard"] {
        let camera = service.until_camera(id, "refusal", |camera| camera["state"] == "refused");
        println!("{id}: {}", camera["reason"]);
    }
    service.reload(&config(NEW));
    service.until_camera("gate", "packets", |camera| camera["state"] == "streaming");
    for (place, text) in places(&service) {
        for secret in [OLD, NEW, OF_ENVIRONMENT] {
            assert!(!text.contains(secret), "{secret} is in {place}:\n{text}");
        }
    }
    // Proves that the check above can fail.
    let own = std::fs::read(format!("/proc/{}/environ", service.pid())).unwrap();
    assert!(String::from_utf8_lossy(&own).contains(OF_ENVIRONMENT));

    let lines: Vec<Value> =
        service.log().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_gate = |line: &&Value| line["span"]["camera"] == "gate" || line["camera"] == "gate";
    assert!(lines.iter().filter(of_gate).count() > 1, "{lines:?}");
    assert!(lines.iter().any(|line| line["level"] == "DEBUG"), "{lines:?}");
    assert_eq!(service.stop(), Some(0), "{}", service.log());
}
