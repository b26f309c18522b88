//! The status files as other programs see them.

use serde_json::{Value, json};
use vas_pipeline::InputStats;
use vas_status::{DropReason, InputState, ServiceStatus, ShardHealth, StatusFiles};

use super::*;

fn camera(stats: Arc<InputStats>) -> [CameraStats; 1] {
    let id = CameraId::new("gate").unwrap();
    let inputs = vec![(Roles::ALL, stats)];
    [CameraStats { id, inputs, recorder: None, export: None, producer: None }]
}

#[test]
fn the_file_is_complete_from_the_start_and_removed_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let run_dir = dir.path().join("run");
    let mut files = StatusFiles::create(&run_dir, false).unwrap();
    let read = || -> Value {
        serde_json::from_slice(&std::fs::read(run_dir.join("status.json")).unwrap()).unwrap()
    };
    assert_eq!(read()["cameras"], json!([]));
    let stats = Arc::new(InputStats::default());
    stats.counters.received_packet(10);
    stats.counters.dropped(DropReason::Lease);
    let health = ShardHealth { pid: Some(std::process::id()), ..ShardHealth::default() };
    let shards = vec![(health, report(0, &camera(stats), 0, Vec::new()))];
    files.write(shards, vas_status::ReadersReport::default());
    let camera = &read()["cameras"][0];
    assert_eq!(camera["id"], "gate");
    assert_eq!((&camera["received"], &camera["dropped"]["lease"]), (&json!(1), &json!(1)));
    assert_eq!(camera["inputs"][0]["received"], 1);
    assert_eq!(camera["inputs"][0]["input"], "record, producer, export");
    assert_eq!(camera["export"], Value::Null);
    let whole: ServiceStatus = serde_json::from_value(read()).unwrap();
    assert_eq!(whole.shards[0].health.pid, Some(std::process::id()));
    drop(files);
    assert_eq!(std::fs::read_dir(&run_dir).unwrap().count(), 0);
}

#[test]
fn a_reason_that_quotes_a_url_is_masked() {
    let stats = Arc::new(InputStats::default());
    stats.state.set(InputState::Refused, "rtsp://admin:pa55word@10.0.0.2/x refused the login");
    let report = report(0, &camera(stats), 0, Vec::new());
    let camera = &report.cameras[0];
    assert_eq!(camera.input.reason, "rtsp://***@10.0.0.2/x refused the login");
    assert!(!serde_json::to_string(&report).unwrap().contains("pa55word"));
}
