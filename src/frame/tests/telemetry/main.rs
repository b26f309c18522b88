//! Reader telemetry: what readers state about themselves, and what the service makes of a directory that anybody may
//! have filled.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use vas_frame::telemetry::{FILE_SIZE, Scanner, parse};
use vas_frame::{
    Access, CameraExport, CameraId, Color, ExportRoot, Geometry, MaxFps, Notifier, Nv12Image,
    OpenRing, PublishMeta, Reader, ReaderOptions, RingOptions, RingWriter, monotonic_ns,
};
use vas_malloc_count::count;

/// An export with one camera, and a readers directory.
struct Rig {
    writer: RingWriter,
    _export: CameraExport,
    dir: tempfile::TempDir,
    readers: tempfile::TempDir,
    last: u64,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let root = Arc::new(ExportRoot::open(dir.path(), Access::default()).unwrap());
        let notifier = Arc::new(Notifier::start().unwrap());
        let camera = CameraId::new("gate").unwrap();
        let mut export = CameraExport::claim(&root, &camera, &notifier).unwrap();
        let geometry = Geometry::new(16, 16, Color::default(), 8).unwrap();
        let options = RingOptions { slots: 2, lease: Duration::ZERO, frame_rate: None };
        let OpenRing::Ready(mut writer) = export.open_ring(geometry, options).unwrap() else {
            panic!("there is no lease to wait for")
        };
        writer.resume(0);
        let readers = tempfile::tempdir_in("/dev/shm").unwrap();
        Self { writer, _export: export, dir, readers, last: 0 }
    }

    fn options(&self) -> ReaderOptions {
        let options = Reader::options().dir(self.dir.path()).timeout(Duration::ZERO);
        options.readers_dir(self.readers.path()).name("people")
    }

    fn publish(&mut self) {
        self.last += 1;
        let arrival_ns = monotonic_ns();
        let slot = self.writer.claim(arrival_ns).unwrap();
        slot.publish(&PublishMeta { frame_id: self.last, arrival_ns, ..PublishMeta::default() });
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.readers.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    fn scanner(&self) -> Scanner {
        Scanner::new(self.readers.path())
    }
}

#[test]
fn a_reader_states_what_it_does_and_leaves_nothing() {
    let mut rig = Rig::new();
    let mut scanner = rig.scanner();
    let mut reader = rig.options().max_rate(MaxFps::new(25, 2).unwrap()).open("gate").unwrap();
    let mut image = Nv12Image::default();
    rig.publish();
    let frame = reader.newer().unwrap();
    // Again the same frame, which counts once.
    reader.latest().unwrap();
    // Both slots are overwritten, and the copy fails however often it is tried.
    (0..2).for_each(|_| rig.publish());
    for _ in 0..3 {
        frame.copy_if_valid(&mut image).unwrap_err();
    }
    reader.newer().unwrap().copy_if_valid(&mut image).unwrap();

    let scan = scanner.scan().unwrap();
    let [(uid, report)] = &scan.readers[..] else { panic!("{scan:?}") };
    // SAFETY: reads this process's user.
    assert_eq!(*uid, unsafe { libc::geteuid() });
    assert_eq!((report.camera.as_str(), report.name.as_str()), ("gate", "people"));
    assert!(report.program.starts_with("telemetry"), "{}", report.program);
    assert_eq!((report.pid, report.max_fps), (std::process::id(), MaxFps::new(25, 2)));
    assert_eq!((report.taken, report.overwritten, report.last_frame_id), (2, 1, 3));
    assert_eq!((report.recent.taken, report.recent.overwritten), (2, 1));
    assert!(report.recent.p50_ms.unwrap() <= report.recent.p99_ms.unwrap());
    assert!(report.last_taken_ns.unwrap() >= report.opened_ns);

    drop(reader);
    assert_eq!(rig.files(), Vec::<PathBuf>::new());
    assert_eq!(scanner.scan().unwrap().readers, []);
    // The frame outlives its reader.
    frame.copy_if_valid(&mut image).unwrap_err();
}

