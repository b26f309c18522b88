//! Contract V3, observed from outside: input, recorder, producer and encoder call FFmpeg with the same options and
//! make the same system calls, whether frames are exported and read or not; so does the decoder, where both runs
//! have one.
//!
//! A preloaded library (`rig/options.c`) records FFmpeg's options as its contexts hold them at each call; strace
//! records system calls. The test compares the sets of distinct requests: how often each occurs depends on the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use vas_tests::camera::Camera;
use vas_tests::clip::run;
use vas_tests::service::{Plan, Reader, Service, vas};

use crate::producer::{Transport, plain_clip};

/// The requests of each kind of thread.
type Asked = BTreeMap<String, BTreeSet<String>>;

/// The system calls that state what is done with files and sockets.
const CALLS: &str = "openat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,ftruncate,fallocate,fsync,\
                     fdatasync,socket,bind,connect,setsockopt,shutdown,listen,accept4";

/// The calls for sockets.
const SOCKET_CALLS: [&str; 4] = ["socket(", "bind(", "connect(", "setsockopt("];

/// Builds the preloaded library.
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

/// Plays a camera to a service that records and produces; returns the requests of its threads.
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
    // Threads have the program's name until they get their own.
    let program = vas().file_name().unwrap().to_str().unwrap().chars().take(15).collect::<String>();
    let mut asked = Asked::new();
    let mut note = |thread: &str, what: String| {
        // Only a camera's threads: others, started by FFmpeg or the service, have no camera in their name.
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
        // The supervisor opens the producers' sockets.
        if thread == program && SOCKET_CALLS.iter().any(|call| what.starts_with(call)) {
            note("vas:cam", what);
        } else {
            note(thread, what);
        }
    }
    asked
}

/// The thread's name and its request, from `PID<NAME> CALL(ARGUMENTS) = RESULT`.
fn call(line: &str) -> Option<(&str, String)> {
    let (_, rest) = line.split_once('<')?;
    let (thread, call) = rest.split_once("> ")?;
    // Resumed calls and signals have other forms.
    let (name, rest) = call.trim_start().split_once('(')?;
    if name.starts_with(['<', '-', '+']) {
        return None;
    }
    let end = rest.find(" <unfinished").or_else(|| rest.rfind(") ")).unwrap_or(rest.len());
    let arguments = rest[..end].trim_end_matches(')');
    // The number of a descriptor is arbitrary. The allocator's look-ups do not count.
    if arguments.contains("\"/proc/sys/") || arguments.contains("\"/sys/devices/") {
        return None;
    }
    let (first, others) = arguments.split_once(", ").unwrap_or((arguments, ""));
    let arguments = match first.parse::<u32>() {
        Ok(_) => others,
        Err(_) => arguments,
    };
    // So are ports, times in the names of recordings, and unnamed addresses.
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

/// Removes digits from the paths of files, and the suffix that distinguishes two of one second.
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
fn input_recorder_and_producer_make_the_same_requests_with_and_without_export() {
    for (client, video) in [("retina", "copy"), ("ffmpeg", "h264")] {
        let (on, off) = (asked("true", client, video), asked("false", client, video));
        let jobs = match video {
            "copy" => vec!["dem", "rec", "vas"],
            _ => vec!["dec", "dem", "enc", "rec", "vas"],
        };
        assert_eq!(off.keys().collect::<Vec<_>>(), jobs, "{off:#?}");
        for job in jobs {
            let differ: Vec<_> = on[job].symmetric_difference(&off[job]).collect();
            assert!(differ.is_empty(), "{client}, {video}: {job} differs: {differ:#?}");
        }
        let said = |job: &str, words: &str| off[job].iter().any(|one| one.contains(words));
        // The calls that matter were recorded; otherwise the comparison proves nothing.
        assert!(said("rec", "avformat_write_header mp4") && said("rec", "openat("), "{off:#?}");
        assert!(said("dem", "setsockopt(") && said("dem", "connect("), "{off:#?}");
        assert!(said("vas", "bind("), "the producer's socket: {off:#?}");
        match video {
            "copy" => assert!(!off.contains_key("dec") && !on["dec"].is_empty(), "{on:#?}"),
            _ => assert!(said("enc", "avcodec_open2 libx264") && said("dec", "avcodec_open2 h264")),
        }
    }
}
