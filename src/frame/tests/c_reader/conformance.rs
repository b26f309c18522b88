//! One writer and one ring: the reader in C returns exactly what was published, metadata and pixels.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use vas_frame::{CameraId, Reader, monotonic_ns};

use crate::build::Build;
use crate::driver::{CReader, line};
use crate::rig::{Rig, camera, geometry, open, pixels, publish, publish_bytes};

const LONG_MS: u32 = 60_000;

#[test]
fn a_frame_is_read_as_it_was_published() {
    for build in Build::ALL {
        let rig = Rig::new();
        let mut export = rig.claim();
        // Odd sides, and a stride that is not the width.
        let mut writer = open(&mut export, 33, 17, 4);
        let (mut rust, mut c) = (rig.reader(), CReader::open(build, rig.path()));
        for id in [7, 8] {
            publish(&mut writer, id);
            let expected = line(&rust.latest().unwrap());
            assert_eq!(c.ask("latest", &[&0]), expected);
            assert_eq!(c.ask("newer", &[&0, &(id - 1), &0]), expected);
            assert_eq!(c.ask("next", &[&0, &(id - 1), &0]), expected);
            let nv12 = pixels(id, &geometry(33, 17));
            assert!(c.pixels("copy", &[&0, &0]) == nv12, "{build:?}: copy");
            assert!(c.pixels("view", &[&0]) == nv12, "{build:?}: view");
            assert_eq!(c.ask("valid", &[&0]), "yes");
            assert_eq!(
                c.ask("copy", &[&0, &(nv12.len() - 1)]),
                "BAD_ARGUMENT a picture of 33x17 takes 867 bytes, 866 were given"
            );
        }
        assert_eq!(c.ask("release", &[&0]), "OK");
        assert_eq!(c.ask("valid", &[&0]), "no");
        assert_eq!(c.ask("copy", &[&0, &1]), "BAD_ARGUMENT the frame holds nothing");
    }
}

#[test]
fn every_width_is_copied_whole() {
    let mut c = CReader::start(Build::Sanitized);
    // Rows that end anywhere in a word, and one row or many; longer than what is copied at once; above the size from
    // which a copy bypasses the cache, with and without padding, in one stream and in several.
    let small = (1..=70).map(|width| (width, 1 + width % 5));
    let large = [(129, 9), (255, 8), (700, 3), (1280, 720), (1283, 801), (1408, 802), (8190, 121)];
    for (width, height) in small.chain(large) {
        let rig = Rig::new();
        let mut export = rig.claim();
        let mut writer = open(&mut export, width, height, 2);
        assert_eq!(c.attach(rig.path()), "OK");
        publish(&mut writer, 1);
        assert_eq!(c.id("latest", &[&0]), Ok(1));
        let copy = c.pixels("copy", &[&0, &0]);
        assert!(copy == pixels(1, &geometry(width, height)), "{width}x{height}");
    }
}

#[test]
fn errors_have_the_messages_of_the_reader_in_rust() {
    for build in Build::ALL {
        let rig = Rig::new();
        let mut c = CReader::start(build);
        let no_camera = Reader::options().dir(rig.path()).open(camera()).unwrap_err();
        assert_eq!(c.attach(rig.path()), format!("NO_CAMERA {no_camera}"));
        for id in ["", ".", "-rf", "a/b", "a b", &"x".repeat(64)] {
            let expected = format!("BAD_ARGUMENT {}", CameraId::new(id).unwrap_err());
            assert_eq!(c.ask("open", &[&rig.path().display(), &id, &0]), expected);
        }
        for rate in ["1000000.1", "-1", "nan", "inf"] {
            let answer = c.ask("open", &[&rig.path().display(), &"gate", &rate]);
            assert!(answer.starts_with("BAD_ARGUMENT max_fps is "), "{answer}");
        }
        let long = "d".repeat(4080);
        let answer = c.ask("open", &[&long, &"gate", &0]);
        assert!(answer.starts_with("BAD_ARGUMENT the directory's path"), "{answer}");

        let mut export = rig.claim();
        let mut rust = rig.reader();
        assert_eq!(c.attach(rig.path()), "OK", "before the first ring");
        let not_yet = format!("NOT_YET {}", rust.latest().unwrap_err());
        assert_eq!(c.ask("latest", &[&0]), not_yet);
        assert_eq!(c.ask("newer", &[&0, &0, &20]), not_yet);
        let mut writer = open(&mut export, 16, 16, 2);
        assert_eq!(c.ask("next", &[&0, &0, &0]), not_yet, "before the first frame");
        publish(&mut writer, 1);
        assert_eq!(c.id("latest", &[&0]), Ok(1));
        let quiet = rust.seek(1).set_timeout(Duration::from_millis(30)).newer().unwrap_err();
        assert_eq!(c.ask("newer", &[&0, &1, &30]), format!("TIMED_OUT {quiet}"));
    }
}

#[test]
fn newer_returns_the_newest_and_next_the_oldest() {
    for build in Build::ALL {
        let rig = Rig::new();
        let mut export = rig.claim();
        let mut writer = open(&mut export, 16, 16, 4);
        let mut c = CReader::open(build, rig.path());
        for id in 1..=6 {
            publish(&mut writer, id);
        }
        assert_eq!(c.id("newer", &[&0, &0, &0]), Ok(6));
        let mut last = 0;
        for expected in [3, 4, 5, 6] {
            last = c.id("next", &[&0, &last, &0]).unwrap();
            assert_eq!(last, expected);
        }
        assert_eq!(c.id("next", &[&0, &6, &0]), Err("TIMED_OUT".into()));
        assert_eq!(c.ask("newer_if", &[&0, &0, &20, &4]), "TIMED_OUT judged 6", "and only once");
        assert_eq!(c.ask("newer_if", &[&0, &0, &20, &3]), "OK judged 6");
        c.tell("newer_if", &[&0, &6, &LONG_MS, &1000]);
        for id in [7, 1000] {
            publish(&mut writer, id);
        }
        let judged = c.answer();
        assert!(["OK judged 7 1000", "OK judged 1000"].contains(&judged.as_str()), "{judged}");
    }
}

