//! A running service replaces removed files, and readers follow.

use std::io::{BufRead as _, BufReader};

use serde_json::Value;
use vas_harness::waiting;
use vas_tests::service::{Reader, Service};

const CAMERA: &str = "[[camera]]\nid = \"cam\"\nurl = \"testsrc:320x240@25\"\n";

#[test]
fn a_removed_file_camera_or_export_directory_is_exported_again() {
    let mut service = Service::start("true", "", CAMERA);
    service.until_exported("cam");
    let mut reader = Reader(service.watch("cam", &["--timeout", "60"]));
    let mut lines = BufReader::new(reader.0.stdout.take().unwrap()).lines();
    let mut next = || -> Value {
        let _wait = waiting("a frame after a removal");
        serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap()
    };
    let mut epoch = next()["epoch"].as_u64();
    for name in ["cam/frame.meta", "cam/frame.data", "cam/readers", "cam/.writer", "cam", ""] {
        let path = service.dir().join(name);
        if path.is_dir() {
            std::fs::remove_dir_all(&path).unwrap();
        } else {
            std::fs::remove_file(&path).unwrap();
        }
        let after = std::iter::from_fn(|| Some(next()["epoch"].as_u64())).find(|e| *e != epoch);
        assert!(after.unwrap() > epoch, "after the removal of {name:?}");
        epoch = after.unwrap();
        assert!(path.exists(), "{name:?}");
    }
    let camera = service.until("status", |camera| camera["export"]["state"] == "open");
    assert_eq!(camera["export"]["readers"], true, "{camera}");
    drop(reader);
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    assert_eq!(service.leftovers(), Vec::<std::path::PathBuf>::new());
}
