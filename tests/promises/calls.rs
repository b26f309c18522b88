//! Contract V3, by what is seen from outside: FFmpeg is called with the same options, and the kernel asked for the
//! same, by input, recorder, producer and encoder, whether frames are exported and read or not; and by the decoder,
//! where both runs have one.
//!
//! FFmpeg's options are written down by a library that is preloaded (`rig/options.c`), as its contexts hold them when
//! it is called; system calls by strace. What is compared is what was asked for, each thing once: how often depends on
//! the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use vas_tests::camera::Camera;
use vas_tests::clip::run;
use vas_tests::service::{Plan, Reader, Service, vas};

use crate::producer::{Transport, plain_clip};

/// What was asked for, by whom: a thread's job.
type Asked = BTreeMap<String, BTreeSet<String>>;

/// The calls that say what is wanted of files and sockets.
const CALLS: &str = "openat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,ftruncate,fallocate,fsync,\
                     fdatasync,socket,bind,connect,setsockopt,shutdown,listen,accept4";

/// Those of sockets.
const SOCKET_CALLS: [&str; 4] = ["socket(", "bind(", "connect(", "setsockopt("];

/// Builds the library.
fn options_library(folder: &Path) -> PathBuf {
    let library = folder.join("options.so");
    let flags = run(Command::new("pkg-config").args(["--cflags", "libavformat", "libavcodec"]));
    run(Command::new("cc")
        .args(["-O1", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/rig/options.c"))
        .args(flags.split_whitespace())
        .arg("-ldl"));
    library
}

/// Plays a camera to a service that records and produces; what its threads asked for.
fn asked(flag: &str, client: &str, video: &str) -> Asked {
    let work = tempfile::tempdir().unwrap();
    let (options, calls) = (work.path().join("options"), work.path().join("calls"));
    let library = options_library(work.path());
    let camera = Camera::start(&[&plain_clip()], ",loop");
    let transport = Transport::new();
    let recordings = tempfile::tempdir().unwrap();
    let cameras = format!(
        "[record]\ndir = {:?}\nsegment = \"1s\"\n[[camera]]\nid = \"cam\"\nurl = {:?}\ntransport = \"udp\"\n\
         rtsp_client = {client:?}\n[camera.producer]\nrtp = \"127.0.0.1:{}\"\nvideo = {video:?}\n",
        recordings.path(),
        camera.url(),
        transport.port,
    );
    let variables =
        [("LD_PRELOAD", library.to_str().unwrap()), ("VAS_OPTIONS_LOG", options.to_str().unwrap())];
    let strace = ["strace", "-f", "-qq", "-Y", "-s", "64", "-o", calls.to_str().unwrap()];
    let filter = format!("trace={CALLS}");
    let tracer = [&strace[..], &["-e", &filter]].concat();
    let mut service = Service::launch(Plan {
        flag,
        cameras: &cameras,
        variables: &variables,
        tracer: &tracer,
        ..Plan::default()
    });
    let _reader = (flag == "true").then(|| {
        service.until_exported("cam");
        Reader(service.watch("cam", &["--timeout", "3600"]))
    });
    service.until("files, packets and, if exported, frames", |camera| {
        camera["recorder"]["files"].as_u64() >= Some(2)
            && camera["producer"]["pictures"].as_u64() >= Some(20)
            && (flag == "false" || camera["exported"].as_u64() >= Some(20))
    });
    service.stop_traced();
    let plain = |text: &str| {
        let folders = [recordings.path(), work.path(), service.work(), service.export_home()];
        folders
            .iter()
            .fold(text.to_owned(), |text, folder| text.replace(folder.to_str().unwrap(), "FOLDER"))
    };
    // A process has its program's name before its threads have theirs.
    let program = vas().file_name().unwrap().to_str().unwrap().chars().take(15).collect::<String>();
    let mut asked = Asked::new();
    let mut note = |thread: &str, what: String| {
        // The recorder's, the producer's and so on; a thread that FFmpeg or the service starts has no camera.
        if let Some(job) = thread.strip_suffix(":cam") {
            asked.entry(job.to_owned()).or_default().insert(what);
        }
    };
    for line in plain(&std::fs::read_to_string(options).unwrap()).lines() {
        let (thread, what) = line.split_once(' ').unwrap();
        note(thread, without_ports(what));
    }
    for line in plain(&std::fs::read_to_string(calls).unwrap()).lines() {
        let Some((thread, what)) = call(line) else { continue };
        // The supervisor has the producers' sockets.
        if thread == program && SOCKET_CALLS.iter().any(|call| what.starts_with(call)) {
            note("vas:cam", what);
        } else {
            note(thread, what);
        }
    }
    asked
}

/// The thread's name and what it asked for, of `PID<NAME> CALL(ARGUMENTS) = RESULT`.
fn call(line: &str) -> Option<(&str, String)> {
    let (_, rest) = line.split_once('<')?;
    let (thread, call) = rest.split_once("> ")?;
    // What is said of it a second time, and of signals.
    let (name, rest) = call.trim_start().split_once('(')?;
    if name.starts_with(['<', '-', '+']) {
        return None;
    }
    let end = rest.find(" <unfinished").or_else(|| rest.rfind(") ")).unwrap_or(rest.len());
    let arguments = rest[..end].trim_end_matches(')');
    // A descriptor's number is chance.
    // What the allocator looks up is none of ours.
    if arguments.contains("\"/proc/sys/") || arguments.contains("\"/sys/devices/") {
        return None;
    }
    let (first, others) = arguments.split_once(", ").unwrap_or((arguments, ""));
    let arguments = match first.parse::<u32>() {
        Ok(_) => others,
        Err(_) => arguments,
    };
    // So are ports, times in the names of recordings, and the addresses of what has neither.
    Some((thread, format!("{name}({})", without_ports(&without_times(arguments)))))
}

fn without_ports(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = ["127.0.0.1:", "port=htons("]
        .iter()
        .filter_map(|mark| rest.find(mark).map(|at| at + mark.len()))
        .min()
    {
        plain += &rest[..at];
        rest = rest[at..].trim_start_matches(|c: char| c.is_ascii_digit());
    }
    plain + rest
}

/// Digits in the paths of files, and what tells two of one second apart.
fn without_times(arguments: &str) -> String {
    match arguments.split_once("FOLDER/") {
        None => arguments.to_owned(),
        Some((before, path)) => {
            let path: String = path.chars().filter(|c| !c.is_ascii_digit() && *c != '_').collect();
            format!("{before}FOLDER/{path}")
        }
    }
}

#[test]
fn input_recorder_and_producer_ask_for_the_same_with_export_and_without() {
    for (client, video) in [("retina", "copy"), ("ffmpeg", "h264")] {
        let (on, off) = (asked("true", client, video), asked("false", client, video));
        let jobs = match video {
            "copy" => vec!["dem", "rec", "vas"],
            _ => vec!["dec", "dem", "enc", "rec", "vas"],
        };
        assert_eq!(off.keys().collect::<Vec<_>>(), jobs, "{off:#?}");
        for job in jobs {
            let differ: Vec<_> = on[job].symmetric_difference(&off[job]).collect();
            assert!(differ.is_empty(), "{client}, {video}: {job} asks otherwise: {differ:#?}");
        }
        let said = |job: &str, words: &str| off[job].iter().any(|one| one.contains(words));
        // What is looked for was seen, or nothing is shown.
        assert!(said("rec", "avformat_write_header mp4") && said("rec", "openat("), "{off:#?}");
        assert!(said("dem", "setsockopt(") && said("dem", "connect("), "{off:#?}");
        assert!(said("vas", "bind("), "the producer's socket: {off:#?}");
        match video {
            "copy" => assert!(!off.contains_key("dec") && !on["dec"].is_empty(), "{on:#?}"),
            _ => assert!(said("enc", "avcodec_open2 libx264") && said("dec", "avcodec_open2 h264")),
        }
    }
}
