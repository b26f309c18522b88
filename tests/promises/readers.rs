//! A reader, however slow, stopped or dead, disturbs nobody; a writer's death is told and survived.

use std::io::{BufRead as _, BufReader};

use vas_tests::service::{Service, frames, signal};

const CAMERA: &str = "[[camera]]\nid = \"cam\"\nurl = \"testsrc:640x360@25\"\n";

#[test]
fn stopped_and_killed_readers_cost_the_others_nothing() {
    let mut service = Service::start("true", "slots = 64", CAMERA);
    service.until_exported("cam");
    let mut stopped = service.watch("cam", &[]);
    let mut killed = service.watch("cam", &[]);
    let mut lines = BufReader::new(stopped.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    signal(stopped.id(), "STOP");
    killed.kill().unwrap();
    killed.wait().unwrap();
    let many: Vec<_> =
        (0..20).map(|_| service.watch("cam", &["--count", "25", "--timeout", "30"])).collect();
    for reader in many {
        let seen = reader.wait_with_output().unwrap();
        let ids: Vec<_> =
            frames(&seen).iter().map(|frame| frame["frame_id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), 25, "{}", String::from_utf8_lossy(&seen.stderr));
        assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ids:?}");
    }
    let camera = service.until("status", |camera| camera["exported"].as_u64() > Some(25));
    for why in ["lease", "in_flight", "overload", "copy_failed"] {
        assert_eq!(camera["dropped"][why], 0, "{camera}");
    }
    stopped.kill().unwrap();
    stopped.wait().unwrap();
}

#[test]
fn readers_say_that_the_writer_is_gone_and_follow_the_next() {
    let mut service = Service::start("true", "", CAMERA);
    service.until_exported("cam");
    let mut reader = service.watch("cam", &["--timeout", "60"]);
    let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines();
    let mut words = BufReader::new(reader.stderr.take().unwrap()).lines();
    let mut next =
        || -> serde_json::Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let before = next();
    service.crash_and_restart("true");
    let said = words.find(|line| line.as_ref().unwrap().contains("gone")).unwrap().unwrap();
    assert!(said.contains("cam"), "{said}");
    let after = std::iter::from_fn(|| Some(next())).find(|frame| frame["epoch"] != before["epoch"]);
    let after = after.unwrap();
    assert!(after["frame_id"].as_u64() > before["frame_id"].as_u64());
    assert!(after["epoch"].as_u64() > before["epoch"].as_u64());
    reader.kill().unwrap();
    reader.wait().unwrap();
}
