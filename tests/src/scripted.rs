//! Scripted cameras, each with one unusual behavior, and the checks of how a service handles them.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::clip::{folder, run};
use crate::recording::{files, packets};
use crate::service::{Plan, Service, frames};

/// Cameras in one service at a time.
const BATCH: usize = 32;

/// Longest time without a frame, in seconds; a case that reaches it fails.
const PATIENCE: &str = "30";

/// The fewest packets of a segment of 3 s that nothing ends early.
const LEAST_PACKETS: usize = 40;

/// Longest wait for the reason of a camera without pictures; a case that reaches it fails.
const REPORTED_WITHIN: Duration = Duration::from_secs(90);

/// The longest delay of a picture among the server's own requests. The check is for a session that stalls until
/// its next timer, 10 s or more.
const HELD_UP: Duration = Duration::from_secs(5);

/// The cameras of one group, played by `rig/scripted_cameras.py`.
#[derive(Debug)]
struct Fleet {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    cameras: Vec<Value>,
}

impl Fleet {
    fn start(group: &str, arguments: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/rig/scripted_cameras.py");
        let mut process = Command::new("/usr/bin/python3")
            .args([script, "--group", group, "--clips"])
            .arg(folder().join("scripted"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let questions = process.stdin.take().unwrap();
        let mut answers = BufReader::new(process.stdout.take().unwrap());
        let Value::Array(cameras) = line(&mut answers) else { panic!("{group}: no cameras") };
        Self { process, questions, answers, cameras }
    }

    /// The report of each camera so far.
    fn report(&mut self) -> Vec<Value> {
        self.questions.write_all(b"report\n").unwrap();
        let Value::Array(reports) = line(&mut self.answers) else { panic!("no reports") };
        reports
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn line(from: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|e| panic!("the cameras said {line:?}: {e}"))
}

/// Runs a service with the cameras of a group, and checks each of its cases; `arguments` as in
/// `rig/scripted_cameras.py`.
///
/// # Panics
/// If a case fails, with all failed cases.
pub fn check(group: &str, arguments: &[&str]) {
    let mut fleet = Fleet::start(group, arguments);
    let mut faults = String::new();
    assert!(!fleet.cameras.is_empty(), "{group} has cases");
    let numbers: Vec<usize> = (0..fleet.cameras.len()).collect();
    for batch in numbers.chunks(BATCH) {
        check_batch(&mut fleet, batch, &mut faults);
    }
    assert!(faults.is_empty(), "{group}: not as expected:\n{faults}");
}

/// One camera of a service, and its outcome.
struct Seen<'a> {
    case: &'a Value,
    /// Its id in the service.
    id: String,
    frames: Vec<Value>,
    status: Value,
    report: Value,
    reported: bool,
    recordings: Vec<PathBuf>,
}

fn check_batch(fleet: &mut Fleet, batch: &[usize], faults: &mut String) {
    let work = tempfile::tempdir().unwrap();
    let cases: Vec<Value> = batch.iter().map(|&number| fleet.cameras[number].clone()).collect();
    let recorded = cases.iter().any(|case| case["recorded"] == true);
    let config = config(&cases, recorded.then_some(work.path()));
    let mut service = Service::launch(Plan { flag: "true", cameras: &config, ..Plan::default() });
    let outputs: Vec<Output> = std::thread::scope(|scope| {
        let service = &service;
        let readers: Vec<_> = cases
            .iter()
            .enumerate()
            .map(|(number, case)| scope.spawn(move || watch(service, &id(number), case)))
            .collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    let reported: Vec<bool> = cases
        .iter()
        .enumerate()
        .map(|(number, case)| is_reported(&service, &id(number), case))
        .collect();
    let status = service.until_status("all cameras", |status| {
        status["cameras"].as_array().is_some_and(|all| all.len() == cases.len())
    });
    let reports = fleet.report();
    if recorded {
        for (number, case) in cases.iter().enumerate().filter(|(_, case)| case["recorded"] == true)
        {
            crate::recording::until(&format!("recording of {}", case["case"]), || {
                (!files(work.path(), &id(number), "").is_empty()).then_some(())
            });
        }
    }
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    for (number, case) in cases.iter().enumerate() {
        let id = id(number);
        let all = status["cameras"].as_array().unwrap();
        let seen = Seen {
            case,
            frames: frames(&outputs[number]),
            status: all.iter().find(|camera| camera["id"] == id.as_str()).unwrap().clone(),
            report: reports[batch[number]].clone(),
            reported: reported[number],
            recordings: files(work.path(), &id, ".mp4"),
            id,
        };
        for fault in seen.faults() {
            let name = format!("{} ({})", case["case"], case["client"]);
            writeln!(faults, "  {name}: {fault}; {}", seen.words()).unwrap();
        }
    }
}

fn id(number: usize) -> String {
    format!("cam-{number}")
}

fn config(cases: &[Value], recordings: Option<&Path>) -> String {
    let mut config = String::new();
    if let Some(dir) = recordings {
        writeln!(config, "[record]\ndir = {dir:?}\nsegment = \"3s\"\nkeep_free = \"1MiB\"")
            .unwrap();
    }
    for (number, case) in cases.iter().enumerate() {
        let text = |key: &str| case[key].as_str().unwrap();
        let (id, url, client, more) = (id(number), text("url"), text("client"), text("config"));
        writeln!(
            config,
            "[[camera]]\nid = {id:?}\nurl = {url:?}\nrtsp_client = {client:?}\n{more}"
        )
        .unwrap();
    }
    config
}

/// Whether pictures are expected of a case.
fn streams(case: &Value) -> bool {
    !matches!(case["expected"].as_str().unwrap(), "refused" | "words" | "reported")
}

fn watch(service: &Service, id: &str, case: &Value) -> Output {
    service.until_can_be_read(id);
    let count = case["frames"].to_string();
    let patience = if streams(case) { PATIENCE } else { "1" };
    let reader = service.watch(id, &["--md5", "--count", &count, "--timeout", patience]);
    reader.wait_with_output().unwrap()
}

/// Waits for the state or reason of a case without pictures; false if it does not come.
fn is_reported(service: &Service, id: &str, case: &Value) -> bool {
    let words = case["words"].as_str().unwrap();
    let wanted = |camera: &Value| match case["expected"].as_str().unwrap() {
        "refused" => camera["state"] == "refused",
        "words" => camera["reason"].as_str().is_some_and(|reason| reason.contains(words)),
        // While it connects, a reason can be about the service: its shard is starting.
        "reported" => {
            (camera["reason"] != "" && camera["state"] != "connecting")
                || camera["exported"].as_u64() > Some(0)
        }
        _ => true,
    };
    service.comes_to(id, REPORTED_WITHIN, wanted)
}

impl Seen<'_> {
    /// Descriptions of everything that is not as expected.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let number = |value: &Value| value.as_u64().unwrap();
        let tries = number(&self.status["reconnects"]) + 1;
        let wrong_logins = number(&self.report["wrong_logins_in_all"]);
        if !streams(self.case) {
            if !self.frames.is_empty() && self.case["expected"] != "reported" {
                faults.push(format!("{} frames", self.frames.len()));
            }
            if !self.reported {
                faults.push(format!("no such reason: {}", self.case["expected"]));
            }
            if wrong_logins > tries {
                faults.push(format!("{wrong_logins} wrong logins in {tries} tries"));
            }
            return faults;
        }
        if wrong_logins > 0 {
            faults.push(format!("{wrong_logins} wrong logins with the right password"));
        }
        if self.case["lasts"] == true && tries > 1 {
            faults.push(format!("the session ended {} times", tries - 1));
        }
        let plays = self.case["plays"].as_str().unwrap();
        let client = &self.status["stream"]["client"];
        if !plays.is_empty() && self.case["client"] == "auto" && client != plays {
            let why = &self.status["stream"]["client_why"];
            faults.push(format!("{client} plays it, not {plays}: {why}"));
        }
        self.pictures(&mut faults);
        if self.case["steady"] == true {
            self.steadiness(&mut faults);
        }
        if self.case["keeps_up"] == true {
            let overload = number(&self.status["dropped"]["overload"]);
            if overload > 0 {
                let what = "pictures dropped as overload, with nothing overloaded";
                faults.push(format!("{overload} {what}"));
            }
        }
        if self.case["recorded"] == true {
            self.recorded(&mut faults);
        }
        faults
    }

    fn right(&self) -> Vec<&str> {
        self.case["md5s"].as_array().unwrap().iter().map(|md5| md5.as_str().unwrap()).collect()
    }

    /// Checks that every frame is exact, or marked where that is expected.
    fn pictures(&self, faults: &mut Vec<String>) {
        let right: HashSet<&str> = self.right().into_iter().collect();
        let wanted = self.case["frames"].as_u64().unwrap();
        if (self.frames.len() as u64) < wanted {
            faults.push(format!("{} frames of {wanted}", self.frames.len()));
        }
        let is_right = |frame: &&Value| right.contains(frame["md5"].as_str().unwrap());
        let is_marked = |frame: &&Value| frame["after_loss"] == "yes" || frame["corrupt"] == true;
        let wrong: Vec<_> = self.frames.iter().filter(|frame| !is_right(frame)).collect();
        // FFmpeg's client can't detect losses, and flags that; a wrong picture from it still counts as
        // wrong.
        let unmarked = wrong.iter().filter(|&frame| !is_marked(frame)).count();
        if unmarked > 0 {
            faults.push(format!(
                "{unmarked} of {} frames are wrong and not marked",
                self.frames.len()
            ));
        }
        if self.case["expected"] == "right" {
            if wrong.len() > unmarked {
                faults.push(format!("{} frames are wrong, though marked", wrong.len() - unmarked));
            }
            let marked = self.frames.iter().filter(is_marked).count();
            if marked * 2 > self.frames.len() {
                faults.push(format!("{marked} of {} frames are marked", self.frames.len()));
            }
        }
    }

    /// Checks that no picture is delayed.
    fn steadiness(&self, faults: &mut Vec<String>) {
        let right = self.right();
        let sent: Vec<u64> = self.report["sent_ns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|at| at.as_u64().unwrap())
            .collect();
        for frame in &self.frames {
            let Some(place) = right.iter().position(|md5| frame["md5"] == *md5) else { continue };
            let published = frame["published_ns"].as_u64().unwrap();
            let sent = sent
                .iter()
                .skip(place)
                .step_by(right.len())
                .take_while(|&&at| at <= published)
                .last();
            let late = sent.map_or(Duration::ZERO, |sent| Duration::from_nanos(published - sent));
            if late > HELD_UP {
                faults.push(format!("a picture was published {late:?} after it was sent"));
                return;
            }
        }
    }

    /// Checks that every recording decodes, one picture per packet, to what the camera sent, with
    /// rising times.
    fn recorded(&self, faults: &mut Vec<String>) {
        let right: HashSet<&str> = self.right().into_iter().collect();
        if self.recordings.is_empty() {
            faults.push("nothing was recorded".into());
        }
        for (number, file) in self.recordings.iter().enumerate() {
            let packets = packets(file);
            let pictures = decoded(file);
            let name = file.file_name().unwrap().display();
            let is_last = number + 1 == self.recordings.len();
            if self.case["segments"] == true && !is_last && packets.len() < LEAST_PACKETS {
                faults.push(format!("{name} has {} packets, less than a segment", packets.len()));
            }
            if packets.len() != pictures.len() {
                faults.push(format!(
                    "{} of {} packets of {name} decode",
                    pictures.len(),
                    packets.len()
                ));
            }
            let wrong = pictures.iter().filter(|md5| !right.contains(md5.as_str())).count();
            if wrong > 0 {
                faults.push(format!("{wrong} of {} pictures of {name} are wrong", pictures.len()));
            }
            let times: Vec<i64> = packets.iter().map(|line| presentation(line)).collect();
            let back = times.windows(2).filter(|pair| pair[1] <= pair[0]).count();
            if back > 0 {
                faults.push(format!("times of {name} do not rise, {back} times"));
            }
        }
    }

    /// Details for a message about a fault.
    fn words(&self) -> String {
        let Self { id, status, .. } = self;
        let (state, reason) = (&status["state"], &status["reason"]);
        format!("{id} is {state}, {reason}; dropped {}", status["dropped"])
    }
}

/// The third field of a line of framemd5.
fn presentation(line: &str) -> i64 {
    line.split(',').nth(2).unwrap().trim().parse().unwrap()
}

/// MD5 of each picture as NV12.
fn decoded(file: &Path) -> Vec<String> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-threads", "1", "-i"]).arg(file);
    command.args(["-fps_mode", "passthrough", "-pix_fmt", "nv12", "-f", "framemd5", "-"]);
    let text = run(&mut command);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().into()).collect()
}
