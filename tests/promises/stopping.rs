//! SIGTERM ends the service, even if a part hangs.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use vas_harness::Outcome as _;
use vas_tests::camera::Camera;
use vas_tests::clip::Clip;
use vas_tests::service::{Service, signal, vas};

#[test]
fn a_silent_camera_does_not_delay_the_end() {
    let clip =
        Clip { encoder: "libx264", size: "640x360", pixels: "yuv420p", range: "tv", frames: 50 };
    let server = Camera::start(&[&clip.make()], ",loop");
    let config = format!(
        "[[camera]]\nid = \"cam\"\nurl = {:?}\nidle = \"decode\"\nread_timeout = \"10m\"\n\
         [[camera]]\nid = \"new\"\nurl = {:?}\nconnect_timeout = \"10m\"\n",
        server.url(),
        server.url(),
    );
    let mut service = Service::start("true", "", &config);
    service.until("frames", |camera| camera["decoded"].as_u64() > Some(0));
    signal(server.pid(), "STOP");
    let start = Instant::now();
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    println!("ended after {:.2} s with the camera's server stopped", start.elapsed().as_secs_f32());
    assert!(!service.log().contains("does not end"), "{}", service.log());
    assert_eq!(service.leftovers(), Vec::<PathBuf>::new());
    signal(server.pid(), "CONT");
}

#[test]
fn a_shard_that_does_not_end_is_killed_and_named_and_its_files_removed() {
    let camera = "[[camera]]\nid = \"cam\"\nurl = \"testsrc:320x240@25\"\nidle = \"decode\"\n";
    let mut service = Service::start("true", "", camera);
    service.until("a ring", |camera| camera["export"]["state"] == "open");
    signal(service.shard_of("cam"), "STOP");
    let start = Instant::now();
    assert_eq!(service.stop(), Some(1), "{}", service.log());
    println!("ended after {:.2} s with the shard stopped", start.elapsed().as_secs_f32());
    let words = "vas: shards had to be killed: shard 0 (cam)";
    assert!(service.log().contains(words), "{}", service.log());
    assert_eq!(service.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn a_second_service_with_the_same_run_directory_is_refused_and_the_first_continues() {
    let camera = "[[camera]]\nid = \"cam\"\nurl = \"testsrc:320x240@25\"\n";
    let mut service = Service::start("false", "", camera);
    service.until("packets", |camera| camera["received"].as_u64() > Some(0));
    let second = Command::new(vas())
        .args(["run", "--config"])
        .arg(service.work().join("vas.toml"))
        .outcome();
    let words = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{words}");
    assert!(words.contains("vas: another service writes its status to "), "{words}");
    service.until("packets", |camera| camera["received"].as_u64() > Some(0));
    assert_eq!(service.stop(), Some(0), "{}", service.log());
}
