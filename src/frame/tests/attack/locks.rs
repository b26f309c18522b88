//! Readers that take and hold every lock that they can.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vas_frame::{Demanded, Nv12Image, ReadError, Reader};

use super::part::{self, Part};
use super::rig::{
    PATIENCE, STRANGER, Scratch, claim, epoch, is_right, is_root, open, options, publish, size,
};

/// A reader that locks every file that readers may open, and keeps all locks.
pub(crate) fn grab(root: &Path) {
    let (mut held, mut known) = (Vec::new(), BTreeSet::new());
    loop {
        let before = known.len();
        for path in [root.to_owned(), root.join("gate")].into_iter().flat_map(within) {
            let Ok(file) = File::open(&path) else { continue };
            let stat = file.metadata().unwrap();
            // Only what a reader in the group may open, whichever user runs this.
            if stat.mode() & 0o040 == 0 || !known.insert(stat.ino()) {
                continue;
            }
            grab_file(&file);
            held.push(file);
        }
        if known.len() > before {
            eprintln!("holding {}", known.len());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A directory and what is in it.
fn within(dir: PathBuf) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
    let paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    [vec![dir], paths].concat()
}

fn grab_file(file: &File) {
    let fd = file.as_raw_fd();
    // SAFETY: the descriptor is open; the request takes no pointer.
    unsafe { libc::flock(fd, libc::LOCK_EX | libc::LOCK_NB) };
    // SAFETY: as above.
    unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK) };
    for command in [libc::F_OFD_SETLK, libc::F_SETLK] {
        for kind in [libc::F_WRLCK, libc::F_RDLCK] {
            lock(fd, command, kind, 0, 0);
            // Beyond the end too, in ranges that the kernel can't merge.
            (0..500).for_each(|i| lock(fd, command, kind, (1 << 20) + 2 * i, 1));
        }
    }
}

fn lock(fd: i32, command: i32, kind: i32, start: i64, len: i64) {
    let mut lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: len,
        l_pid: 0,
    };
    // SAFETY: the descriptor is open and the command reads one `struct flock`.
    unsafe { libc::fcntl(fd, command, &raw mut lock) };
}

/// Starts a grabber, as another user if possible, and waits until it holds everything.
fn grabber(root: &Path, files: u64) -> Part {
    let mut command = part::command("locks::grab", root, &[]);
    if is_root("running a reader as another user") {
        // In the writer's group, which is root's here.
        command.uid(STRANGER).gid(0);
    }
    let mut grabber = Part::start(command);
    while grabber.number("holding") < files {}
    grabber
}

/// Publishes in one epoch and reads with an old reader and a new one.
fn goes_on(place: &Scratch, export: &mut vas_frame::CameraExport, side: u32, old: &mut Reader) {
    let mut writer = open(export, size(side, side), options(4, Duration::ZERO)).unwrap();
    let id = vas_frame::monotonic_ns().max(export.first_frame_id());
    publish(&mut writer, id, epoch(&place.camera())).unwrap();
    let start = std::time::Instant::now();
    for reader in [old, &mut place.reader()] {
        loop {
            match reader.seek(id - 1).set_timeout(Duration::from_millis(50)).newer() {
                Ok(frame) => break assert!(is_right(&frame, &mut Nv12Image::default())),
                Err(ReadError::Open(error)) => panic!("a reader was locked out: {error}"),
                Err(_) => assert!(start.elapsed() < PATIENCE, "a reader got no frame in time"),
            }
        }
    }
}

#[test]
fn readers_that_hold_every_lock_stop_no_writer_and_no_reader() {
    let place = Scratch::new();
    let root = place.root();
    let mut first = Part::start(part::command("crash::write", &root, &["1"]));
    assert_eq!(first.word(), "up");
    first.number("claimed");
    // At least both directories, `readers`, meta and data.
    let mut grabbers = [grabber(&root, 5), grabber(&root, 5)];
    let mut reader = place.reader();
    drop(first);

    // Further writers, rings that grow and shrink, and each of their files locked in turn.
    for _life in 0..3 {
        let mut export = claim(&root).unwrap();
        for side in [64, 256, 128, 512] {
            goes_on(&place, &mut export, side, &mut reader);
            assert!(export.housekeep());
            grabbers.iter_mut().for_each(|grabber| {
                grabber.number("holding");
            });
        }
        assert!(export.demanded() != Demanded::Nothing);
    }
    place.is_left_empty();
    assert!(grabbers.iter_mut().all(|grabber| grabber.process.try_wait().unwrap().is_none()));
}