#[test]
fn frames_that_the_ring_lapped_are_missed_and_frames_left_out_are_not() {
    let mut rig = Rig::new();
    let mut scanner = rig.scanner();
    let mut reader = rig.options().open("gate").unwrap();
    let mut missed = || {
        let report = scanner.scan().unwrap().readers.remove(0).1;
        assert_eq!(report.missed, report.recent.missed);
        report.missed
    };
    rig.publish();
    assert_eq!((reader.next().unwrap().id(), missed()), (1, 0));
    // A ring of two slots: 2 and 3 are overwritten by 4 and 5.
    (0..4).for_each(|_| rig.publish());
    assert_eq!((reader.next().unwrap().id(), missed()), (4, 2));
    assert_eq!((reader.next().unwrap().id(), missed()), (5, 2));
    // A caller that wants the newest misses nothing.
    (0..4).for_each(|_| rig.publish());
    assert_eq!((reader.newer().unwrap().id(), missed()), (9, 2));
    // 10 to 19 are not published.
    rig.writer.pause();
    rig.last = 19;
    rig.writer.resume(20);
    rig.publish();
    assert_eq!((reader.next().unwrap().id(), missed()), (20, 2));
    // Nor are 21 to 29, but 30 is, and lapped.
    rig.writer.pause();
    rig.last = 29;
    rig.writer.resume(30);
    (0..3).for_each(|_| rig.publish());
    assert_eq!((reader.next().unwrap().id(), missed()), (31, 3));
    // Who moves the cursor expects no frame.
    (0..5).for_each(|_| rig.publish());
    assert_eq!((reader.seek(32).next().unwrap().id(), missed()), (36, 3));
}

#[test]
fn without_the_directory_nothing_is_written_and_nothing_fails() {
    let rig = Rig::new();
    let absent = rig.readers.path().join("none");
    rig.options().readers_dir(&absent).open("gate").unwrap();
    assert!(!absent.exists());
    assert_eq!(Scanner::new(&absent).scan().unwrap().readers, []);
    // Not on tmpfs, and no directory: a reader reads all the same.
    for wrong in [Path::new("/proc"), Path::new("/etc/hostname")] {
        rig.options().readers_dir(wrong).open("gate").unwrap();
    }
}

#[test]
fn counting_allocates_nothing() {
    let mut rig = Rig::new();
    let mut reader = rig.options().open("gate").unwrap();
    for _ in 0..10 {
        rig.publish();
        assert_eq!(count(|| reader.newer().unwrap().still_valid()), (true, 0));
    }
}

#[test]
fn a_dead_readers_file_is_not_listed_and_is_removed_by_the_next_reader() {
    let rig = Rig::new();
    let reader = rig.options().open("gate").unwrap();
    let [file] = &rig.files()[..] else { panic!() };
    let left = rig.readers.path().join("1-2-0.reader");
    // As a killed reader leaves it: whole, and unlocked.
    std::fs::copy(file, &left).unwrap();
    let mut scanner = rig.scanner();
    assert_eq!(scanner.scan().unwrap().readers.len(), 1);
    assert!(left.exists(), "the service removes nothing");
    drop(rig.options().open("gate").unwrap());
    assert!(!left.exists());
    assert_eq!(scanner.scan().unwrap().readers.len(), 1);
    drop(reader);
}

#[test]
fn a_child_of_fork_neither_writes_nor_removes_its_parents_file() {
    let mut rig = Rig::new();
    let mut reader = rig.options().open("gate").unwrap();
    rig.publish();
    let scan = |rig: &Rig| rig.scanner().scan().unwrap().readers[0].1.taken;
    // SAFETY: the child calls only what allocates nothing and takes no lock, and ends by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let read = reader.newer().is_ok();
        drop(reader);
        // SAFETY: ends the child without running this process's other parts.
        unsafe { libc::_exit(i32::from(!read)) };
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    assert_eq!(scan(&rig), 0);
    reader.newer().unwrap();
    assert_eq!(scan(&rig), 1);
}

