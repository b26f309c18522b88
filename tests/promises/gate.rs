//! `vas gate` replays recorded frames to Ruth's agents, and the service contains nothing of Ruth.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use vas_harness::Outcome as _;
use vas_tests::clip::run;
use vas_tests::service::vas;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/gate");

const WANTED: &str = "[[subscription]]\ncamera = \"cam\"\nmodel = \"people\"\nmax_fps = 5\n\
                      [[subscription]]\ncamera = \"cam\"\nmodel = \"plates\"\nmax_fps = \"30000/1001\"\n\
                      stride = 3\n\
                      [[subscription]]\ncamera = \"cam\"\nmodel = \"all\"\n\
                      [[subscription]]\ncamera = \"cam\"\nmodel = \"off\"\nactive = false\n";

fn replay(work: &Path, subscriptions: &str, arguments: &[&str]) -> Output {
    let wanted = work.join("wanted.toml");
    std::fs::write(&wanted, subscriptions).unwrap();
    Command::new(vas())
        .args(["gate", "replay", "--meta"])
        .arg(format!("{FIXTURES}/30.jsonl"))
        .arg("--subscriptions")
        .arg(wanted)
        .args(arguments)
        .outcome()
}

fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_subscription_gets_its_maximum_and_reasons_for_the_rest() {
    let work = tempfile::tempdir().unwrap();
    let plot = work.path().join("plot.png");
    let plot_argument = plot.to_str().unwrap();
    let output = replay(work.path(), WANTED, &["--json", "--explain", "--plot", plot_argument]);
    let (summaries, frames): (Vec<_>, Vec<_>) =
        lines(&output).into_iter().partition(|line| line.get("seen").is_some());
    assert_eq!(frames.len(), 4 * 900, "a line for each frame and subscription");
    let summary = |model: &str| summaries.iter().find(|one| one["model"] == model).unwrap();
    for one in &summaries {
        let of_it = frames.iter().filter(|line| line["model"] == one["model"]);
        let allowed = of_it.filter(|line| line["decision"] == "allow").count() as u64;
        assert_eq!(one["allowed"], allowed, "{one}");
        let skipped = one["skipped"].as_object().unwrap().values();
        assert_eq!(skipped.map(|count| count.as_u64().unwrap()).sum::<u64>() + allowed, 900);
    }
    let people = summary("people");
    for name in ["highest_in_a_second", "highest_in_a_second_published"] {
        assert!(people[name].as_u64() <= Some(5), "{people}");
    }
    assert!(people["mean_fps"].as_f64() > Some(3.5), "{people}");
    assert!(people["skipped"]["too_soon"].as_u64() > Some(700), "{people}");
    let plates = summary("plates");
    assert_eq!(plates["max_fps"], "30000/1001");
    assert!(plates["skipped"]["stride"].as_u64() > Some(100), "{plates}");
    assert!(plates["highest_in_a_second_published"].as_u64() <= Some(30), "{plates}");
    assert_eq!(
        (&summary("all")["allowed"], &summary("all")["max_fps"]),
        (&900.into(), &Value::Null)
    );
    assert_eq!(summary("off")["skipped"]["inactive"], 900);
    assert!(std::fs::read(plot).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn the_summary_names_cameras_models_and_reasons() {
    let work = tempfile::tempdir().unwrap();
    let output = replay(work.path(), WANTED, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    for words in ["camera cam, model people: at most 5 fps", "skipped  900: inactive 900"] {
        assert!(text.contains(words), "{text}");
    }
    let help = run(Command::new(vas()).args(["gate", "replay", "--help"]));
    assert!(help.contains("Usage: vas gate replay"), "{help}");
}

#[test]
fn wrong_subscriptions_are_refused_with_their_line() {
    let work = tempfile::tempdir().unwrap();
    let output = replay(work.path(), &WANTED.replace("max_fps = 5", "max_fsp = 5"), &[]);
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8(output.stderr).unwrap();
    let expected =
        "wanted.toml:4:1: subscription 1: unknown key `max_fsp`; did you mean `max_fps`?\n";
    assert!(words.ends_with(expected), "{words}");
}

#[test]
fn without_its_program_the_command_says_what_is_missing() {
    let work = tempfile::tempdir().unwrap();
    let alone = work.path().join("vas");
    std::fs::copy(vas(), &alone).unwrap();
    let output = Command::new(&alone).args(["gate", "--help"]).env("PATH", "").outcome();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.starts_with("vas: cannot run vas-gate: "), "{words}");
}

fn symbols_of_ruth(program: PathBuf) -> usize {
    let names = run(Command::new("nm").arg("--demangle").arg(&program));
    assert!(names.contains("main"), "{} is not stripped", program.display());
    names.lines().filter(|line| line.contains("ruth_core")).count()
}

/// Contract R0: its failure never affects VAS.
#[test]
fn the_service_links_nothing_of_ruth() {
    for program in ["vas", "vas-shard"] {
        assert_eq!(symbols_of_ruth(vas().with_file_name(program)), 0, "{program}");
    }
    // The program `vas-gate` does, which proves that the check can fail.
    assert!(symbols_of_ruth(vas().with_file_name("vas-gate")) > 0);
}
