//! What a reader in C states about itself, as the service reads it.

use std::path::Path;

use vas_frame::MaxFps;
use vas_frame::telemetry::{ReaderReport, Scanner};

use crate::build::Build;
use crate::driver::CReader;
use crate::rig::{Rig, open, publish};

fn stated(readers: &Path) -> Vec<ReaderReport> {
    let scan = Scanner::new(readers).scan().unwrap();
    scan.readers.into_iter().map(|(_, report)| report).collect()
}

fn files(readers: &Path) -> usize {
    std::fs::read_dir(readers).unwrap().count()
}

#[test]
fn the_service_reads_what_it_writes() {
    for build in Build::ALL {
        let rig = Rig::new();
        let mut export = rig.claim();
        let mut writer = open(&mut export, 16, 16, 2);
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let readers = dir.path();
        let mut c = CReader::start_stating(build, readers);
        // The 63rd byte is the first of two.
        let name = "n".repeat(62) + "\u{e4}";
        assert_eq!(c.ask("name", &[&name]), "OK");
        assert_eq!(c.ask("open", &[&rig.path().display(), &"gate", &12.3456]), "OK");
        publish(&mut writer, 1);
        assert_eq!(c.id("follow", &[&0]), Ok(1));
        // 2 and 3 are overwritten in a ring of two, and so is the frame that the reader has.
        (2..=5).for_each(|id| publish(&mut writer, id));
        for _ in 0..2 {
            assert!(c.ask("copy", &[&0, &0]).starts_with("OVERWRITTEN"));
        }
        assert_eq!(c.id("follow", &[&1]), Ok(4));
        assert_eq!(c.id("follow", &[&2]), Ok(5));
        assert_eq!(c.id("latest", &[&2]), Ok(5));

        let [report] = &stated(readers)[..] else { panic!("{build:?}") };
        assert_eq!((report.camera.as_str(), report.pid), ("gate", c.pid()));
        assert_eq!(report.name, name[..62]);
        assert!(report.program.starts_with("c-driver"), "{}", report.program);
        assert_eq!(report.max_fps, MaxFps::new(123_456, 10_000));
        assert_eq!((report.taken, report.missed, report.overwritten), (3, 2, 1), "{build:?}");
        let recent = report.recent;
        assert_eq!((recent.taken, recent.missed, recent.overwritten), (3, 2, 1));
        assert!(recent.p50_ms.unwrap() <= recent.p99_ms.unwrap());
        assert_eq!(report.last_frame_id, 5);
        assert!(report.last_taken_ns.unwrap() >= report.opened_ns);

        // In the next epoch, too.
        drop(writer);
        let mut writer = open(&mut export, 32, 32, 2);
        publish(&mut writer, 6);
        assert_eq!(c.id("follow", &[&0]), Ok(6));
        (7..=8).for_each(|id| publish(&mut writer, id));
        assert_eq!(c.ask("valid", &[&0]), "no");
        assert_eq!(c.id("newer", &[&0, &6, &0]), Ok(8));
        let report = &stated(readers)[0];
        assert_eq!((report.taken, report.missed, report.overwritten), (5, 2, 2), "{build:?}");

        assert_eq!(c.ask("close", &[]), "OK");
        assert_eq!(files(readers), 0, "{build:?}");
    }
}

#[test]
fn a_killed_reader_is_not_listed_and_its_file_is_removed_by_the_next() {
    let rig = Rig::new();
    let mut export = rig.claim();
    let _writer = open(&mut export, 16, 16, 2);
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let start = || {
        let mut c = CReader::start_stating(Build::Gcc, dir.path());
        assert_eq!(c.attach(rig.path()), "OK");
        c
    };
    let killed = start();
    assert_eq!((stated(dir.path()).len(), files(dir.path())), (1, 1));
    killed.kill();
    assert_eq!((stated(dir.path()).len(), files(dir.path())), (0, 1));
    let _next = start();
    assert_eq!((stated(dir.path()).len(), files(dir.path())), (1, 1));
}

#[test]
fn without_a_usable_directory_it_reads_all_the_same() {
    let rig = Rig::new();
    let mut export = rig.claim();
    let mut writer = open(&mut export, 16, 16, 2);
    for (id, readers) in (1..).zip(["", "/nowhere", "/proc", "/etc/hostname"]) {
        let mut c = CReader::start_stating(Build::Sanitized, Path::new(readers));
        assert_eq!(c.attach(rig.path()), "OK");
        publish(&mut writer, id);
        assert_eq!(c.id("latest", &[&0]), Ok(id), "{readers:?}");
    }
}
