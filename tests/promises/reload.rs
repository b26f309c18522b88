//! SIGHUP applies what has changed, and nothing else; an invalid config changes nothing.

use vas_tests::camera::Camera;
use vas_tests::clip::Clip;
use vas_tests::service::{Plan, Service};
use vas_tests::watcher::Watcher;

fn camera(id: &str, url: &str, more: &str) -> String {
    format!("[[camera]]\nid = {id:?}\nurl = {url:?}\nidle = \"decode\"\n{more}\n")
}

#[test]
fn a_reload_that_changes_one_camera_affects_no_other() {
    let clip =
        Clip { encoder: "libx264", size: "640x360", pixels: "yuv420p", range: "tv", frames: 50 };
    let server = Camera::start(&[&clip.make()], ",loop");
    let url = server.url();
    let config =
        |more| [camera("stays", &url, ""), camera("changes", &url, more), camera("goes", &url, "")];
    let mut service = Service::launch(Plan {
        flag: "true",
        service: "shards = 2",
        export: "slots = 200",
        cameras: &config("").concat(),
        ..Plan::default()
    });
    for id in ["stays", "changes", "goes"] {
        service.until_camera(id, "a ring", |camera| camera["export"]["state"] == "open");
    }
    let (mut stays, mut changes) =
        (Watcher::attach(&service, "stays"), Watcher::attach(&service, "changes"));
    let (first, before) = (stays.next_frame(), changes.next_frame());
    let shards = service.shards();

    let new = [
        &config("read_timeout = \"5s\"")[..2].concat(),
        "[[camera]]\nid = \"comes\"\nurl = \"testsrc:320x240@25\"\n",
    ];
    service.reload(&new.concat());
    service.until_logged("1 cameras added, 1 removed, 1 changed, 1 as before");
    service.until_camera("comes", "packets", |camera| camera["state"] == "streaming");
    while changes.next_frame().1 == before.1 {}
    stays.no_gap_since(&mut service, first, 30);
    let goes = service.dir().join("goes");
    service.until_status("the removal of one", |status| {
        let mut ids = status["cameras"].as_array().unwrap().iter().map(|camera| &camera["id"]);
        ids.all(|id| id != "goes") && !goes.exists()
    });
    assert_eq!(service.shards(), shards, "a process was restarted");
    assert_eq!(service.stop(), Some(0), "{}", service.log());
}

#[test]
fn an_invalid_config_is_refused_with_a_reason_and_the_old_one_stays() {
    let good = camera("cam", "testsrc:320x240@25", "");
    let mut service = Service::start("true", "", &good);
    let mut watcher = Watcher::attach(&service, "cam");
    let first = watcher.next_frame();
    service.reload("[[camera]]\nid = \"cam\"\nurll = \"testsrc:320x240@25\"\n");
    let line = service.until_logged("config rejected");
    let words = "camera \"cam\": unknown key `urll`; did you mean `url`?";
    assert!(service.log().contains(words), "{}", service.log());
    assert!(line.contains("vas.toml:"), "{line}");
    service.until_logged("the cameras keep running with the previous config");
    let last = watcher.no_gap_since(&mut service, first, 25);
    // Settings that need a restart are logged, and the rest takes effect.
    std::fs::write(
        service.work().join("vas.toml"),
        format!(
            "[service]\nrun_dir = \"/elsewhere\"\n{good}{}",
            camera("more", "testsrc:64x64@5", "")
        ),
    )
    .unwrap();
    vas_tests::service::signal(service.pid(), "HUP");
    service.until_logged("[service] run_dir has changed: this takes effect when the service is");
    service.until_logged("[export] has changed");
    service.until_camera("more", "packets", |camera| camera["state"] == "streaming");
    watcher.no_gap_since(&mut service, last, 25);
    assert_eq!(service.stop(), Some(0), "{}", service.log());
}
