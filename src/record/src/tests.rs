//! Folders and files on a real disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use vas_config::Keep;
use vas_frame::CameraId;

use super::camera_dir::CameraDir;
use super::error::RecordError;
use super::housekeeping::{Neighbors, tidy};
use super::index::RecordingIndex;
use super::name::Name;
use super::neighbors::Trust;
use super::retention::Kept;

const KEEP: Keep = Keep { time: None, bytes: None, free_bytes: 0 };
const SECOND: i64 = 1_000_000_000;

fn camera() -> CameraId {
    CameraId::new("gate").unwrap()
}

fn at(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}

fn boxed(kind: &[u8; 4], body: usize) -> Vec<u8> {
    [&u32::try_from(8 + body).unwrap().to_be_bytes()[..], kind, &vec![7; body]].concat()
}

/// A file of `fragments` that is playable as far as its boxes go.
fn mp4(fragments: usize) -> Vec<u8> {
    let fragment = [boxed(b"moof", 10), boxed(b"mdat", 50)].concat();
    [boxed(b"ftyp", 8), boxed(b"moov", 30), fragment.repeat(fragments)].concat()
}

fn put(dir: &Path, path: &str, bytes: &[u8]) {
    let path = dir.join("gate").join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// All files in the camera's folder except the lock.
fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![dir.join("gate")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path),
            }
        }
    }
    let base = dir.join("gate");
    let name = |path: &PathBuf| path.strip_prefix(&base).unwrap().display().to_string();
    let mut names: Vec<_> = found.iter().map(name).filter(|name| name != ".recorder").collect();
    names.sort();
    names
}

/// The camera's folder and its contents, at a time.
fn index(dir: &Path, keep: Keep, now: &str) -> (CameraDir, Arc<RecordingIndex>) {
    let camera_dir = CameraDir::take(dir, &camera()).unwrap();
    let index = Arc::new(RecordingIndex::new(keep));
    index.fill(&camera_dir, camera_dir.list().unwrap(), at(now), 0);
    (camera_dir, index)
}

#[test]
fn a_folder_that_is_not_there_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("disk");
    let words = CameraDir::take(&missing, &camera()).unwrap_err().to_string();
    assert!(
        words.starts_with("there is no folder ") && words.contains("mount its disk"),
        "{words}"
    );
    assert!(!missing.exists());
}

#[test]
fn two_never_record_into_one_folder() {
    let dir = tempfile::tempdir().unwrap();
    let first = CameraDir::take(dir.path(), &camera()).unwrap();
    let second = CameraDir::take(dir.path(), &camera());
    assert!(matches!(second, Err(RecordError::Taken { .. })), "{second:?}");
    drop(first);
    CameraDir::take(dir.path(), &camera()).unwrap();
}

#[test]
fn what_a_crash_left_open_gets_its_name_up_to_its_last_fragment() {
    let dir = tempfile::tempdir().unwrap();
    let (two, three) = (mp4(2), mp4(3));
    put(dir.path(), "2026-11-25/10-00-00.mp4.part", &three[..three.len() - 1]);
    put(dir.path(), "2026-11-25/10-01-00.mp4.part", &mp4(0));
    put(dir.path(), "2026-11-25/10-02-00.mp4.part", b"");
    // A name that is taken by now is not overwritten.
    put(dir.path(), "2026-11-25/10-03-00.mp4.part", &two);
    put(dir.path(), "2026-11-25/10-03-00.mp4", b"mine");
    put(dir.path(), "notes.txt", b"mine");
    put(dir.path(), "2026-11-25/10-04-00.mkv", b"mine");
    let camera_dir = CameraDir::take(dir.path(), &camera()).unwrap();
    let found: Vec<_> = camera_dir.list().unwrap().iter().map(|found| found.bytes).collect();
    assert_eq!(found.iter().filter(|&&bytes| bytes == two.len() as u64).count(), 2);
    assert_eq!(
        files(dir.path()),
        [
            "2026-11-25/10-00-00.mp4",
            "2026-11-25/10-03-00.mp4",
            "2026-11-25/10-03-00_1.mp4",
            "2026-11-25/10-04-00.mkv",
            "notes.txt"
        ]
    );
    let of = |name: &str| fs::read(dir.path().join("gate").join(name)).unwrap();
    assert_eq!(of("2026-11-25/10-00-00.mp4"), two);
    assert_eq!(of("2026-11-25/10-03-00.mp4"), b"mine");
}

