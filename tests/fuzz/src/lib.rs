//! Hostile `frame.meta` and `frame.data` against reader and writer: what the fuzz targets run.
//!
//! Each target is a function of bytes, so that libFuzzer (`make fuzz`), the corpus test and a debugger run
//! the same code. It panics if a promise is broken:
//!
//! - no bytes crash a reader, make it leave its mapping or exceed its timeout;
//! - a returned frame has the size of its mapping, and an id above the cursor;
//! - a copy reported as whole has the bytes at the frame's offset in `frame.data`;
//! - a writer takes over any leftover files, and its ids are above theirs;
//! - nothing that a reader states about itself crashes the service or steers a terminal.
//!
//! The files are real ones on tmpfs, and the reader is the product's. [`vas_frame`]'s atomics replace
//! chance: under a fuzzer the script can intervene between any two loads.
#![allow(clippy::unwrap_used, reason = "a target fails by panicking")]

mod changer;
mod files;
mod honest;
mod meta;
mod reading;
mod script;
mod takeover;
mod telemetry;

use std::path::Path;

/// A target: runs one input, and panics when a promise is broken.
pub type Target = fn(&[u8]);

/// A reader's calls on hostile files, which the script changes between calls and between loads.
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

/// A writer that takes over arbitrary files in a camera's directory.
pub fn takeover(bytes: &[u8]) {
    if let Some(leftovers) = script::read(bytes) {
        takeover::run(&leftovers);
    }
}

/// The service that reads what a reader states about itself.
pub fn telemetry(bytes: &[u8]) {
    if let Some(statement) = script::read(bytes) {
        telemetry::run(&statement);
    }
}

/// Runs the input files and folders on the command line; returns the number of inputs.
pub fn replay(target: Target) -> usize {
    let inputs: usize =
        std::env::args_os().skip(1).map(|path| replay_path(target, path.as_ref())).sum();
    println!("{inputs} inputs");
    inputs
}

/// Runs one input, or all inputs in a folder.
pub fn replay_path(target: Target, path: &Path) -> usize {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).unwrap();
        return entries.map(|entry| replay_path(target, &entry.unwrap().path())).sum();
    }
    target(&std::fs::read(path).unwrap());
    1
}
