//! Stops, refusals and many waiting readers.

use super::*;

#[test]
fn a_second_writer_is_refused_and_the_holder_named() {
    let rig = Rig::new();
    let export = rig.claim().unwrap();
    let error = rig.claim().unwrap_err().to_string();
    assert!(error.contains("camera gate"), "{error}");
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    drop(export);
    rig.claim().unwrap();
}

#[test]
fn a_clean_stop_leaves_nothing_and_is_reported() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let mut writer = open(&mut export, geometry(16, 16), options(4, 0));
    publish(&mut writer, 1).unwrap();
    let mut reader = rig.reader();
    assert_eq!(reader.seek(0).set_timeout(LONG).next().err().map(|e| e.to_string()), None);
    drop(writer);
    drop(export);
    assert_eq!(std::fs::read_dir(rig.path()).unwrap().count(), 0);
    let gone = reader.seek(1).set_timeout(LONG).newer().unwrap_err();
    assert!(matches!(gone, ReadError::WriterGone { how: WriterEnd::Stopped, .. }), "{gone}");
    // Every call reports it until the next writer comes.
    for gone in [
        reader.seek(1).set_timeout(NO_WAIT).newer(),
        reader.latest(),
        reader.seek(1).set_timeout(NO_WAIT).next(),
    ] {
        assert!(
            matches!(gone, Err(ReadError::WriterGone { how: WriterEnd::Stopped, .. })),
            "{gone:?}"
        );
    }
    let mut export = rig.claim().unwrap();
    let first = export.first_frame_id();
    assert!(first > 1, "frame ids rise across writers");
    let mut writer = open(&mut export, geometry(16, 16), options(4, 0));
    publish(&mut writer, first).unwrap();
    assert_eq!(reader.seek(1).set_timeout(LONG).newer().unwrap().meta().frame_id, first);
}

#[test]
fn a_sweep_removes_what_a_dead_writer_left_and_nothing_of_a_live_one() {
    let rig = Rig::new();
    let [live, dead, none] = ["gate", "yard", "none"].map(|id| CameraId::new(id).unwrap());
    let _export = rig.claim().unwrap();
    std::fs::create_dir(rig.path().join("yard")).unwrap();
    std::fs::write(rig.path().join("yard/frame.meta"), "left").unwrap();
    let all = [&live, &dead, &none];
    assert!(vas_frame::sweep(rig.path(), Access::default(), all).unwrap().is_empty());
    assert!(rig.path().join("gate").exists() && !rig.path().join("yard").exists());
    let nowhere = rig.path().join("nowhere");
    assert!(vas_frame::sweep(&nowhere, Access::default(), all).unwrap().is_empty());
    assert!(!nowhere.exists());
}

#[test]
fn removal_under_a_running_writer_is_noticed() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let _writer = open(&mut export, geometry(16, 16), options(4, 0));
    assert!(export.housekeep());
    std::fs::remove_dir_all(rig.path().join("gate")).unwrap();
    assert!(!export.housekeep());
    drop(export);
    assert!(rig.claim().unwrap().housekeep());
}

#[test]
fn a_ring_that_does_not_fit_is_refused_with_its_size() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let huge = geometry(16_384, 16_384);
    let error = export.open_ring(huge, options(1024, 0)).unwrap_err();
    assert!(matches!(error, ExportError::Memory(_)), "{error}");
    assert!(error.to_string().contains("MiB left"), "{error}");
    // No partly created files are left, and a ring that fits still opens.
    let names: Vec<_> = std::fs::read_dir(rig.path().join("gate"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
    open(&mut export, geometry(16, 16), options(4, 0));
}

#[test]
fn other_layouts_are_refused_with_a_reason() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let _writer = open(&mut export, geometry(16, 16), options(4, 0));
    let meta = rig.path().join("gate/frame.meta");
    let good = std::fs::read(&meta).unwrap();
    for (at, bytes, words) in [
        (0, 1u32.to_le_bytes(), "version 1, expected 2"),
        (64, *b"FRAM", "magic"),
        (72, [0; 4], "layout"),
        (96, 5000u32.to_le_bytes(), "5000 slots"),
        (36, 8u32.to_le_bytes(), "do not fit"),
        (24, 0u32.to_le_bytes(), "pictures of 0x16"),
    ] {
        let mut bad = good.clone();
        bad[at..at + 4].copy_from_slice(&bytes);
        std::fs::write(&meta, &bad).unwrap();
        let error = Reader::options().dir(rig.path()).open(camera()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    std::fs::write(&meta, &good[..100]).unwrap();
    let error = Reader::options().dir(rig.path()).open(camera()).unwrap_err().to_string();
    assert!(error.contains("100 bytes long"), "{error}");
}

/// Only a hostile writer publishes the highest id; a reader whose cursor is there must not wrap
/// around.
#[test]
fn no_frame_is_above_the_highest_id() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let mut writer = open(&mut export, geometry(16, 16), options(4, 0));
    let mut reader = rig.reader();
    publish(&mut writer, u64::MAX).unwrap();
    assert_eq!(
        reader.seek(u64::MAX - 1).set_timeout(NO_WAIT).next().unwrap().meta().frame_id,
        u64::MAX
    );
    for read in [Reader::next, Reader::newer] {
        reader.seek(u64::MAX).set_timeout(NO_WAIT);
        assert!(matches!(read(&mut reader), Err(ReadError::TimedOut { .. })));
    }
}

#[test]
fn endless_epochs_do_not_exceed_a_readers_timeout() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let mut writer = Some(open(&mut export, geometry(16, 16), options(4, 0)));
    let mut reader = rig.reader();
    publish(writer.as_mut().unwrap(), 1).unwrap();
    let mut epochs = 0;
    let late = reader.seek(0).set_timeout(NO_WAIT).newer_if(|meta| {
        epochs += 1;
        assert!(epochs < 100, "the reader exceeds its timeout");
        writer = None;
        let next = writer.insert(open(&mut export, geometry(16, 16), options(4, 0)));
        publish(next, meta.frame_id + 1).unwrap();
        false
    });
    assert!(matches!(late, Err(ReadError::TimedOut { .. })), "{late:?}");
}

