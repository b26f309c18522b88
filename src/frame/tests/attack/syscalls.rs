//! A writer that dies before each of its system calls in turn: from the first access to the export
//! directory, through growth and reuse of a ring, to the removal of the last file.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::Duration;

use vas_frame::{Frame, Nv12Image, OpenError, ReadError, Reader};

use super::part::{self, Part};
use super::rig::{PATIENCE, Scratch, camera, claim, epoch, is_right, open, options, publish, size};

/// The traced writer: a small ring, a larger one, a smaller one, a clean stop.
pub(crate) fn live(root: &Path) {
    // Not the main thread, whose end could not be distinguished from the process's.
    std::thread::scope(|scope| scope.spawn(|| live_traced(root)).join()).unwrap();
}

fn live_traced(root: &Path) {
    // SAFETY: this request takes no further argument; the parent expects to trace this thread.
    assert_eq!(unsafe { libc::ptrace(libc::PTRACE_TRACEME) }, 0);
    // SAFETY: `gettid` takes nothing.
    eprintln!("traced {}", unsafe { libc::gettid() });
    // SAFETY: stops this thread until the tracer goes on.
    unsafe { libc::raise(libc::SIGSTOP) };
    let mut export = claim(root).unwrap();
    let sizes = [(64, 48), (320, 240), (128, 64)];
    for (id, (width, height)) in (export.first_frame_id()..).zip(sizes) {
        let geometry = size(width, height);
        let mut writer = open(&mut export, geometry, options(4, Duration::ZERO)).unwrap();
        publish(&mut writer, id, epoch(&root.join("gate"))).unwrap();
    }
    drop(export);
    std::process::exit(0);
}

/// Starts a writer and kills it before its system call number `call`; `false` if it ended earlier.
fn dies_at(root: &Path, call: usize) -> bool {
    let mut part = Part::start(part::command("syscalls::live", root, &[]));
    let thread = part.number("traced") as libc::pid_t;
    let next_stop = || {
        let mut status = 0;
        // SAFETY: `status` is valid for writes.
        assert_eq!(unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL) }, thread);
        libc::WIFSTOPPED(status)
    };
    assert!(next_stop());
    // Two stops per call: before it and after it.
    for stop in 0..2 * call - 1 {
        // SAFETY: the thread is our tracee and stopped; the request takes no address and no signal.
        let resumed = unsafe { libc::ptrace(libc::PTRACE_SYSCALL, thread, 0, 0) };
        assert_eq!(resumed, 0, "{}", std::io::Error::last_os_error());
        if !next_stop() {
            assert!(stop > 100, "the writer made only {stop} stops");
            return false;
        }
    }
    part.process.kill().unwrap();
    // The tracer must reap the traced thread before its process can end.
    while next_stop() {}
    assert_eq!(part.ended().signal(), Some(libc::SIGKILL));
    true
}

/// Accepts only the errors that a reader may get after a writer's death.
fn check(read: Result<Frame, ReadError>) {
    match read {
        Ok(frame) => assert!(is_right(&frame, &mut Nv12Image::default())),
        Err(
            ReadError::NotYet { .. } | ReadError::TimedOut { .. } | ReadError::WriterGone { .. },
        ) => {}
        Err(error) => panic!("an attached reader got: {error}"),
    }
}

fn attach(place: &Scratch) -> Option<Reader> {
    match Reader::options().dir(place.root()).open(camera()) {
        Ok(reader) => Some(reader),
        Err(OpenError::NoCamera { .. } | OpenError::NoWriter { .. }) => None,
        Err(error) => panic!("open failed: {error}"),
    }
}

/// Reads the frame of a writer that took over.
fn follow(reader: &mut Reader, id: u64) {
    let start = std::time::Instant::now();
    loop {
        match reader.seek(id - 1).set_timeout(Duration::from_millis(100)).newer() {
            Ok(frame) => return assert!(is_right(&frame, &mut Nv12Image::default())),
            other => check(other),
        }
        assert!(start.elapsed() < PATIENCE, "the next writer was not followed");
    }
}

/// The next writer takes over the remaining files, and leaves none itself.
fn taken_over(place: &Scratch, readers: &mut [Reader]) {
    let mut export = claim(&place.root()).unwrap();
    let mode = |name: &str| place.root().join(name).metadata().unwrap().mode() & 0o7777;
    let mut writer = open(&mut export, size(64, 48), options(4, Duration::ZERO)).unwrap();
    let (id, epoch) = (export.first_frame_id(), epoch(&place.camera()));
    publish(&mut writer, id, epoch).unwrap();
    for (names, right) in [
        (&[""][..], 0o1750),
        (&["gate"], 0o750),
        (&["gate/readers", "gate/frame.meta", "gate/frame.data"], 0o640),
        (&["gate/.writer", ".admission"], 0o600),
    ] {
        names.iter().for_each(|name| assert_eq!(mode(name), right, "{name}"));
    }
    let left: Vec<_> = std::fs::read_dir(place.camera()).unwrap().flatten().collect();
    assert_eq!(left.len(), 4, "{left:?}");
    for reader in readers {
        follow(reader, id);
    }
    drop((writer, export));
    place.is_left_empty();
}

fn killed_before_each_call(after_a_crash: bool) {
    for call in 1.. {
        let place = Scratch::new();
        if after_a_crash {
            assert!(dies_at(&place.root(), 100));
        }
        let early = attach(&place);
        let died = dies_at(&place.root(), call);
        let mut readers: Vec<_> = early.into_iter().chain(attach(&place)).collect();
        readers
            .iter_mut()
            .for_each(|reader| check(reader.seek(0).set_timeout(Duration::ZERO).newer()));
        taken_over(&place, &mut readers);
        if !died {
            println!("killed before each of its {} system calls", call - 1);
            return;
        }
    }
}

#[test]
fn the_first_writer_killed_before_each_system_call() {
    killed_before_each_call(false);
}

#[test]
fn a_writer_that_takes_over_killed_before_each_system_call() {
    killed_before_each_call(true);
}
