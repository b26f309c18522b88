//! A host without a driver, with half a driver, without a device: answers, and no panic.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use vas_cuda::{Driver, Unavailable};
use vas_sim_gpu::testing::SimulatedGpu;

/// Set in a child process: the result that it expects.
const EXPECTED: &str = "VAS_CUDA_PROBE_EXPECTED";

/// Runs `test` in a child process that finds `libraries` before all others, and expects this
/// result.
fn probe_in_child(test: &str, libraries: &Path, expected: &str) {
    let status = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact"])
        .env(EXPECTED, expected)
        .env("LD_LIBRARY_PATH", libraries)
        .status();
    assert!(status.unwrap().success());
}

fn found() -> String {
    Driver::probe().err().map_or("a driver".into(), |error| error.to_string())
}

#[test]
fn no_library() {
    if let Ok(expected) = std::env::var(EXPECTED) {
        return assert_eq!(found(), expected);
    }
    let dir = tempfile::tempdir().unwrap();
    // Found before a real one, but no library.
    for name in ["libcuda.so", "libcuda.so.1"] {
        std::fs::write(dir.path().join(name), "").unwrap();
    }
    probe_in_child("no_library", dir.path(), &Unavailable::NoLibrary.to_string());
}

#[test]
fn a_library_that_lacks_functions() {
    if let Ok(expected) = std::env::var(EXPECTED) {
        return assert_eq!(found(), expected);
    }
    let dir = tempfile::tempdir().unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let other = maps.split_whitespace().find(|word| word.contains("/libc.so")).unwrap();
    for name in ["libcuda.so", "libcuda.so.1"] {
        std::os::unix::fs::symlink(other, dir.path().join(name)).unwrap();
    }
    let expected = Unavailable::MissingSymbol("cuInit").to_string();
    probe_in_child("a_library_that_lacks_functions", dir.path(), &expected);
}

#[test]
fn no_device() {
    let Some(_run) = SimulatedGpu::new().set("devices", 0).in_child(|_| {
        let error = Driver::probe().unwrap_err();
        assert!(matches!(error, Unavailable::NoDevice(_)), "{error}");
        assert!(error.to_string().contains("CUDA_ERROR_NO_DEVICE"), "{error}");
    }) else {
        return;
    };
}

#[test]
fn a_driver_that_does_not_start() {
    let gpu = SimulatedGpu::new().set("fault", "cuInit:1:CUDA_ERROR_OPERATING_SYSTEM");
    let Some(_run) = gpu.in_child(|_| {
        let error = Driver::probe().unwrap_err();
        assert!(matches!(error, Unavailable::Failed(_)), "{error}");
        assert!(error.to_string().contains("cuInit failed: CUDA_ERROR_"), "{error}");
        // The count is asked for again, not cached.
        assert_eq!(Driver::probe().unwrap().devices(), 1);
    }) else {
        return;
    };
}

#[test]
fn two_devices() {
    let Some(run) = SimulatedGpu::new().set("devices", 2).in_child(|_| {
        assert_eq!(Driver::probe().unwrap().devices(), 2);
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
    // Asking creates no context.
    assert!(run.calls.iter().all(|call| !call.function.contains("Ctx")), "{:?}", run.calls);
}
