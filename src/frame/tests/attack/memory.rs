//! Less memory than a ring needs: no export, an error that states the bytes needed and free, and no
//! process is killed.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use vas_frame::{CameraExport, ExportError, Nv12Image};

use super::part::{self, Part};
use super::rig::{
    Random, Scratch, Stop, claim, epoch, is_right, is_root, on_tmpfs, open, options, publish, size,
    used,
};

const MIB: u64 = 1 << 20;
const NO_LEASE: Duration = Duration::ZERO;

/// Expects a ring to be refused with a message that contains all of `parts`.
fn refused(
    export: &mut CameraExport,
    (width, height): (u32, u32),
    slots: u32,
    parts: &[&str],
) -> String {
    let error = open(export, size(width, height), options(slots, NO_LEASE)).unwrap_err();
    assert!(matches!(error, ExportError::Memory(_)), "{error}");
    let words = error.to_string();
    parts.iter().for_each(|part| assert!(words.contains(part), "no {part:?} in: {words}"));
    println!("{words}");
    words
}

/// Opens a ring and writes and reads each of its slots.
fn works(camera: &Path, export: &mut CameraExport, (width, height): (u32, u32), slots: u32) {
    let mut writer = open(export, size(width, height), options(slots, NO_LEASE)).unwrap();
    let epoch = epoch(camera);
    let root = camera.parent().unwrap();
    let mut reader = vas_frame::Reader::options().dir(root).open(super::rig::camera()).unwrap();
    for id in 1..=u64::from(slots) + 1 {
        publish(&mut writer, id, epoch).unwrap();
        assert!(is_right(&reader.latest().unwrap(), &mut Nv12Image::default()));
    }
}

#[test]
fn a_tmpfs_of_ten_mib() {
    if !is_root("mounting a tmpfs") {
        return;
    }
    let place = Scratch::new();
    let (root, camera) = (place.root(), place.camera());
    on_tmpfs(root.parent().unwrap(), "size=10m", || {
        let before = used(root.parent().unwrap());
        let mut export = claim(&root).unwrap();
        // 8 slots of 720p are 10.6 MiB.
        refused(&mut export, (1280, 720), 8, &["needs 11 MiB", "tmpfs at", "has 9 MiB left"]);
        assert_eq!(std::fs::read_dir(&camera).unwrap().count(), 2, "no partly created files");
        works(&camera, &mut export, (640, 360), 4);
        // Another process takes all the rest: the ring keeps its allocated memory.
        let rest = File::create(root.with_file_name("rest")).unwrap();
        while std::io::Write::write(&mut &rest, &[1; 4096]).is_ok() {}
        let frame = place.reader().latest().unwrap();
        let error = open(&mut export, size(640, 352), options(4, NO_LEASE)).unwrap_err();
        assert!(error.to_string().contains("No space left"), "no page for frame.meta: {error}");
        assert!(is_right(&frame, &mut Nv12Image::default()), "the open ring still works");
        rest.set_len(rest.metadata().unwrap().len() - 8192).unwrap();
        works(&camera, &mut export, (640, 352), 4);
        refused(&mut export, (1280, 720), 2, &["needs 3 MiB", "has 0 MiB left"]);
        works(&camera, &mut export, (640, 360), 4);
        assert!(export.housekeep());
        drop((export, frame, rest));
        std::fs::remove_file(root.with_file_name("rest")).unwrap();
        assert!(used(root.parent().unwrap()) <= before);
    });
}

