//! `vas plan` states what the running service takes, and names what the service refuses.

use std::process::{Command, Output};

use serde_json::Value;
use vas_harness::is_root;
use vas_tests::service::{Service, vas};

const CAMERAS: &str = "\
    [defaults]\nidle = \"decode\"\n\
    [[camera]]\nid = \"large\"\nurl = \"testsrc:1280x720@25\"\n\
    [[camera]]\nid = \"small\"\nurl = \"testsrc:640x480@15\"\n\
    export = { width = 320, height = 320, fit = \"letterbox\" }\n";

fn plan(service: &Service) -> (Value, Output) {
    let config = service.work().join("vas.toml");
    let output =
        Command::new(vas()).args(["plan", "--json", "--config"]).arg(config).output().unwrap();
    let plan = serde_json::from_slice(&output.stdout);
    let words = String::from_utf8_lossy(&output.stderr);
    (plan.unwrap_or_else(|error| panic!("{error}: {words}")), output)
}

#[test]
fn open_rings_have_the_planned_slots_and_bytes() {
    let mut service = Service::start("true", "", CAMERAS);
    let open = |camera: &Value| camera["export"]["ring_bytes"].as_u64() > Some(0);
    let reports = [0, 1].map(|number| service.until_of(number, "a ring", open));
    let (plan, output) = plan(&service);
    assert!(output.status.success(), "{plan:#}");
    for (report, kind) in reports.iter().zip(plan["kinds"].as_array().unwrap()) {
        assert_eq!((&kind["ids"][0], &kind["basis"]), (&report["id"], &Value::from("status")));
        for field in ["slots", "ring_bytes"] {
            assert_eq!(kind["each"][field], report["export"][field], "{field}: {kind:#}");
        }
    }
    assert_eq!(service.stop(), Some(0), "{}", service.log());
}

#[test]
fn a_ring_that_the_service_refuses_is_one_that_does_not_fit() {
    if !is_root("mounting a tmpfs") {
        return;
    }
    let mut service = Service::start_on_tmpfs("size=10m", "", CAMERAS);
    let large = service.until_of(0, "refusal", |camera| camera["export"]["state"] == "refused");
    let (plan, output) = plan(&service);
    assert_eq!(output.status.code(), Some(1), "{plan:#}");
    assert_eq!(plan["problems"][0]["what"], "rings", "{plan:#}");
    let sentence = plan["problems"][0]["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("1 of 2 cameras get no ring"), "{sentence}");
    // Both name the same limit and the same remedy.
    let refusal = large["export"]["detail"].as_str().unwrap();
    for part in ["the tmpfs at", "make it larger (docker --shm-size"] {
        assert!(refusal.contains(part) && sentence.contains(part), "{refusal}; {sentence}");
    }
    assert_eq!(service.stop(), Some(0), "{}", service.log());
}
