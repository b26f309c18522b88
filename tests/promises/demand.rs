//! The service copies the frames that readers demand, and no reader gets more.

use serde_json::Value;
use vas_harness::Outcome as _;
use vas_tests::service::{Service, frames};

/// The interval at 5 fps, on the camera's time line; whole nanoseconds round down.
const INTERVAL_NS: u64 = 199_999_999;

fn times(frames: &[Value], of: &str) -> Vec<u64> {
    frames.iter().map(|frame| frame[of].as_u64().unwrap()).collect()
}

/// The most of `times` in any second, wherever it begins.
fn most_in_a_second(times: &[u64]) -> usize {
    let within =
        |from: &u64| times.iter().filter(|t| (*from..from + 1_000_000_000).contains(t)).count();
    times.iter().map(within).max().unwrap()
}

#[test]
fn no_more_is_copied_than_readers_demand_and_none_gets_more() {
    let camera = "[[camera]]\nid = \"cam\"\nurl = \"testsrc:320x240@30\"\n";
    let mut service = Service::start("true", "", camera);
    service.until_exported("cam");
    let five = &["--max-fps", "5", "--count", "20", "--timeout", "30"];
    let readers = [service.watch("cam", five), service.watch("cam", five)];
    let seen = readers.map(|reader| frames(&reader.outcome()));
    for frames in &seen {
        let paced = times(frames, "gate_ns");
        assert_eq!(paced.len(), 20);
        assert!(paced.windows(2).all(|pair| pair[1] - pair[0] >= INTERVAL_NS), "{paced:?}");
        let published = times(frames, "published_ns");
        assert!(most_in_a_second(&published) <= 5, "{published:?}");
    }
    let camera = service.until("nobody", |camera| camera["export"]["readers"] == false);
    let count = |name: &str| camera["dropped"][name].as_u64().unwrap();
    let exported = camera["exported"].as_u64().unwrap();
    // 5 of 30 frames per second are wanted; a second reader of the same rate adds none.
    assert!(exported >= 20 && count("not_demanded") >= 4 * exported, "{camera}");
}

#[test]
fn a_cameras_own_maximum_holds_for_readers_of_every_frame() {
    let camera =
        "[[camera]]\nid = \"cam\"\nurl = \"testsrc:320x240@30\"\n[camera.export]\nmax_fps = 10\n";
    let mut service = Service::start("true", "", camera);
    service.until_exported("cam");
    let reader = service.watch("cam", &["--count", "20", "--timeout", "30"]);
    let seen = frames(&reader.outcome());
    let paced = times(&seen, "gate_ns");
    assert_eq!(paced.len(), 20);
    assert!(paced.windows(2).all(|pair| pair[1] - pair[0] >= INTERVAL_NS / 2), "{paced:?}");
    let admitted = times(&seen, "decoded_ns");
    assert!(most_in_a_second(&admitted) <= 10, "{admitted:?}");
    let camera = service.until("drops", |camera| camera["dropped"]["max_fps"].as_u64() > Some(0));
    assert_eq!(camera["dropped"]["not_demanded"], 0, "{camera}");
}
