//! The service is two programs: `vas`, which loads nothing of FFmpeg, and `vas-shard`, which `vas` runs.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};

use vas_harness::Outcome as _;
use vas_tests::clip::run;
use vas_tests::service::{Plan, Service, signal, vas};

const CAMERA: &str = "[[camera]]\nid = \"cam\"\nurl = \"testsrc:320x240@25\"\n";

/// The libraries that a program names.
fn needed(program: &Path) -> BTreeSet<String> {
    let words = run(Command::new("readelf").args(["--dynamic", "--wide"]).arg(program));
    let libraries = words.lines().filter(|line| line.contains("(NEEDED)"));
    let name = |line: &str| Some(line.split_once('[')?.1.trim_end_matches(']').to_owned());
    libraries.filter_map(name).collect()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Most of a process's private memory would be FFmpeg's libraries, relocated.
#[test]
fn the_supervisor_loads_nothing_of_ffmpeg() {
    let of_vas = needed(&vas());
    let system = ["libc.so", "libgcc_s.so", "libm.so", "ld-linux"];
    let is_of_the_system = |name: &String| system.iter().any(|known| name.starts_with(known));
    assert!(of_vas.iter().all(is_of_the_system), "a dependency of vas brings in {of_vas:?}");
    assert!(of_vas.iter().any(|name| name.starts_with("libc.so")), "{of_vas:?}");
    // Which proves that the check can fail.
    let of_shard = needed(&vas().with_file_name("vas-shard"));
    assert!(of_shard.iter().any(|name| name.starts_with("libavcodec.so")), "{of_shard:?}");
    // Loaded for a test picture only, with the libraries that they bring in.
    let late = ["libavdevice.so", "libavfilter.so"];
    let is_late = |name: &String| late.iter().any(|known| name.starts_with(known));
    assert!(!of_shard.iter().any(is_late), "{of_shard:?}");
    // Looked up at run time, so that both programs start on a host without a GPU.
    let of_driver = ["libcuda", "libnvcuvid", "libnvidia"];
    let is_driver = |name: &String| of_driver.iter().any(|known| name.starts_with(known));
    assert!(!of_shard.iter().chain(&of_vas).any(is_driver), "{of_shard:?}");

    let mut service = Service::start("true", "", CAMERA);
    let shard = service.shard_of("cam");
    let loads_ffmpeg = |pid: u32| {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        maps.contains("/libav")
    };
    assert!(loads_ffmpeg(shard) && !loads_ffmpeg(service.pid()));
    assert_eq!(service.stop(), Some(0), "{}", service.log());
}

/// Puts the two programs into a folder of their own.
fn installed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["vas", "vas-shard"] {
        std::fs::copy(vas().with_file_name(name), folder.path().join(name)).unwrap();
    }
    folder
}

#[test]
fn vas_without_the_other_program_says_what_to_do() {
    let folder = installed();
    let (own, other) = (folder.path().join("vas"), folder.path().join("vas-shard"));
    std::fs::remove_file(&other).unwrap();
    let config = folder.path().join("vas.toml");
    let run_dir = folder.path().join("run");
    std::fs::write(&config, format!("[service]\nrun_dir = {run_dir:?}\n{CAMERA}")).unwrap();
    let config = config.to_str().unwrap();
    for line in [&["run", "--config", config][..], &["try", "testsrc:64x48@25"]] {
        let output = Command::new(&own).args(line).env_remove("AI_FRAME_EXPORT_ENABLED").outcome();
        assert_eq!(output.status.code(), Some(1), "{line:?}");
        let expected = format!(
            "vas: cannot run {}: No such file or directory (os error 2); vas needs it; install vas and vas-shard \
             from the same build into one folder\n",
            other.display()
        );
        assert_eq!(words(&output), expected, "{line:?}");
    }
    // What needs no FFmpeg works.
    let output = Command::new(&own).args(["check", "--config", config]).outcome();
    assert!(output.status.success(), "{}", words(&output));
}

