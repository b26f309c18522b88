//! Files that already exist at the export's names, or are removed from a running export.

use std::fs::{File, Permissions};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use vas_frame::{ExportError, Nv12Image, Reader};

use super::rig::{
    PATIENCE, STRANGER, Scratch, claim, epoch, is_right, is_root, open, options, publish, size,
};

const BAIT: &str = "not to be touched";

/// Creates something at a path: a link to a bait, a pipe, a file or a directory.
fn plant(kind: &str, path: &Path, bait: &Path) {
    std::fs::write(bait, BAIT).unwrap();
    match kind {
        "link" => symlink(bait, path).unwrap(),
        "dangling link" => symlink(bait.with_extension("none"), path).unwrap(),
        "pipe" => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
        "file" => std::fs::write(path, BAIT).unwrap(),
        "writable file" => {
            std::fs::write(path, BAIT).unwrap();
            std::fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
        }
        "directory" => std::fs::create_dir(path).unwrap(),
        other => panic!("no {other}"),
    }
}

fn publishes(place: &Scratch, export: &mut vas_frame::CameraExport, reader: Option<&mut Reader>) {
    let mut writer = open(export, size(64, 64), options(2, Duration::ZERO)).unwrap();
    let id = vas_frame::monotonic_ns().max(export.first_frame_id());
    publish(&mut writer, id, epoch(&place.camera())).unwrap();
    let mut new = place.reader();
    let start = std::time::Instant::now();
    for reader in reader.into_iter().chain([&mut new]) {
        loop {
            match reader.seek(id - 1).set_timeout(Duration::from_millis(50)).newer() {
                Ok(frame) => break assert!(is_right(&frame, &mut Nv12Image::default())),
                Err(error) => assert!(start.elapsed() < PATIENCE, "not followed: {error}"),
            }
        }
    }
}

#[test]
fn planted_before_the_writer_starts() {
    // Paths that the writer opens as they are: refused. Paths that it creates: replaced.
    for (name, refused) in [
        ("", &["link", "dangling link", "pipe", "file", "writable file"][..]),
        ("readers", &["link", "dangling link", "pipe", "writable file", "directory"]),
        (".writer", &["link", "dangling link", "pipe", "writable file", "directory"]),
        ("frame.meta", &[]),
        ("frame.data", &[]),
        (".frame.meta.new", &[]),
        (".frame.data.new", &[]),
    ] {
        let replaced = ["link", "dangling link", "pipe", "file", "writable file"];
        for kind in if refused.is_empty() { &replaced[..] } else { refused } {
            let place = Scratch::new();
            let root = place.root();
            let bait = root.with_file_name("bait");
            std::fs::create_dir_all(if name.is_empty() { root.clone() } else { place.camera() })
                .unwrap();
            let path = place.camera().join(name);
            let path = Path::new(path.to_str().unwrap().trim_end_matches('/'));
            plant(kind, path, &bait);
            match claim(&root) {
                Ok(mut export) => {
                    assert!(refused.is_empty(), "a {kind} at {name:?} was accepted");
                    publishes(&place, &mut export, None);
                    drop(export);
                    assert!(!path.exists());
                }
                Err(error) => {
                    assert!(refused.contains(kind), "a {kind} at {name:?}: {error}");
                    let words = error.to_string();
                    assert!(words.contains(path.to_str().unwrap()), "{words}");
                    assert!(matches!(error, ExportError::NotOurs { .. }), "{words}");
                    assert!(path.symlink_metadata().is_ok(), "a foreign file was removed: {words}");
                }
            }
            assert_eq!(std::fs::read_to_string(&bait).unwrap(), BAIT, "a {kind} at {name:?}");
            assert!(!bait.with_extension("none").exists());
        }
    }
}

#[test]
fn a_foreign_directory_is_not_used() {
    if !is_root("changing an owner") {
        return;
    }
    for name in ["vas", "vas/gate", "vas/gate/.writer", "vas/gate/readers"] {
        let place = Scratch::new();
        let path = place.root().with_file_name(name);
        if name.contains('.') || name.ends_with("readers") {
            std::fs::create_dir_all(place.camera()).unwrap();
            File::create(&path).unwrap();
        } else {
            std::fs::create_dir_all(&path).unwrap();
        }
        std::os::unix::fs::chown(&path, Some(STRANGER), Some(STRANGER)).unwrap();
        let words = claim(&place.root()).unwrap_err().to_string();
        for part in [path.to_str().unwrap(), "belongs to user 23456, expected user 0"] {
            assert!(words.contains(part), "{words}");
        }
    }
}

#[test]
fn planted_under_a_running_writer() {
    for name in [".frame.meta.new", ".frame.data.new"] {
        for kind in ["link", "pipe", "file"] {
            let place = Scratch::new();
            let mut export = claim(&place.root()).unwrap();
            let bait = place.root().with_file_name("bait");
            let path = place.camera().join(name);
            plant(kind, &path, &bait);
            publishes(&place, &mut export, None);
            assert_eq!(std::fs::read_to_string(&bait).unwrap(), BAIT);
            assert!(export.housekeep());
            let meta = place.camera().join("frame.meta").symlink_metadata().unwrap();
            assert!(meta.is_file() && !meta.file_type().is_fifo());
        }
    }
}

#[test]
fn removed_under_a_running_writer() {
    let names = ["", "gate", "gate/readers", "gate/.writer", "gate/frame.meta", "gate/frame.data"];
    for (name, moved) in names.iter().flat_map(|name| [(name, false), (name, true)]) {
        let place = Scratch::new();
        let mut export = claim(&place.root()).unwrap();
        publishes(&place, &mut export, None);
        let mut reader = place.reader();
        let path = place.root().join(name);
        let path = Path::new(path.to_str().unwrap().trim_end_matches('/'));
        if moved {
            std::fs::rename(path, place.root().with_file_name("aside")).unwrap();
        } else if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
        assert!(!export.housekeep(), "the removal of {name:?} was not noticed");
        drop(export);
        let mut export = claim(&place.root()).unwrap();
        publishes(&place, &mut export, Some(&mut reader));
        assert!(export.housekeep(), "{name:?}");
    }
}

/// A writer whose lock file was removed takes nothing from one that started meanwhile.
#[test]
fn a_writer_that_lost_its_lock_file_leaves_the_next_one_alone() {
    let place = Scratch::new();
    let mut first = claim(&place.root()).unwrap();
    publishes(&place, &mut first, None);
    std::fs::remove_file(place.camera().join(".writer")).unwrap();
    let mut second = claim(&place.root()).unwrap();
    publishes(&place, &mut second, None);
    let mut reader = place.reader();
    assert!(!first.housekeep());
    drop(first);
    assert!(second.housekeep(), "the first writer removed the second's files");
    assert!(matches!(claim(&place.root()), Err(ExportError::Held { .. })));
    publishes(&place, &mut second, Some(&mut reader));
}