#[test]
fn a_clock_that_was_put_back_writes_over_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let camera_dir = CameraDir::take(dir.path(), &camera()).unwrap();
    let mut names = Vec::new();
    for n in 0..3 {
        let (name, file) = camera_dir.create(at("2026-11-25T10:00:00Z")).unwrap();
        fs::write(camera_dir.dir().join(name.unfinished()), mp4(n + 1)).unwrap();
        // The second one is still open when the third begins.
        if n != 1 {
            camera_dir.close(&file, name).unwrap();
        }
        names.push(name.path().display().to_string());
    }
    assert_eq!(
        names,
        ["2026-11-25/10-00-00.mp4", "2026-11-25/10-00-00_1.mp4", "2026-11-25/10-00-00_2.mp4"]
    );
    assert_eq!(fs::read(camera_dir.dir().join(&names[0])).unwrap(), mp4(1));
    assert_eq!(fs::read(camera_dir.dir().join(&names[2])).unwrap(), mp4(3));
}

#[test]
fn the_oldest_files_go_and_nothing_else_does() {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "2026-11-23/10-00-00.mp4",
        "2026-11-24/09-00-00.mp4",
        "2026-11-24/11-00-00.mp4",
        "2026-11-25/09-00-00.mp4",
        "2026-11-23/mine.mp4",
        "2020-01-01/extra.mp4",
    ] {
        put(dir.path(), name, &mp4(1));
    }
    let keep = Keep { time: Some(Duration::from_secs(24 * 3600)), ..KEEP };
    let (_home, index) = index(dir.path(), keep, "2026-11-25T10:00:00Z");
    tidy(&[Arc::clone(&index)], 0, Neighbors::Heed(&mut Trust::default()));
    let left = [
        "2020-01-01/extra.mp4",
        "2026-11-23/mine.mp4",
        "2026-11-24/11-00-00.mp4",
        "2026-11-25/09-00-00.mp4",
    ];
    assert_eq!(files(dir.path()), left);
    // Two hours on, by a clock that is never set; and an empty day's folder goes.
    tidy(&[Arc::clone(&index)], 2 * 3600 * SECOND, Neighbors::Heed(&mut Trust::default()));
    assert_eq!(files(dir.path()), [left[0], left[1], left[3]]);
    assert!(!dir.path().join("gate/2026-11-24").exists());
    // A folder that is no longer ours is not touched.
    index.leave();
    tidy(&[index], 9_000_000 * SECOND, Neighbors::Heed(&mut Trust::default()));
    assert_eq!(files(dir.path()), [left[0], left[1], left[3]]);
}

#[test]
fn what_was_recorded_last_is_kept_longest_whatever_the_clock_said() {
    let dir = tempfile::tempdir().unwrap();
    let one = mp4(1).len() as u64;
    put(dir.path(), "2026-11-25/10-00-00.mp4", &mp4(1));
    put(dir.path(), "2026-11-25/10-01-00.mp4", &mp4(1));
    let keep = Keep { bytes: Some(2 * one), time: Some(Duration::from_secs(3600)), ..KEEP };
    // The clock was an hour ahead when those were made: they lie in the future, and are not old.
    let (camera_dir, index) = index(dir.path(), keep, "2026-11-25T09:00:00Z");
    let (name, file) = camera_dir.create(at("2026-11-25T09:00:05Z")).unwrap();
    fs::write(camera_dir.dir().join(name.unfinished()), mp4(1)).unwrap();
    let name = camera_dir.close(&file, name).unwrap();
    index.add(name, Kept { began_ns: 5 * SECOND, bytes: one });
    tidy(&[index], 65 * SECOND, Neighbors::Heed(&mut Trust::default()));
    assert_eq!(files(dir.path()), ["2026-11-25/09-00-05.mp4", "2026-11-25/10-01-00.mp4"]);
}

#[test]
fn room_is_made_on_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "2026-11-25/10-00-00.mp4", &mp4(1));
    let keep = Keep { free_bytes: u64::MAX, ..KEEP };
    let (_home, index) = index(dir.path(), keep, "2026-11-25T10:00:00Z");
    tidy(&[index], 0, Neighbors::Heed(&mut Trust::default()));
    assert_eq!(files(dir.path()), Vec::<String>::new());
}

