//! What a consumer of `bench/peers` has seen: a file of records, which outlives a consumer that is stopped or killed.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// The age of a picture without a number that can be read.
const UNREADABLE: i64 = -1;

/// A file with 16 bytes for each frame: when the consumer had it, and its age then; both in nanoseconds.
#[derive(Debug)]
pub struct Sightings(File);

impl Sightings {
    /// Creates the file.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self(File::create(path).expect("a folder of the bench"))
    }

    /// Appends a frame.
    pub fn add(&mut self, now_ns: u64, age_ns: Option<u64>) {
        let age = age_ns.map_or(UNREADABLE, |age| age as i64);
        let mut record = [0; 16];
        record[..8].copy_from_slice(&now_ns.to_le_bytes());
        record[8..].copy_from_slice(&age.to_le_bytes());
        self.0.write_all(&record).expect("a file in memory");
    }
}
