//! Recorded files, and their contents as FFmpeg reads them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::clip::run;

/// A camera's files whose names end with `end`, in order.
pub fn files(dir: &Path, camera: &str, end: &str) -> Vec<PathBuf> {
    let entries = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let days = entries(&dir.join(camera));
    let mut files: Vec<_> = days.iter().flat_map(|day| entries(day)).collect();
    files.retain(|file| file.to_str().unwrap().ends_with(end));
    files.sort();
    files
}

/// Stream, decoding time, time, duration, size and MD5 of each packet.
pub fn packets(file: &Path) -> Vec<String> {
    frame_md5(file, &["-c", "copy"])
}

/// The same of each picture.
pub fn pictures(file: &Path) -> Vec<String> {
    frame_md5(file, &["-fps_mode", "passthrough"])
}

/// The packets' sizes and MD5s alone.
pub fn contents(packets: &[String]) -> Vec<&str> {
    let after = |line: &'_ str| line.match_indices(',').nth(3).unwrap().0;
    packets.iter().map(|line| &line[after(line)..]).collect()
}

fn frame_md5(file: &Path, arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-xerror", "-nostdin", "-threads", "1", "-i"]).arg(file);
    let text = run(command.args(arguments).args(["-f", "framemd5", "-"]));
    text.lines().filter(|line| !line.starts_with('#')).map(Into::into).collect()
}

/// The number of fragments with an index in a file.
pub fn fragments(file: &Path) -> usize {
    let bytes = std::fs::read(file).unwrap_or_default();
    bytes.windows(4).filter(|four| four == b"moof").count()
}

/// Waits until `look` returns a value.
pub fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "no {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
