//! Runs the stored corpus unchanged: no input that once reached new code breaks a promise.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use vas_fuzz::Target;

const LARGEST_CORPUS: u64 = 1 << 20;

fn replay(name: &str, target: Target) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let inputs = vas_fuzz::replay_path(target, &folder);
    assert!(inputs > 10, "{inputs} inputs in {}", folder.display());
    let sizes =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
    assert!(sizes.sum::<u64>() <= LARGEST_CORPUS, "`tests/fuzz/run.sh minimise` makes it smaller");
}

#[test]
fn open_and_read() {
    replay("open_and_read", vas_fuzz::open_and_read);
}

#[test]
fn changing() {
    replay("changing", vas_fuzz::changing);
}

#[test]
fn takeover() {
    replay("takeover", vas_fuzz::takeover);
}

#[test]
fn telemetry() {
    replay("telemetry", vas_fuzz::telemetry);
}
