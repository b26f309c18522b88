//! The service's status contains no secret, and a stale status is not taken for a live service.

use std::process::{Command, Output};

use vas_harness::Outcome as _;
use vas_tests::service::{Service, vas};

/// Both ways to put a password into a url, on a port where nothing answers.
const CAMERAS: &str = "[[camera]]\nid = \"gate\"\nurl = \"testsrc:64x64@25\"\n\
    [[camera]]\nid = \"yard\"\nurl = \"rtsp://admin:pa55word@127.0.0.1:1/x?password=0pen\"\n";

fn ask(service: &Service, arguments: &[&str]) -> Output {
    Command::new(vas()).args(arguments).arg("--run-dir").arg(service.run_dir()).outcome()
}

fn text(output: &Output) -> String {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8(text).unwrap()
}

#[test]
fn passwords_are_in_no_file_and_no_output() {
    let mut service = Service::start("true", "", CAMERAS);
    // `status::tests` covers reasons that quote the url; this covers the real parts' reasons.
    service.until_of(1, "a reason", |camera| camera["state"] == "unreachable");
    let mut texts = vec![service.log()];
    for arguments in [&["status"][..], &["status", "--json"], &["health", "yard"]] {
        texts.push(text(&ask(&service, arguments)));
    }
    assert!(texts.iter().all(|text| text.contains("cannot be reached")), "{texts:?}");
    for file in ["status.json", "vas.prom"] {
        texts.push(std::fs::read_to_string(service.run_dir().join(file)).unwrap());
    }
    for text in texts {
        assert!(!text.contains("pa55word") && !text.contains("0pen"), "{text}");
    }
}

#[test]
fn health_is_an_exit_code_and_fails_for_a_dead_service() {
    let mut service = Service::start("false", "", CAMERAS);
    service.until("packets", |camera| camera["received"].as_u64() > Some(0));
    let code = |output: &Output| output.status.code();
    let whole = ask(&service, &["health", "--max-age", "60s"]);
    assert_eq!(code(&whole), Some(0), "{}", text(&whole));
    assert_eq!(code(&ask(&service, &["health", "gate", "--max-age", "60s"])), Some(0));
    assert_eq!(code(&ask(&service, &["health", "yard", "--max-age", "60s"])), Some(1));
    assert_eq!(code(&ask(&service, &["health", "nobody", "--max-age", "60s"])), Some(3));
    assert_eq!(code(&ask(&service, &["health", "--max-age", "2"])), Some(2));

    service.kill();
    // The file is unchanged, and certainly older than a millisecond.
    let dead = ask(&service, &["health", "--max-age", "1ms"]);
    assert_eq!(code(&dead), Some(1));
    assert!(text(&dead).contains(&format!("process {}, which wrote it", service.pid())));

    std::fs::remove_file(service.run_dir().join("status.json")).unwrap();
    assert_eq!(code(&ask(&service, &["health"])), Some(1));
    let none = ask(&service, &["status"]);
    assert_eq!(code(&none), Some(3));
    assert!(text(&none).contains("no service writes"), "{}", text(&none));
}