#[test]
fn two_programs_of_different_builds_refuse_to_work_together() {
    let shard = vas().with_file_name("vas-shard");
    let of_this_version = env!("CARGO_PKG_VERSION");
    let of_other_sources = format!("{of_this_version} (build 0123456789abcdef)");
    for build in ["0.0.9", of_this_version, &of_other_sources] {
        let output = Command::new(&shard)
            .args(["try", "--an-argument-of-another-version"])
            .env("VAS_BUILD", build)
            .outcome();
        let refusal = words(&output);
        assert_eq!(output.status.code(), Some(1), "{build}: {refusal}");
        let expected = format!("but the vas that started it is version {build};");
        assert!(refusal.contains(&expected), "{refusal}");
        assert!(refusal.contains("install vas and vas-shard from the same build"), "{refusal}");
    }

    // As a shard: the supervisor gets the words, and ends.
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    std::fs::write(
        &script,
        format!("#!/bin/sh\nVAS_BUILD=0.0.9 exec {} \"$@\"\n", shard.display()),
    )
    .unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let arguments = ["--test-shard-program", script.to_str().unwrap()];
    let mut service = Service::start_with("true", "", CAMERA, &arguments);
    assert_eq!(service.wait(), Some(1), "{}", service.log());
    let log = service.log();
    assert!(log.contains(&format!("vas: {}", shard.display())), "{log}");
    assert!(log.contains("install vas and vas-shard from the same build"), "{log}");

    let alone =
        Command::new(&shard).args(["try", "testsrc:64x48@25"]).env_remove("VAS_BUILD").outcome();
    assert_eq!(alone.status.code(), Some(1));
    assert!(words(&alone).contains("run vas"), "{}", words(&alone));
}

/// A package manager replaces both while the service runs, and does not restart it.
#[test]
fn a_shard_is_restarted_from_the_program_of_the_services_start() {
    let folder = installed();
    let program = folder.path().join("vas");
    let mut service = Service::launch(Plan {
        program: program.to_str().unwrap(),
        flag: "true",
        cameras: CAMERA,
        ..Plan::default()
    });
    let first = service.shard_of("cam");
    for name in ["vas", "vas-shard"] {
        std::fs::remove_file(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name), "not a program").unwrap();
    }
    signal(first, "SEGV");
    service.until_status("a restart", |status| status["shards"][0]["restarts"] == 1);
    service.until("pictures again", |camera| camera["state"] == "streaming");
    assert_ne!(service.shard_of("cam"), first);
    assert_eq!(service.stop(), Some(0), "{}", service.log());
}

/// What `vas-shard` may be in place of the program, with what `vas` says about it.
#[test]
fn a_file_that_can_not_be_run_in_place_of_the_other_program_is_refused() {
    let folder = installed();
    let (own, other) = (folder.path().join("vas"), folder.path().join("vas-shard"));
    let config = folder.path().join("vas.toml");
    let run_dir = folder.path().join("run");
    std::fs::write(&config, format!("[service]\nrun_dir = {run_dir:?}\n{CAMERA}")).unwrap();
    let config = config.to_str().unwrap();
    let refuse = |why: &str| {
        for line in [&["run", "--config", config][..], &["try", "testsrc:64x48@25"]] {
            let output =
                Command::new(&own).args(line).env_remove("AI_FRAME_EXPORT_ENABLED").outcome();
            let words = words(&output);
            assert_eq!(output.status.code(), Some(1), "{line:?}: {words}");
            let expected = format!("vas: cannot run {}: {why}; vas needs it;", other.display());
            assert!(words.contains(&expected), "{line:?}: expected {expected:?}: {words}");
        }
    };
    let mode = |mode| {
        std::fs::set_permissions(&other, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o644);
    refuse("this user may not execute it (mode 644): Permission denied (os error 13)");
    std::fs::write(&other, "#!/bin/sh\nexec true\n").unwrap();
    mode(0o755);
    refuse("it is a script, expected the program itself");
    std::fs::write(&other, "not a program").unwrap();
    refuse("it is not an ELF program");
    std::fs::remove_file(&other).unwrap();
    std::fs::create_dir(&other).unwrap();
    refuse("it is not a regular file");
}

/// What passes the check at the start of the service, and yet can't be started.
#[test]
fn a_shard_that_can_not_be_started_ends_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let not_executable = folder.path().join("not-executable");
    std::fs::write(&not_executable, "").unwrap();
    let not_a_program = folder.path().join("not-a-program");
    std::fs::write(&not_a_program, "no program\n").unwrap();
    std::fs::set_permissions(&not_a_program, std::fs::Permissions::from_mode(0o755)).unwrap();
    for (program, why) in [
        (folder.path().join("missing"), "No such file or directory"),
        (not_executable, "Permission denied"),
        (not_a_program, "Exec format error"),
    ] {
        let arguments = ["--test-shard-program", program.to_str().unwrap()];
        let mut service = Service::start_with("true", "", CAMERA, &arguments);
        assert_eq!(service.wait(), Some(1), "{}", service.log());
        let expected = format!("vas: cannot run {}: {why}", program.display());
        assert!(service.log().contains(&expected), "{}", service.log());
    }
}

