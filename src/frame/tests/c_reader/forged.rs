//! States of an export that a real writer shows only briefly or never: the files are made by hand.

use std::fs::{File, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use vas_frame::layout::{ENTRY, Field, HEADER};
use vas_frame::{ReadError, Reader, WriterEnd};

use crate::build::Build;
use crate::driver::CReader;
use crate::golden::golden;
use crate::rig::camera;

const LONG_MS: u32 = 60_000;
const LONG: Duration = Duration::from_secs(60);
const LIVE: u64 = 1;
const SUPERSEDED: u64 = 2;
const STOPPED: u64 = 3;

/// The golden file as a camera's export: two slots, the first with frame 10, the second with frame 20,
/// the newest.
pub(crate) struct Forged {
    dir: tempfile::TempDir,
    meta: File,
}

impl Forged {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        std::fs::create_dir(dir.path().join("gate")).unwrap();
        let mut forged = Self { meta: File::create(dir.path().join("gate/readers")).unwrap(), dir };
        forged.make_files(true);
        forged
    }

    /// Creates both files afresh, locked as by a writer or not.
    fn make_files(&mut self, locked: bool) {
        std::fs::write(self.path("next"), golden()).unwrap();
        let data = File::create(self.path("frame.data")).unwrap();
        data.set_len(2 * 1_622_016).unwrap();
        self.meta = File::options().read(true).write(true).open(self.path("next")).unwrap();
        self.set_header("data_inode", data.metadata().unwrap().ino());
        self.set_header("frame_id", 20);
        for (slot, id) in [(0, 10), (1, 20)] {
            self.set_entry(slot, "frame_id", id);
            self.set_sides(slot, 1366, 767);
            // Published long before any reader attached.
            self.set_entry(slot, "published_ns", id);
        }
        self.set_header("resumed_frame_id", 0);
        if locked {
            self.lock();
        }
        std::fs::rename(self.path("next"), self.path("frame.meta")).unwrap();
    }

    /// Sets the picture size to 66 x 31, for tests that read very many.
    pub(crate) fn shrink(&self) {
        self.set_sides(0, 66, 31);
        self.set_sides(1, 66, 31);
        let layout = [("stride", 128), ("uv_offset", 128 * 31), ("slot_stride", 8192)];
        for (name, value) in [("width", 66), ("height", 31)].into_iter().chain(layout) {
            self.set_header(name, value);
        }
    }

    pub(crate) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("gate").join(name)
    }

    pub(crate) fn meta(&self) -> &File {
        &self.meta
    }

    fn set_mode(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    fn lock(&self) {
        self.set_lock(libc::F_WRLCK);
    }

    /// Releases the lock, as the kernel does when the writer dies.
    fn unlock(&self) {
        self.set_lock(libc::F_UNLCK);
    }

    fn set_lock(&self, kind: i32) {
        let lock = libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        // SAFETY: the descriptor is open, and the command reads the `flock` that it is given.
        let done =
            unsafe { libc::fcntl(self.meta.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
        assert_eq!(done, 0);
    }

    /// Publishes a frame in the slot of the older one.
    fn publish(&self, id: u64) {
        self.set_entry(0, "frame_id", id);
        self.set_header("newest_slot", 0);
        self.set_header("frame_id", id);
    }

    /// Sets an entry's picture size, with content within it.
    fn set_sides(&self, slot: usize, width: u64, height: u64) {
        self.set_entry(slot, "width", width);
        self.set_entry(slot, "height", height);
        self.set_entry(slot, "content_x", 1);
        self.set_entry(slot, "content_y", 2);
        self.set_entry(slot, "content_width", width - 1);
        self.set_entry(slot, "content_height", height - 2);
    }

    fn set(&self, table: &[Field], base: usize, name: &str, value: u64) {
        let field = table.iter().find(|field| field.name == name).unwrap();
        let bytes = &value.to_le_bytes()[..field.size];
        self.meta.write_all_at(bytes, (base + field.offset) as u64).unwrap();
    }

    fn set_header(&self, name: &str, value: u64) {
        self.set(HEADER, 0, name, value);
    }

    fn set_entry(&self, slot: usize, name: &str, value: u64) {
        self.set(ENTRY, 512 + 128 * slot, name, value);
    }
}

#[test]
fn the_golden_file_is_valid_and_a_dead_writers_pictures_are_refused() {
    let forged = Forged::new();
    forged.unlock();
    let rust = Reader::options().dir(forged.dir()).open(camera()).unwrap_err();
    for build in Build::ALL {
        let mut c = CReader::start(build);
        for state in [LIVE, STOPPED] {
            forged.set_header("state", state);
            assert_eq!(c.attach(forged.dir()), format!("NO_WRITER {rust}"));
        }
        // Between two epochs: attach and wait.
        forged.set_header("state", SUPERSEDED);
        assert_eq!(c.attach(forged.dir()), "OK");
        assert_eq!(c.id("latest", &[&0]), Err("NOT_YET".into()));
        forged.set_header("state", LIVE);
    }
}

#[test]
fn only_current_frames_are_returned() {
    for build in Build::ALL {
        let forged = Forged::new();
        let mut c = CReader::open(build, forged.dir());
        assert_eq!(c.id("latest", &[&0]), Ok(20), "part of an unbroken run");
        assert_eq!(c.id("next", &[&0, &0, &0]), Ok(10));
        forged.set_header("resumed_frame_id", 15);
        assert_eq!(c.id("next", &[&0, &0, &0]), Ok(20), "not the one from before the pause");
        forged.set_header("resumed_frame_id", 21);
        assert_eq!(c.id("latest", &[&0]), Err("NOT_YET".into()));
        assert_eq!(c.ask("newer_if", &[&0, &0, &0, &1]), "TIMED_OUT judged");
        forged.set_header("resumed_frame_id", 0);
        forged.set_header("copying", 0);
        assert_eq!(c.id("latest", &[&0]), Err("NOT_YET".into()));
        forged.set_entry(1, "published_ns", vas_frame::monotonic_ns());
        assert_eq!(c.id("latest", &[&0]), Ok(20), "published since the reader attached");
    }
}

#[test]
fn a_death_is_distinguished_from_a_quiet_camera_and_a_stop() {
    for build in Build::ALL {
        let mut forged = Forged::new();
        let mut c = CReader::open(build, forged.dir());
        assert_eq!(c.id("newer", &[&0, &20, &60]), Err("TIMED_OUT".into()));
        c.tell("newer", &[&0, &20, &LONG_MS]);
        forged.unlock();
        let died = "WRITER_DIED the writer of camera gate is gone (died); a later call follows the next one";
        assert_eq!(c.answer(), died);
        assert_eq!(c.ask("latest", &[&0]), died);
        // The next writer, whose files hold only frames from before the death.
        forged.make_files(true);
        forged.set_header("copying", 0);
        assert_eq!(c.id("latest", &[&0]), Err("NOT_YET".into()));
        forged.set_header("state", STOPPED);
        forged.unlock();
        assert_eq!(c.id("newer", &[&0, &20, &LONG_MS]), Err("WRITER_STOPPED".into()));
    }
}

/// A writer that reuses its pages, or waits for memory, holds no lock between two epochs.
#[test]
fn a_writer_between_two_epochs_is_not_dead() {
    for build in Build::ALL {
        let mut forged = Forged::new();
        let mut c = CReader::open(build, forged.dir());
        forged.set_header("state", SUPERSEDED);
        forged.unlock();
        assert_eq!(c.id("newer", &[&0, &20, &50]), Err("TIMED_OUT".into()));
        forged.make_files(true);
        assert_eq!(c.id("newer", &[&0, &0, &LONG_MS]), Ok(20));
        // But it counts as dead if the next files are a dead writer's, or missing.
        forged.set_header("state", SUPERSEDED);
        forged.make_files(false);
        assert_eq!(c.id("newer", &[&0, &20, &LONG_MS]), Err("WRITER_DIED".into()));
        forged.lock();
        forged.publish(21);
        assert_eq!(c.id("newer", &[&0, &20, &LONG_MS]), Ok(21));
        forged.set_header("state", SUPERSEDED);
        std::fs::remove_dir_all(forged.path("")).unwrap();
        assert_eq!(c.id("newer", &[&0, &21, &LONG_MS]), Err("WRITER_STOPPED".into()));
    }
}

/// A writer that dies while it writes the head leaves whole frames: no reader loses them.
#[test]
fn a_dead_writers_last_frames_are_returned() {
    for build in Build::ALL {
        let forged = Forged::new();
        let mut c = CReader::open(build, forged.dir());
        forged.set_header("head_sequence", 7);
        assert_eq!(c.id("next", &[&0, &0, &0]), Err("TIMED_OUT".into()), "the head is odd");
        forged.unlock();
        assert_eq!(c.id("next", &[&0, &0, &LONG_MS]), Ok(10));
        assert_eq!(c.id("next", &[&0, &10, &LONG_MS]), Ok(20));
        assert_eq!(c.id("next", &[&0, &20, &LONG_MS]), Err("WRITER_DIED".into()));
    }
}

/// The same for the reader in Rust, with the head odd, or even but without the last frame.
#[test]
fn a_dead_writers_last_frames_are_returned_in_rust() {
    for (name, value) in [("head_sequence", 7), ("frame_id", 10)] {
        let forged = Forged::new();
        let mut reader = Reader::options().dir(forged.dir()).open(camera()).unwrap();
        forged.set_header(name, value);
        assert!(reader.seek(10).set_timeout(Duration::ZERO).next().is_err(), "the head is odd");
        forged.unlock();
        for (after, id) in [(0, 10), (10, 20)] {
            let frame = reader.seek(after).set_timeout(LONG).next().unwrap();
            assert_eq!(frame.meta().frame_id, id, "{name}");
        }
        let error = reader.seek(20).set_timeout(LONG).next().unwrap_err();
        assert!(matches!(error, ReadError::WriterGone { how: WriterEnd::Died, .. }), "{error}");
    }
}

/// The same for the example in Python, which reads while the writer is alive until it has frame 10.
#[test]
fn a_dead_writers_last_frames_are_returned_in_python() {
    let forged = Forged::new();
    let mut python = Command::new("/usr/bin/python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/examples/reader.py"))
        .args(["gate", "--timeout", "60", "--count", "2", "--dir"])
        .arg(forged.dir())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(python.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("\"frame_id\": 10,"));
    // It may already have frame 20; then it has lost nothing either.
    forged.set_header("head_sequence", 7);
    forged.unlock();
    assert!(lines.next().unwrap().unwrap().contains("\"frame_id\": 20,"));
    assert!(python.wait().unwrap().success());
}

/// A writer creates its directory private and opens it to readers a moment later. A reader that had access
/// before waits, as in Rust (`attack::users`); one that had none gets an error.
#[test]
fn readers_wait_for_a_directory_that_is_still_private() {
    const STRANGER: u32 = 54_321;
    for build in [Build::Gcc, Build::Clang] {
        let mut forged = Forged::new();
        forged.set_mode("..", 0o755);
        // Mode 0700 does not keep the owner out, so the reader must be another user, which takes
        // root. SAFETY: takes no arguments and always succeeds.
        let is_root = unsafe { libc::geteuid() } == 0;
        let closed = if is_root { 0o700 } else { 0 };
        let start =
            || if is_root { CReader::start_as(build, STRANGER) } else { CReader::start(build) };
        let mut c = start();
        assert_eq!(c.attach(forged.dir()), "OK");
        assert_eq!(c.id("newer", &[&0, &0, &0]), Ok(20));
        // Between two epochs.
        forged.set_header("state", SUPERSEDED);
        forged.set_mode("", closed);
        assert_eq!(c.id("newer", &[&0, &20, &50]), Err("TIMED_OUT".into()));
        assert_eq!(c.id("latest", &[&0]), Ok(20), "from the ended epoch");
        let message = start().attach(forged.dir());
        assert!(message.starts_with("SYSTEM_ERROR can't open "), "{message}");
        forged.set_mode("", 0o755);
        forged.make_files(true);
        forged.publish(21);
        assert_eq!(c.id("newer", &[&0, &20, &LONG_MS]), Ok(21));
        // After a death.
        forged.unlock();
        forged.set_mode("", closed);
        assert_eq!(c.id("newer", &[&0, &21, &LONG_MS]), Err("WRITER_DIED".into()));
        assert_eq!(c.id("newer", &[&0, &21, &50]), Err("WRITER_DIED".into()), "reported again");
        c.tell("newer", &[&0, &21, &LONG_MS]);
        forged.set_mode("", 0o700);
        forged.make_files(true);
        forged.publish(22);
        forged.set_mode("", 0o755);
        assert!(c.answer().starts_with("OK frame_id=22 "));
    }
}

#[test]
fn the_data_of_another_epoch_is_never_used() {
    for build in Build::ALL {
        let mut forged = Forged::new();
        let mut c = CReader::start(build);
        let inode = std::fs::metadata(forged.path("frame.data")).unwrap().ino();
        forged.set_header("data_inode", inode + 1);
        assert_eq!(c.attach(forged.dir()), "OK", "occurs in an ordinary change of epoch");
        assert_eq!(c.id("newer", &[&0, &0, &20]), Err("NOT_YET".into()));
        forged.set_header("data_inode", inode);
        assert_eq!(c.id("newer", &[&0, &0, &LONG_MS]), Ok(20));
        // The same while the reader waits.
        forged.set_header("state", SUPERSEDED);
        c.tell("next", &[&0, &20, &LONG_MS]);
        forged.make_files(true);
        forged.publish(21);
        assert!(c.answer().starts_with("OK frame_id=21 "));
    }
}
