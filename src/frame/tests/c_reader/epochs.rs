//! Changes of size, and the end of a writer followed by the next.

use vas_frame::{
    Demanded, FrameRate, Geometry, MaxFps, OpenRing, ReadError, RingOptions, WriterEnd,
    monotonic_ns,
};

use crate::build::Build;
use crate::driver::CReader;
use crate::rig::{Rig, geometry, open, pixels, publish};

const LONG_MS: u32 = 60_000;

fn has_pixels(c: &mut CReader, frame: u32, id: u64, geometry: &Geometry) {
    assert!(c.pixels("copy", &[&frame, &0]) == pixels(id, geometry), "frame {id}");
}

#[test]
fn a_larger_and_a_smaller_picture_are_followed() {
    for build in Build::ALL {
        let rig = Rig::new();
        let mut export = rig.claim();
        let mut writer = open(&mut export, 64, 64, 4);
        let mut c = CReader::open(build, rig.path());
        publish(&mut writer, 1);
        assert_eq!(c.id("newer", &[&0, &0, &LONG_MS]), Ok(1));

        drop(writer);
        let mut writer = open(&mut export, 639, 479, 4);
        publish(&mut writer, 2);
        assert_eq!(c.id("newer", &[&1, &1, &LONG_MS]), Ok(2));
        has_pixels(&mut c, 1, 2, &geometry(639, 479));
        // The old ring is still readable: the held frame keeps it mapped.
        assert_eq!(c.ask("valid", &[&0]), "yes");
        has_pixels(&mut c, 0, 1, &geometry(64, 64));

        drop(writer);
        let mut writer = open(&mut export, 32, 30, 4);
        assert_eq!(c.ask("valid", &[&1]), "no", "the pages were reused");
        publish(&mut writer, 3);
        assert_eq!(c.id("latest", &[&2]), Ok(3));
        has_pixels(&mut c, 2, 3, &geometry(32, 30));
    }
}

/// A reader of every frame does not lose those published just before an epoch ended.
#[test]
fn the_rest_of_an_epoch_is_read_before_the_next() {
    for build in Build::ALL {
        let rig = Rig::new();
        let mut export = rig.claim();
        let mut writer = open(&mut export, 64, 64, 4);
        let mut c = CReader::open(build, rig.path());
        publish(&mut writer, 1);
        assert_eq!(c.id("next", &[&0, &0, &LONG_MS]), Ok(1));
        for id in [2, 3] {
            publish(&mut writer, id);
        }
        drop(writer);
        let mut writer = open(&mut export, 640, 480, 4);
        publish(&mut writer, 4);
        for id in [2, 3, 4] {
            assert_eq!(c.id("next", &[&0, &(id - 1), &LONG_MS]), Ok(id));
        }
        drop(writer);
        drop(export);
        assert_eq!(c.id("next", &[&0, &3, &LONG_MS]), Ok(4));
        assert_eq!(c.id("next", &[&0, &4, &LONG_MS]), Err("WRITER_STOPPED".into()));
    }
}

/// Waiting readers and a writer that changes the size after every frame: each frame is seen.
#[test]
fn a_waiting_reader_follows_every_change() {
    let sizes = [(64, 64), (200, 100), (48, 30), (202, 101), (16, 16)];
    for build in Build::ALL {
        let rig = Rig::new();
        let mut export = rig.claim();
        let mut c = CReader::open(build, rig.path());
        for (id, (width, height)) in (1..).zip(sizes.iter().cycle().take(25).copied()) {
            c.tell("next", &[&0, &(id - 1), &LONG_MS]);
            let mut writer = open(&mut export, width, height, 3);
            publish(&mut writer, id);
            let answer = c.answer();
            assert!(answer.starts_with(&format!("OK frame_id={id} ")), "{answer}");
            has_pixels(&mut c, 0, id, &geometry(width, height));
        }
    }
}

#[test]
fn a_stop_is_reported_and_the_next_writer_followed() {
    for build in Build::ALL {
        let rig = Rig::new();
        let mut export = rig.claim();
        let mut writer = open(&mut export, 16, 16, 4);
        publish(&mut writer, 1);
        let (mut rust, mut c) = (rig.reader(), CReader::open(build, rig.path()));
        assert_eq!(c.id("latest", &[&0]), Ok(1));
        c.tell("newer", &[&0, &1, &LONG_MS]);
        drop(writer);
        drop(export);
        let gone =
            rust.seek(1).set_timeout(std::time::Duration::from_secs(60)).newer().unwrap_err();
        assert!(matches!(gone, ReadError::WriterGone { how: WriterEnd::Stopped, .. }), "{gone}");
        let gone = format!("WRITER_STOPPED {gone}");
        assert_eq!(c.answer(), gone, "at once");
        assert_eq!(c.ask("newer", &[&0, &1, &20]), gone, "again while no writer replaced it");
        assert_eq!(c.ask("latest", &[&0]), gone);

        let mut export = rig.claim();
        let first = export.first_frame_id();
        c.tell("newer", &[&0, &1, &LONG_MS]);
        let mut writer = open(&mut export, 16, 16, 4);
        publish(&mut writer, first);
        assert!(c.answer().starts_with(&format!("OK frame_id={first} ")));
        has_pixels(&mut c, 0, first, &geometry(16, 16));
    }
}

/// A writer may open its ring only for a reader, so a reader must state its demand before there is a
/// ring.
#[test]
fn demand_is_stated_before_the_ring_and_to_the_next_writer() {
    for build in Build::ALL {
        let rig = Rig::new();
        let export = rig.claim();
        let mut c = CReader::open(build, rig.path());
        assert_eq!(export.demanded(), Demanded::EveryFrame);
        assert_eq!(c.ask("close", &[]), "OK");
        assert_eq!(export.demanded(), Demanded::Nothing);
        for (num, den) in [(5, 1), (1, 2), (30_000, 1001), (1, 100_000), (1_000_000, 1)] {
            let rate = f64::from(num) / f64::from(den);
            assert_eq!(c.ask("open", &[&rig.path().display(), &"gate", &rate]), "OK");
            assert_eq!(export.demanded(), Demanded::Rates(vec![MaxFps::new(num, den).unwrap()]));
        }
        drop(export);
        let export = rig.claim();
        assert_eq!(export.demanded(), Demanded::Nothing, "a new file under that name");
        assert_eq!(c.id("newer", &[&0, &0, &20]), Err("NOT_YET".into()));
        assert!(matches!(export.demanded(), Demanded::Rates(rates) if rates.len() == 1));
    }
}

#[test]
fn leased_frames_stay_readable() {
    let rig = Rig::new();
    let mut export = rig.claim();
    let options = RingOptions {
        slots: 3,
        lease: std::time::Duration::from_secs(60),
        frame_rate: Some(FrameRate { num: 25, den: 1 }),
    };
    let OpenRing::Ready(mut writer) = export.open_ring(geometry(16, 16), options).unwrap() else {
        panic!("the first ring waits for no lease")
    };
    let mut c = CReader::open(Build::Sanitized, rig.path());
    for id in 1..=3 {
        publish(&mut writer, id);
    }
    for id in 1..=3 {
        assert_eq!(c.id("next", &[&id, &(id - 1), &0]), Ok(id));
    }
    assert!(writer.claim(monotonic_ns()).is_err());
    for id in 1..=3 {
        has_pixels(&mut c, id as u32, id, &geometry(16, 16));
        assert_eq!(c.ask("valid", &[&id]), "yes");
    }
}
