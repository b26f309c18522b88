//! The ring manager's work, turn by turn, without its thread and without any check by the clock: what is found was
//! announced by an event.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use vas_config::{Config, Environment};
use vas_frame::{Reader, WatchEvent};
use vas_status::PolledReason;

use super::*;

const NEVER: u64 = u64::MAX;

struct Rig {
    dir: tempfile::TempDir,
    shared: Arc<Shared>,
    work: Work,
    demands: Vec<Arc<Demand>>,
    handles: Vec<RingHandle>,
}

impl Rig {
    fn new(cameras: &[&str], intervals: Intervals, most_watches: Option<usize>) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let shared = Arc::new(Shared::new());
        let mut work = Work::new(&config(dir.path()), intervals, Arc::default());
        work.watches.limit(most_watches);
        let mut rig = Self { dir, shared, work, demands: Vec::new(), handles: Vec::new() };
        for camera in cameras {
            let demand = Arc::<Demand>::default();
            let (shared, stats) = (Arc::clone(&rig.shared), Arc::default());
            let id = CameraId::new(*camera).unwrap();
            let handle = RingHandle::new(id, shared, &stats, Arc::clone(&demand), Arc::default());
            rig.shared.push_change(Request::Camera(handle.clone()));
            rig.handles.push(handle);
            rig.demands.push(demand);
        }
        // Directories are made, then watched; events of that are taken.
        while rig.turn() < NEVER && !rig.is_claimed() {}
        rig
    }

    /// All cameras watched, and nothing by the clock.
    fn by_events(cameras: &[&str]) -> Self {
        let never = Intervals {
            first: NEVER,
            slow: NEVER,
            files: NEVER,
            read: NEVER,
            unwatched: NEVER,
            noisy: NEVER,
            removed: 0,
        };
        let mut rig = Self::new(cameras, never, None);
        while rig.turn() < NEVER {}
        rig
    }

    fn turn(&mut self) -> u64 {
        self.work.turn(&self.shared)
    }

    fn is_claimed(&self) -> bool {
        self.demands.len() == std::fs::read_dir(self.dir.path()).unwrap().count()
    }

    fn reader(&self, camera: &str) -> Reader {
        Reader::options().dir(self.dir.path()).open(camera).unwrap()
    }

    fn polled(&self, camera: usize) -> Option<PolledReason> {
        self.handles[camera].stats().get().polled
    }

    fn is_read(&self, camera: usize) -> bool {
        self.demands[camera].since_ns().is_some()
    }

    fn open_and_close(&self, camera: &str, times: usize) {
        let path = self.dir.path().join(camera).join("readers");
        (0..times).for_each(|_| drop(File::open(&path).unwrap()));
    }
}