#[test]
fn a_neighbour_whose_recording_is_older_makes_room_first() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "2026-11-25/10-00-00.mp4", &mp4(1));
    let theirs = dir.path().join("yard/2020-01-01");
    fs::create_dir_all(&theirs).unwrap();
    // Long ago, also by the real clock. A hole: no other writer of this disk changes as much.
    fs::File::create(theirs.join("09-00-00.mp4")).unwrap().set_len(1 << 40).unwrap();
    // More than there is, by less than the neighbor holds.
    let stat = rustix::fs::statvfs(dir.path()).unwrap();
    let free_bytes = stat.f_bavail * stat.f_frsize + (1 << 39);
    let keep = Keep { free_bytes, ..KEEP };
    let (_home, index) = index(dir.path(), keep, "2026-11-25T10:30:00Z");
    let neighbour = CameraDir::take(dir.path(), &CameraId::new("yard").unwrap()).unwrap();
    tidy(&[Arc::clone(&index)], 0, Neighbors::Heed(&mut Trust::default()));
    assert_eq!(files(dir.path()), ["2026-11-25/10-00-00.mp4"]);
    // Nothing records there any more, so nothing else makes room.
    drop(neighbour);
    tidy(&[index], 0, Neighbors::Heed(&mut Trust::default()));
    assert_eq!(files(dir.path()), Vec::<String>::new());
    assert!(theirs.join("09-00-00.mp4").exists(), "what is another's is left alone");
}

#[test]
fn a_neighbour_that_deletes_nothing_does_not_make_the_disk_fill_up() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "2026-11-25/10-00-00.mp4", &mp4(1));
    let theirs = dir.path().join("yard/2020-01-01");
    fs::create_dir_all(&theirs).unwrap();
    // Of another service, with `keep_free = 0`.
    fs::File::create(theirs.join("09-00-00.mp4")).unwrap().set_len(1 << 40).unwrap();
    let stat = rustix::fs::statvfs(dir.path()).unwrap();
    let keep = Keep { free_bytes: stat.f_bavail * stat.f_frsize + (1 << 39), ..KEEP };
    let (_home, index) = index(dir.path(), keep, "2026-11-25T10:30:00Z");
    let _neighbour = CameraDir::take(dir.path(), &CameraId::new("yard").unwrap()).unwrap();
    let mut trust = Trust::default();
    for seconds in [0, 5, 10] {
        tidy(&[Arc::clone(&index)], seconds * SECOND, Neighbors::Heed(&mut trust));
        assert_eq!(files(dir.path()), ["2026-11-25/10-00-00.mp4"]);
    }
    tidy(&[Arc::clone(&index)], 15 * SECOND, Neighbors::Heed(&mut trust));
    assert_eq!(files(dir.path()), Vec::<String>::new());
}

#[test]
fn what_cannot_be_deleted_is_left_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "2026-11-25/10-00-00.mp4", &mp4(1));
    let keep = Keep { bytes: Some(1), ..KEEP };
    let (_home, index) = index(dir.path(), keep, "2026-11-25T10:00:00Z");
    // A folder in its place can't be removed as a file, not even by root.
    let path = dir.path().join("gate/2026-11-25/10-00-00.mp4");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    tidy(&[Arc::clone(&index)], 0, Neighbors::Heed(&mut Trust::default()));
    assert_eq!(index.first(), Name::of(at("2026-11-25T10:00:00Z")));
    fs::remove_dir(&path).unwrap();
    tidy(&[Arc::clone(&index)], 0, Neighbors::Heed(&mut Trust::default()));
    assert_eq!(index.first(), None);
}

#[test]
fn a_folder_that_was_taken_is_known_from_one_that_came_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let camera_dir = CameraDir::take(dir.path(), &camera()).unwrap();
    assert!(camera_dir.is_there());
    let aside = dir.path().join("aside");
    fs::rename(camera_dir.dir(), &aside).unwrap();
    assert!(!camera_dir.is_there());
    let other = CameraDir::take(dir.path(), &camera()).unwrap();
    assert!(other.is_there() && !camera_dir.is_there());
    fs::remove_dir_all(camera_dir.dir()).unwrap();
    fs::rename(&aside, camera_dir.dir()).unwrap();
    assert!(camera_dir.is_there() && !other.is_there());
}

#[test]
fn a_name_that_leads_elsewhere_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let camera_dir = CameraDir::take(dir.path(), &camera()).unwrap();
    let (name, file) = camera_dir.create(at("2026-11-25T10:00:00Z")).unwrap();
    assert!(camera_dir.still_has(&file, name));
    let path = camera_dir.dir().join(name.unfinished());
    fs::remove_file(&path).unwrap();
    assert!(!camera_dir.still_has(&file, name));
    fs::write(&path, b"another").unwrap();
    assert!(!camera_dir.still_has(&file, name));
}