#[test]
fn an_overwritten_frame_is_refused() {
    for build in Build::ALL {
        let rig = Rig::new();
        let mut export = rig.claim();
        let mut writer = open(&mut export, 64, 64, 2);
        let mut c = CReader::open(build, rig.path());
        publish(&mut writer, 1);
        assert_eq!(c.id("latest", &[&0]), Ok(1));
        publish(&mut writer, 2);
        assert_eq!(c.ask("valid", &[&0]), "yes");
        let claimed = writer.claim(monotonic_ns()).unwrap();
        assert_eq!(c.ask("valid", &[&0]), "no");
        let overwritten = "OVERWRITTEN frame 1 was overwritten while it was read";
        assert_eq!(c.ask("copy", &[&0, &0]), overwritten);
        // An abandoned slot holds no frame, and the older frame stays.
        drop(claimed);
        assert_eq!(c.id("newer", &[&0, &0, &0]), Ok(2));
        assert_eq!(c.id("next", &[&0, &0, &0]), Ok(2));
    }
}

#[test]
fn a_waiting_reader_is_woken() {
    for build in Build::ALL {
        let rig = Rig::new();
        let mut export = rig.claim();
        let mut writer = open(&mut export, 16, 16, 4);
        let mut waiting: Vec<_> = (0..4).map(|_| CReader::open(build, rig.path())).collect();
        for id in 1..=20 {
            for c in &mut waiting {
                c.tell("newer", &[&0, &(id - 1), &-1]);
            }
            publish(&mut writer, id);
            for c in &mut waiting {
                assert!(c.answer().starts_with(&format!("OK frame_id={id} ")));
            }
        }
    }
}

/// Copies taken while the writer overwrites slots as fast as it can: each is whole or refused.
#[test]
fn no_torn_frame_is_accepted() {
    const FRAMES: u32 = 500;
    /// Under an emulator all copies of one race may be too late.
    const RACES: u32 = 50;
    for (build, slots) in [(Build::Gcc, 2), (Build::Clang, 3), (Build::Aarch64, 2)] {
        let rig = Rig::new();
        let mut export = rig.claim();
        let mut writer = open(&mut export, 200, 60, slots);
        let mut c = CReader::open(build, rig.path());
        let stop = AtomicBool::new(false);
        let answer = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut nv12 = vec![0; geometry(200, 60).tight_bytes()];
                for id in (1..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                    nv12.fill(id as u8);
                    publish_bytes(&mut writer, id, &nv12);
                }
            });
            let mut answers = (0..RACES).map(|_| c.ask("race", &[&FRAMES]));
            let answer = answers.find(|answer| answer != "OK whole 0 torn 0");
            stop.store(true, Ordering::Relaxed);
            answer.unwrap_or_else(|| panic!("{build:?}: no copy was whole in {RACES} races"))
        });
        let whole = answer.strip_prefix("OK whole ").and_then(|rest| rest.strip_suffix(" torn 0"));
        assert!(whole.is_some(), "{build:?}: {answer}");
    }
}

#[test]
fn a_wait_without_a_frame_keeps_its_timeout() {
    let rig = Rig::new();
    let mut export = rig.claim();
    let mut writer = open(&mut export, 16, 16, 4);
    let mut c = CReader::open(Build::Sanitized, rig.path());
    publish(&mut writer, 1);
    let before = monotonic_ns();
    assert_eq!(c.id("newer", &[&0, &1, &120]), Err("TIMED_OUT".into()));
    assert!(monotonic_ns() - before >= 120_000_000);
    // Extreme timeouts wait too, and do not wrap around.
    for timeout in [i64::MAX, i64::MAX / 1_000_000, i64::MIN] {
        c.tell("newer", &[&0, &1, &timeout]);
        publish(&mut writer, 2);
        assert!(c.answer().starts_with("OK frame_id=2 "));
    }
}

/// Both readers move their cursors alike.
#[test]
fn the_cursor_is_the_last_returned_frame() {
    for build in Build::ALL {
        let rig = Rig::new();
        let mut export = rig.claim();
        let mut writer = open(&mut export, 16, 16, 4);
        let (mut rust, mut c) = (rig.reader(), CReader::open(build, rig.path()));
        (1..=3).for_each(|id| publish(&mut writer, id));
        for id in [1, 2] {
            assert_eq!(
                (rust.next().unwrap().id(), c.id("follow", &[&0])),
                (id, Ok(id)),
                "{build:?}"
            );
        }
        assert_eq!((rust.latest().unwrap().id(), c.id("latest", &[&0])), (3, Ok(3)));
        publish(&mut writer, 4);
        assert_eq!(
            (rust.next().unwrap().id(), c.id("follow", &[&0])),
            (4, Ok(4)),
            "behind `latest`"
        );
        assert_eq!((rust.cursor().to_string(), c.ask("cursor", &[])), ("4".into(), "4".into()));
        // A call that returns no frame leaves the cursor unchanged.
        assert_eq!(c.id("newer", &[&0, &4, &0]), Err("TIMED_OUT".into()));
        assert_eq!(c.ask("cursor", &[]), "4");
    }
}