/// Puts a broken library of FFmpeg where the loader looks first.
fn break_library(folder: &Path) {
    let libraries = needed(&vas().with_file_name("vas-shard"));
    let library = libraries.iter().find(|name| name.starts_with("libavcodec.so")).unwrap();
    std::fs::write(folder.join(library), "no library").unwrap();
}

#[test]
fn a_shard_that_can_not_be_loaded_ends_the_service() {
    let folder = tempfile::tempdir().unwrap();
    break_library(folder.path());
    let mut service = Service::launch(Plan {
        flag: "true",
        cameras: CAMERA,
        variables: &[("LD_LIBRARY_PATH", folder.path().to_str().unwrap())],
        ..Plan::default()
    });
    assert_eq!(service.wait(), Some(1), "{}", service.log());
    let (log, shard) = (service.log(), vas().with_file_name("vas-shard"));
    let shard = shard.display();
    let expected = format!(
        "vas: vas-shard at {shard} can't be loaded (exit code 127): see the loader's line above; check it with \
         `ldd {shard}`"
    );
    assert!(log.contains(&expected), "{log}");
    let loader = log.find("libavcodec.so").expect("the loader names the library");
    assert!(loader < log.find(&expected).unwrap(), "{log}");
}

/// A package manager breaks a library while the service runs.
#[test]
fn a_shard_that_can_no_longer_be_loaded_is_reported_and_retried() {
    let folder = tempfile::tempdir().unwrap();
    let mut service = Service::launch(Plan {
        flag: "true",
        cameras: CAMERA,
        variables: &[("LD_LIBRARY_PATH", folder.path().to_str().unwrap())],
        ..Plan::default()
    });
    let first = service.shard_of("cam");
    service.until("pictures", |camera| camera["state"] == "streaming");
    break_library(folder.path());
    signal(first, "SEGV");
    let camera = service.until("the reason", |camera| {
        camera["reason"].as_str().is_some_and(|reason| reason.contains("can't be loaded"))
    });
    assert!(camera["reason"].as_str().unwrap().contains("`ldd "), "{camera}");
    for file in std::fs::read_dir(folder.path()).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    service.until("pictures again", |camera| camera["state"] == "streaming");
    assert_eq!(service.stop(), Some(0), "{}", service.log());
}

/// Otherwise the supervisor's first message fails, and the refusal may be lost.
#[test]
fn a_shard_of_another_build_takes_the_first_message_before_it_refuses() {
    let (mut own, theirs) = UnixStream::pair().unwrap();
    own.write_all(b"\x02\0\0\0{}").unwrap();
    let mut shard = Command::new(vas().with_file_name("vas-shard"))
        .args(["shard", "0"])
        .env("VAS_BUILD", "0.0.9")
        .stdin(OwnedFd::from(theirs))
        .spawn()
        .unwrap();
    assert_eq!(shard.wait().unwrap().code(), Some(0));
    let mut answer = Vec::new();
    // An end that is closed with unread data resets the other.
    own.read_to_end(&mut answer).unwrap();
    let words = String::from_utf8_lossy(&answer[4..]);
    assert!(words.contains("the vas that started it is version 0.0.9"), "{words}");
}