/// Memory that is free at the check and gone at the allocation: an error, and no partly created
/// files.
#[test]
fn a_tmpfs_that_others_fill_meanwhile() {
    if !is_root("mounting a tmpfs") {
        return;
    }
    let place = Scratch::new();
    let (root, camera) = (place.root(), place.camera());
    on_tmpfs(root.parent().unwrap(), "size=10m", || {
        let stop = AtomicBool::new(false);
        let rest = File::create(root.with_file_name("rest")).unwrap();
        let mut outcomes = [0; 3];
        std::thread::scope(|scope| {
            let _guard = Stop(&stop);
            scope.spawn(|| {
                let mut random = Random(7);
                while !stop.load(Ordering::Relaxed) {
                    rest.set_len(0).unwrap();
                    (0..random.below(2600)).for_each(|_| {
                        let _ = std::io::Write::write(&mut &rest, &[1; 4096]);
                    });
                }
            });
            let mut export = claim_at_last(&root);
            for round in 0..600 {
                if round % 10 == 0 {
                    drop(export);
                    export = claim_at_last(&root);
                }
                let grown = size(640, 300 + 10 * (round % 10));
                match open(&mut export, grown, options(8, NO_LEASE)) {
                    Ok(mut writer) => {
                        let epoch = epoch(&camera);
                        export.housekeep();
                        (1..=9).for_each(|id| publish(&mut writer, id, epoch).unwrap());
                        outcomes[0] += 1;
                    }
                    Err(ExportError::Memory(_)) => outcomes[1] += 1,
                    Err(error @ ExportError::Io { .. }) => {
                        assert!(error.to_string().contains("No space left"), "{error}");
                        outcomes[2] += 1;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
        println!("opened, refused by the check, refused by the system: {outcomes:?}");
        assert!(outcomes[0] > 0 && outcomes[1] > 0);
    });
}

/// Claims the camera as soon as there is a page for its lock file.
fn claim_at_last(root: &Path) -> CameraExport {
    loop {
        match claim(root) {
            Ok(export) => return export,
            Err(error) => assert!(error.to_string().contains("No space left"), "{error}"),
        }
    }
}

#[test]
fn a_ring_larger_than_the_machine_on_a_tmpfs_that_would_take_it() {
    if !is_root("mounting a tmpfs") {
        return;
    }
    let place = Scratch::new();
    let root = place.root();
    on_tmpfs(root.parent().unwrap(), "size=64t", || {
        let mut export = claim(&root).unwrap();
        let all = std::fs::read_to_string("/proc/meminfo").unwrap();
        let total = all.lines().next().unwrap().split_whitespace().nth(1).unwrap();
        let slots = total.parse::<u64>().unwrap() * 1024 / (384 * MIB) + 2;
        refused(&mut export, (16_384, 16_384), slots as u32, &["(MemAvailable)", "MiB left"]);
        assert!(used(root.parent().unwrap()) < MIB, "no memory was allocated");
    });
}

/// A writer with 64 MiB for itself and everything that it exports.
pub(crate) fn confined(root: &Path) {
    let mut export = claim(root).unwrap();
    let camera = root.join("gate");
    let parts = ["needs 90 MiB", "cgroup", "vas-attack", "MiB left"];
    eprintln!("{}", refused(&mut export, (1920, 1080), 30, &parts));
    works(&camera, &mut export, (1280, 720), 8);
    // An admitted ring is usable to its last slot.
    let granted = |slots: &u32| match open(&mut export, size(1280, 720), options(*slots, NO_LEASE))
    {
        Ok(mut writer) => {
            let epoch = epoch(&camera);
            (0..=u64::from(*slots)).for_each(|id| publish(&mut writer, id + 1, epoch).unwrap());
            true
        }
        Err(ExportError::Memory(_)) => false,
        Err(error) => panic!("{error}"),
    };
    let largest = (9..).take_while(granted).last().unwrap();
    eprintln!("largest {largest}");
}

/// A cgroup with a limit of 64 MiB below this process's own, and one in it without a limit.
struct Group(PathBuf);

impl Group {
    fn new() -> Self {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let own = |name: &str| own.lines().find_map(|line| line.split_once(name)).map(|l| l.1);
        let (dir, limit) = match own(":memory:") {
            Some(path) => {
                (Path::new("/sys/fs/cgroup/memory").join(&path[1..]), "memory.limit_in_bytes")
            }
            None => (Path::new("/sys/fs/cgroup").join(&own("0::").unwrap()[1..]), "memory.max"),
        };
        let group = Self(dir.join(format!("vas-attack-{}", std::process::id())));
        std::fs::create_dir(&group.0).unwrap_or_else(|e| panic!("{}: {e}", group.0.display()));
        let _ = std::fs::write(group.0.join("cgroup.subtree_control"), "+memory");
        std::fs::write(group.0.join(limit), (64 * MIB).to_string()).unwrap();
        std::fs::create_dir(group.inner()).unwrap();
        group
    }

    fn inner(&self) -> PathBuf {
        self.0.join("inner")
    }

    /// Processes that the OOM killer killed.
    fn kills(&self) -> u64 {
        let read = |file| std::fs::read_to_string(self.inner().join(file));
        let text = read("memory.oom_control").or_else(|_| read("memory.events")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.unwrap().trim().parse().unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for dir in [&self.inner(), &self.0] {
            let _ = std::fs::remove_dir(dir);
        }
    }
}

#[test]
fn a_cgroup_of_64_mib_above() {
    if !is_root("creating a cgroup") {
        return;
    }
    let place = Scratch::new();
    let group = Group::new();
    let mut command = part::command("memory::confined", &place.root(), &[]);
    let procs = group.inner().join("cgroup.procs");
    part::before_exec(&mut command, move || std::fs::write(&procs, "0"));
    let mut writer = Part::start(command);
    println!("{}", writer.word());
    let largest = writer.number("largest");
    let status = writer.ended();
    assert!(status.success(), "{status}, signal {:?}", status.signal());
    assert_eq!(group.kills(), 0);
    assert!((8..48).contains(&largest), "{largest} slots of 1.3 MiB in 64 MiB");
    println!("64 MiB held {largest} slots of 720p, and no process was killed");
}
