//! The service that reads what a reader states about itself.

use arbitrary::Arbitrary;
use vas_frame::layout::Field;
use vas_frame::telemetry::{FILE_SIZE, HEADER, MAGIC, NAME_BYTES, VERSION, parse};

use crate::script::{MOST, Value};

/// A reader's file, and when it is read.
#[derive(Arbitrary, Debug)]
pub(crate) struct Statement<'a> {
    bytes: Bytes<'a>,
    now_ns: u64,
}

#[derive(Arbitrary, Debug)]
enum Bytes<'a> {
    /// An honest reader's, with some words changed.
    Spoilt(Vec<(u16, Value)>),
    /// An honest reader's camera, and then any.
    Behind(&'a [u8]),
    Raw(&'a [u8]),
}

/// Reads the file: whatever it holds, the outcome fits a terminal and a status.
pub(crate) fn run(statement: &Statement<'_>) {
    let mut file = honest();
    match &statement.bytes {
        Bytes::Spoilt(words) => {
            for (word, value) in words.iter().take(MOST) {
                let at = usize::from(*word) * size_of::<u64>() % FILE_SIZE;
                let present = file[at..].first_chunk().unwrap();
                let value = value.of(u64::from_le_bytes(*present));
                file[at..at + size_of::<u64>()].copy_from_slice(&value.to_le_bytes());
            }
        }
        Bytes::Behind(bytes) => {
            let (at, len) = (at("name"), bytes.len().min(FILE_SIZE - at("name")));
            file[at..at + len].copy_from_slice(&bytes[..len]);
        }
        Bytes::Raw(bytes) => file = bytes.to_vec(),
    }
    let report = match parse(&file, statement.now_ns) {
        Ok(report) => report,
        Err(problem) => {
            let words = problem.to_string();
            assert!(!words.is_empty() && !words.chars().any(char::is_control), "{words:?}");
            return;
        }
    };
    assert_eq!(file.len(), FILE_SIZE);
    for text in [&report.name, &report.program] {
        assert!(text.chars().count() <= NAME_BYTES, "{text:?}");
        assert!(!text.chars().any(|c| c.is_control() || !(c.is_alphanumeric() || c.is_ascii())));
    }
    let (p50, p99) = (report.recent.p50_ms, report.recent.p99_ms);
    assert_eq!(p50.is_some(), p99.is_some());
    assert!(p50 <= p99 && p99 <= Some(65_536.0), "{p50:?} {p99:?}");
    assert!(report.max_fps.is_none_or(|rate| rate.millihertz() <= 1_000_000_000));
}

/// The bytes of a reader that has taken nothing.
fn honest() -> Vec<u8> {
    let mut file = vec![0; FILE_SIZE];
    let mut put = |name, value: &[u8]| file[at(name)..][..value.len()].copy_from_slice(value);
    put("magic", &MAGIC.to_le_bytes());
    put("version", &VERSION.to_le_bytes());
    put("file_size", &(FILE_SIZE as u32).to_le_bytes());
    put("camera_id", b"gate");
    put("name", b"people");
    file
}

fn at(name: &str) -> usize {
    let field: &Field = HEADER.iter().find(|field| field.name == name).unwrap();
    field.offset
}