/// Opening a FIFO would wait for its other end forever.
#[test]
fn a_planted_fifo_blocks_neither_reader_nor_writer() {
    let rig = Rig::new();
    let dir = rig.path().join("gate");
    std::fs::create_dir(&dir).unwrap();
    let plant = |name| {
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
        rustix::fs::mknodat(rustix::fs::CWD, dir.join(name), kind, mode, 0).unwrap();
    };
    plant("readers");
    rig.reader();
    plant("frame.meta");
    assert!(matches!(
        Reader::options().dir(rig.path()).open(camera()),
        Err(OpenError::Format { .. })
    ));
    std::fs::remove_file(dir.join("readers")).unwrap();
    let mut export = rig.claim().unwrap();
    open(&mut export, geometry(16, 16), options(4, 0));
    rig.reader();
}

#[test]
fn few_and_many_waiting_readers_are_woken() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let mut writer = open(&mut export, geometry(16, 16), options(4, 0));
    let turn = std::sync::Barrier::new(9);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (mut reader, turn) = (rig.reader(), &turn);
            scope.spawn(move || {
                for id in 1..=20 {
                    turn.wait();
                    assert_eq!(
                        reader.seek(id - 1).set_timeout(LONG).newer().unwrap().meta().frame_id,
                        id
                    );
                    turn.wait();
                }
            });
        }
        for id in 1..=20 {
            turn.wait();
            publish(&mut writer, id).unwrap();
            turn.wait();
        }
    });
}

#[test]
fn the_cursor_is_the_last_returned_frame() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let mut writer = open(&mut export, geometry(16, 16), options(4, 0));
    let mut reader = Reader::options().dir(rig.path()).timeout(NO_WAIT).open("gate").unwrap();
    let timed_out =
        |read: Result<Frame, ReadError>| matches!(read, Err(ReadError::TimedOut { .. }));
    (1..=3).for_each(|id| publish(&mut writer, id).unwrap());
    assert_eq!(reader.cursor(), 0);
    assert_eq!((reader.next().unwrap().id(), reader.next().unwrap().id()), (1, 2));
    assert_eq!((reader.newer().unwrap().id(), reader.cursor()), (3, 3));
    assert!(timed_out(reader.next()) && timed_out(reader.newer()));
    assert_eq!(reader.latest().unwrap().id(), 3, "any number of times");
    publish(&mut writer, 4).unwrap();
    // A rejected frame stays available to other calls.
    assert!(timed_out(reader.newer_if(|_| false)));
    assert_eq!(reader.cursor(), 3);
    assert_eq!(reader.latest().unwrap().id(), 4);
    assert!(timed_out(reader.next()), "`latest` moved the cursor");
    assert_eq!(reader.seek(1).next().unwrap().id(), 2);
    assert_eq!(reader.newer().unwrap().id(), 4);
}

#[test]
fn invalid_options_are_refused_when_a_reader_is_opened() {
    let rig = Rig::new();
    let _export = rig.claim().unwrap();
    let options = || Reader::options().dir(rig.path());
    for fps in [0, 1_000_001] {
        let refused = options().max_fps(fps).open("gate");
        assert!(matches!(refused, Err(OpenError::MaxFps { fps: stated }) if stated == fps));
    }
    let refused = options().open("../gate").unwrap_err();
    assert!(matches!(&refused, OpenError::CameraId(invalid) if invalid.text == "../gate"));
    assert!(options().max_fps(1_000_000).open(String::from("gate")).is_ok());
}

/// A report that prints an error and then its sources prints nothing twice.
#[test]
fn no_error_repeats_its_source() {
    let rig = Rig::new();
    let _export = rig.claim().unwrap();
    std::fs::create_dir(rig.path().join("gate/frame.meta")).unwrap();
    let format = Reader::options().dir(rig.path()).open("gate").unwrap_err();
    let link = rig.path().join("link");
    std::os::unix::fs::symlink("/", &link).unwrap();
    let io = Reader::options().dir(rig.path()).open("link").unwrap_err();
    let no_dir = ExportRoot::open(rig.path().join("none/none"), Access::default()).unwrap_err();
    assert!(matches!(no_dir, ExportError::Io { .. }), "{no_dir}");
    let errors: [Box<dyn std::error::Error>; 4] =
        [Box::new(ReadError::Open(format)), Box::new(io), Box::new(no_dir), rig.held()];
    for error in errors {
        let text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            assert!(!text.contains(&cause.to_string()), "{text}: {cause}");
            source = cause.source();
        }
    }
}