#[test]
fn a_hostile_directory_is_read_in_bounds_and_without_waiting() {
    let mut rig = Rig::new();
    let mut reader = rig.options().open("gate").unwrap();
    rig.publish();
    reader.newer().unwrap();
    let [honest] = &rig.files()[..] else { panic!() };
    let bytes = std::fs::read(honest).unwrap();
    let path = |name: &str| rig.readers.path().join(name);
    symlink(honest, path("link.reader")).unwrap();
    symlink("/dev/zero", path("zero.reader")).unwrap();
    std::fs::create_dir(path("folder.reader")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path("pipe.reader"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    std::fs::write(path("other.name"), &bytes).unwrap();
    let locked: Vec<_> = (0..600)
        .map(|number| {
            let path = path(&format!("{number}.reader"));
            // Each other size and content, and locked as a live one's.
            let mut bytes = bytes.clone();
            match number % 4 {
                0 => bytes.truncate(number),
                1 => bytes.resize(bytes.len() + number, 0),
                2 => bytes[number % 64] ^= 0xff,
                _ => bytes[64..192].fill(0x1b),
            }
            std::fs::write(&path, bytes).unwrap();
            let file = File::options().read(true).write(true).open(&path).unwrap();
            let lock = libc::flock {
                l_type: libc::F_WRLCK as i16,
                l_whence: libc::SEEK_SET as i16,
                l_start: 0,
                l_len: 0,
                l_pid: 0,
            };
            use std::os::fd::AsRawFd as _;
            // SAFETY: the kernel reads the struct during the call.
            let code = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
            assert_eq!(code, 0);
            file
        })
        .collect();
    let mut scanner = rig.scanner();
    for _ in 0..4 {
        for (_, report) in scanner.scan().unwrap().readers {
            assert_eq!(report.camera.as_str(), "gate");
            assert!(!report.name.contains('\u{1b}'));
        }
    }
    assert_eq!(locked.len(), 600);
}

#[test]
fn a_link_neither_hides_nor_doubles_a_reader() {
    let rig = Rig::new();
    let reader = rig.options().open("gate").unwrap();
    let mut scanner = rig.scanner();
    for name in ["0.reader", "z.reader"] {
        std::fs::hard_link(&rig.files()[0], rig.readers.path().join(name)).unwrap();
        assert_eq!(scanner.scan().unwrap().readers.len(), 1);
        assert_eq!(rig.scanner().scan().unwrap().readers.len(), 1);
    }
    drop(reader);
    assert_eq!(scanner.scan().unwrap().readers, []);
}

#[test]
fn no_bytes_are_believed_or_break_the_parser() {
    let mut rig = Rig::new();
    let mut reader = rig.options().open("gate").unwrap();
    rig.publish();
    reader.newer().unwrap();
    let honest = std::fs::read(&rig.files()[0]).unwrap();
    assert_eq!(honest.len(), FILE_SIZE);
    let now_ns = monotonic_ns();
    parse(&honest, now_ns).unwrap();
    let mut random = 1_u64;
    for _ in 0..20_000 {
        let mut bytes = honest.clone();
        for _ in 0..8 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            bytes[(random >> 33) as usize % FILE_SIZE] = (random >> 56) as u8;
        }
        if let Ok(report) = parse(&bytes, now_ns) {
            assert!(report.name.chars().chain(report.program.chars()).all(|c| !c.is_control()));
        }
    }
    assert!(parse(&[], now_ns).is_err());
    assert!(parse(&vec![0xff; FILE_SIZE], now_ns).is_err());
    parse(&honest, 0).unwrap();
}

#[test]
fn a_crowd_is_left_out_and_counted() {
    let rig = Rig::new();
    let all: Vec<_> =
        (0..Scanner::MAX_PER_USER + 5).map(|_| rig.options().open("gate").unwrap()).collect();
    let mut scanner = rig.scanner();
    scanner.scan().unwrap();
    let scan = scanner.scan().unwrap();
    assert_eq!((scan.readers.len(), scan.left_out), (Scanner::MAX_PER_USER, 5));
    drop(all);
    assert_eq!(scanner.scan().unwrap().readers.len(), 0);
}
