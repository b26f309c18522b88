//! Hostile `frame.meta` and `frame.data` against reader and writer: what the fuzz targets run.
//!
//! Each target is a function of bytes, so that libFuzzer (`make fuzz`), the corpus test and a debugger run
//! the same. It panics where a promise is broken:
//!
//! - no bytes crash a reader, lead it out of its mapping or keep it past its time;
//! - a frame that it hands out has the size of its mapping, and an id above the one that was asked for;
//! - a copy that it calls whole holds the bytes that lie at the frame's place in `frame.data`;
//! - a writer takes over from any leftovers, and its ids are above theirs.
//!
//! The files are real ones on tmpfs, and the reader is the one that the product has. What stands in for
//! chance is [`vas_frame`]'s atomics: under a fuzzer the script comes in between any two loads.
#![allow(clippy::unwrap_used, reason = "a target fails by panicking")]

mod changer;
mod files;
mod honest;
mod meta;
mod reading;
mod script;
mod takeover;

use std::path::Path;

/// A target: runs one input, and panics when a promise is broken.
pub type Target = fn(&[u8]);

/// A reader's calls on hostile files, which the script changes between its calls and its loads.
pub fn open_and_read(bytes: &[u8]) {
    if let Some(script) = script::read(bytes) {
        reading::run(&script, reading::Adversary::BetweenLoads);
    }
}

/// The same calls, while a second thread changes the files as fast as it can.
pub fn changing(bytes: &[u8]) {
    if let Some(script) = script::read(bytes) {
        reading::run(&script, reading::Adversary::Thread);
    }
}

/// A writer that takes over whatever was left in a camera's directory.
pub fn takeover(bytes: &[u8]) {
    if let Some(leftovers) = script::read(bytes) {
        takeover::run(&leftovers);
    }
}

/// Runs the files and folders of inputs that the command line names, and says how many inputs that were.
pub fn replay(target: Target) -> usize {
    let inputs: usize =
        std::env::args_os().skip(1).map(|path| replay_path(target, path.as_ref())).sum();
    println!("{inputs} inputs");
    inputs
}

/// Runs one input, or all those of a folder.
pub fn replay_path(target: Target, path: &Path) -> usize {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).unwrap();
        return entries.map(|entry| replay_path(target, &entry.unwrap().path())).sum();
    }
    target(&std::fs::read(path).unwrap());
    1
}