fn config(dir: &Path) -> Export {
    let text = format!(
        "[service]\nrun_dir = \"/run/vas\"\n[export]\ndir = {dir:?}\n[[camera]]\nid = \"a\"\nurl = \
         \"testsrc:64x64@25\"\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, text).unwrap();
    let config: Config = vas_config::load(&file, &Environment::of_this_process()).unwrap();
    config.export
}

#[test]
fn a_reader_is_found_by_the_event_of_its_coming_and_so_is_its_leaving() {
    let mut rig = Rig::by_events(&["a", "b"]);
    let reader = rig.reader("b");
    rig.turn();
    assert_eq!((rig.is_read(0), rig.is_read(1)), (false, true));
    // A second one with another demand, and its leaving.
    let second = Reader::options().dir(rig.dir.path()).max_fps(5).open("a").unwrap();
    rig.turn();
    assert!(rig.is_read(0));
    drop((reader, second));
    rig.turn();
    assert_eq!((rig.is_read(0), rig.is_read(1)), (false, false));
}

#[test]
fn a_lock_that_comes_long_after_its_file_was_opened_is_found_without_another_event() {
    let intervals = Intervals { slow: NEVER, ..Intervals::default() };
    let mut rig = Rig::new(&["a"], intervals, None);
    let early = File::open(rig.dir.path().join("a/readers")).unwrap();
    let mut turns = 0;
    while turns < 5 {
        rig.turn();
        turns += 1;
    }
    assert!(!rig.is_read(0));
    // The event of this one is lost; only its lock says that it is there.
    let reader = rig.reader("a");
    while rig.work.watches.take(&mut Vec::new()) {}
    while !rig.is_read(0) {
        assert!(rig.turn() < NEVER, "the next check is scheduled");
    }
    drop((reader, early));
}

#[test]
fn lost_events_cost_a_check_of_all() {
    let mut rig = Rig::by_events(&["a", "b"]);
    let _readers = [rig.reader("a"), rig.reader("b")];
    while rig.work.watches.take(&mut Vec::new()) {}
    assert_eq!(rig.turn(), NEVER);
    assert_eq!((rig.is_read(0), rig.is_read(1)), (false, false), "nothing announced them");
    rig.work.event(WatchEvent::Overflow, monotonic_ns());
    rig.turn();
    assert_eq!((rig.is_read(0), rig.is_read(1)), (true, true));
}

#[test]
fn without_watches_readers_are_found_by_the_clock() {
    // The second camera gets none.
    let mut rig = Rig::new(&["a", "b"], Intervals::default(), Some(2));
    let _readers = [rig.reader("a"), rig.reader("b")];
    while !(rig.is_read(0) && rig.is_read(1)) {
        assert!(rig.turn() < NEVER);
    }
    assert_eq!(rig.work.watches.missing(), 1);
    assert_eq!((rig.polled(0), rig.polled(1)), (None, Some(PolledReason::NoWatch)));
    rig.work.watches.limit(None);
    while rig.work.watches.missing() > 0 {
        rig.work.check_all(monotonic_ns());
        rig.work.cameras.values_mut().for_each(|named| named.managed.watch_now());
        rig.turn();
    }
    assert_eq!(rig.polled(1), None);
}

/// Who may read may open files as often as it likes: that costs bounded work, and other cameras' readers are found
/// all the same.
#[test]
fn files_that_are_opened_all_the_time_are_no_longer_watched() {
    let mut rig = Rig::by_events(&["a", "b"]);
    // Further events than one turn takes.
    rig.open_and_close("a", 5000);
    let reader = rig.reader("b");
    let mut turns = 0;
    while !rig.is_read(1) {
        rig.turn();
        turns += 1;
    }
    assert_eq!((rig.polled(0), rig.polled(1)), (Some(PolledReason::TooManyEvents), None));
    // 256 events a read, READS_A_TURN reads a turn, two events for each opening.
    assert!(turns <= 10_000 / 256 / READS_A_TURN + 2, "{turns}");
    let events = |rig: &Rig| {
        let mut events = Vec::new();
        while rig.work.watches.take(&mut events) {}
        events.len()
    };
    events(&rig);
    rig.open_and_close("a", 5000);
    assert_eq!(events(&rig), 0);
    drop(reader);
    assert_eq!(events(&rig), 1, "that of the other camera");
}

#[test]
fn files_that_are_removed_come_back_at_once() {
    let mut rig = Rig::by_events(&["a"]);
    for name in ["a/readers", "a/.writer", "a", ""] {
        let path = rig.dir.path().join(name);
        let removed = match path.is_dir() {
            true => std::fs::remove_dir_all(&path),
            false => std::fs::remove_file(&path),
        };
        removed.unwrap();
        // The watches of the new files are found to be made, and the events of that.
        while rig.turn() < NEVER {}
        assert!(path.exists(), "{name:?}");
        let reader = rig.reader("a");
        rig.turn();
        assert!(rig.is_read(0), "{name:?}");
        drop(reader);
        rig.turn();
        assert!(!rig.is_read(0), "{name:?}");
    }
    // So that the directory can be removed with its keeper.
    let Rig { dir, work, .. } = rig;
    drop(work);
    std::fs::create_dir_all(dir.path()).unwrap();
}

/// Each camera's slow checks cost one wake-up for some of all cameras.
#[test]
fn a_turn_works_on_those_that_are_due() {
    let mut rig = Rig::by_events(&["a", "b", "c"]);
    let mut due = Vec::new();
    rig.work.schedule.take_due(monotonic_ns(), &mut due);
    assert!(due.is_empty(), "nobody");
    let _reader = rig.reader("c");
    let mut events = Vec::new();
    rig.work.watches.take(&mut events);
    events.into_iter().for_each(|event| rig.work.event(event, monotonic_ns()));
    rig.work.schedule.take_due(monotonic_ns(), &mut due);
    assert_eq!(due, [2]);
}
