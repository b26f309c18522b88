//! The check itself, on simulated devices: it can pass, and it can fail.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;
use vas_sim_gpu::testing::{Session, SimulatedGpu};

/// Beside the test programs.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join(name);
    assert!(name == "test-clips" || path.exists(), "no {}: cargo build -p vas", path.display());
    path
}

/// Made once for all tests.
static CLIPS: LazyLock<PathBuf> = LazyLock::new(|| {
    let clips = built("test-clips").join("gpu-check");
    let made = program().arg("clips").arg(&clips).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    clips
});

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_vas-gpu-check"))
}

/// Runs all checks on simulated devices with this FFmpeg.
fn run(gpus: &Session, ffmpeg: &Path, out: &Path, options: &[&str]) -> Output {
    let mut command = program();
    command.args(["run", "--cameras", "2", "--seconds", "2", "--vas"]).arg(built("vas"));
    command.arg("--ffmpeg").arg(ffmpeg).arg("--clips").arg(&*CLIPS).arg("--out").arg(out);
    gpus.configure(command.args(options)).output().unwrap()
}

fn report(out: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(out.join("gpu-check.json")).unwrap()).unwrap()
}

fn outcome<'a>(report: &'a Value, name: &str) -> &'a str {
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"].as_str().unwrap().contains(name));
    check.unwrap_or_else(|| panic!("no check {name}: {report}"))["outcome"].as_str().unwrap()
}

#[test]
fn everything_holds_on_a_simulated_device() {
    let (out, gpus) = (tempfile::tempdir().unwrap(), SimulatedGpu::new().set("seed", 5).start());
    let done = run(&gpus, Path::new("ffmpeg"), out.path(), &["--simulated"]);
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    let report = report(out.path());
    assert_eq!(report["simulated"], true);
    for name in ["pinned copies", "kernels equal", "pictures equal", "cameras at their pace"] {
        assert_eq!(outcome(&report, name), "passed", "{report}");
    }
    let text = std::fs::read_to_string(out.path().join("gpu-check.md")).unwrap();
    assert!(text.contains("**Simulated**") && text.contains("simulated: passed"), "{text}");
    // FFmpeg downloads to pageable memory.
    gpus.report().assert_clean(&["pageable"]);
}

#[test]
fn one_wrong_sample_of_a_picture_fails() {
    let (out, gpus) = (tempfile::tempdir().unwrap(), SimulatedGpu::new().set("seed", 6).start());
    let ffmpeg = out.path().join("ffmpeg");
    // In each picture some samples of this value occur.
    std::fs::write(&ffmpeg, "#!/bin/sh\nffmpeg \"$@\" | LC_ALL=C tr '\\200' '\\201'\n").unwrap();
    std::fs::set_permissions(&ffmpeg, std::fs::Permissions::from_mode(0o755)).unwrap();
    let done = run(&gpus, &ffmpeg, out.path(), &["--simulated"]);
    assert_eq!(done.status.code(), Some(1), "{}", String::from_utf8_lossy(&done.stderr));
    let report = report(out.path());
    assert_eq!(outcome(&report, "pictures equal"), "failed", "{report}");
    assert!(report.to_string().contains("0 of 8 frames, of 8 expected"), "{report}");
    assert_eq!(outcome(&report, "cameras at their pace"), "passed", "{report}");
}

#[test]
fn a_simulated_device_never_passes_for_a_gpu() {
    let (out, gpus) = (tempfile::tempdir().unwrap(), SimulatedGpu::new().start());
    let done = run(&gpus, Path::new("ffmpeg"), out.path(), &[]);
    assert_eq!(done.status.code(), Some(3), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(!out.path().join("gpu-check.json").exists());
}

#[test]
fn without_a_driver_there_is_nothing_to_check() {
    let out = tempfile::tempdir().unwrap();
    let mut command = program();
    command.args(["run", "--vas"]).arg(built("vas")).args(["--ffmpeg", "ffmpeg", "--clips"]);
    let done = command.arg(out.path()).arg("--out").arg(out.path()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(3), "{said}");
    assert!(said.contains("libcuda.so.1 cannot be loaded"), "{said}");
}
