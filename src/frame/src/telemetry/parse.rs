//! Reads a reader's file from its bytes, of which nothing is believed.

use std::mem::offset_of;

use super::ages::{BUCKETS, quantile_ms};
use super::layout::{FILE_SIZE, Header, MAGIC, NAME_BYTES, RECENT_NS, VERSION, WINDOWS, Window};
use crate::camera_id::{CameraId, InvalidCameraId};
use crate::demand::MaxFps;

/// What a reader states about itself. All of it is the claim of another process, except that its texts are short and
/// have no control characters.
#[derive(Clone, Debug, PartialEq)]
pub struct ReaderReport {
    /// The camera that it reads.
    pub camera: CameraId,
    /// The name that its user gave it; may be empty.
    pub name: String,
    /// The file name of its program; may be empty.
    pub program: String,
    /// Its process id, as the process sees itself: within a container, another than outside.
    pub pid: u32,
    /// The rate that it asks for; `None`: every frame.
    pub max_fps: Option<MaxFps>,
    /// When it was opened, `CLOCK_MONOTONIC`.
    pub opened_ns: u64,
    /// Frames that calls returned.
    pub taken: u64,
    /// Frames that were overwritten before they were returned, as far as the reader knows. Only one that wants each
    /// frame ([`Reader::next`](crate::Reader::next)) counts them.
    pub missed: u64,
    /// Frames that were overwritten while it read them.
    pub overwritten: u64,
    /// Id of the frame last returned; 0 before the first.
    pub last_frame_id: u64,
    /// When that was, `CLOCK_MONOTONIC`; `None` before the first.
    pub last_taken_ns: Option<u64>,
    /// The last 30 to 60 s.
    pub recent: Recent,
}

/// What a reader did in the last 30 to 60 s.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recent {
    /// Frames that calls returned.
    pub taken: u64,
    /// As [`ReaderReport::missed`].
    pub missed: u64,
    /// As [`ReaderReport::overwritten`].
    pub overwritten: u64,
    /// Median age of frames when they were returned, from the arrival of their first packet, in milliseconds; at most
    /// 6.25 % (62.5 us below 1 ms) too high. `None` without frames.
    pub p50_ms: Option<f64>,
    /// The same for 99 in 100 frames; 65,536 stands for more.
    pub p99_ms: Option<f64>,
}

/// Why bytes are not a reader's file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// It has another size.
    #[error("is {found} bytes long, expected {FILE_SIZE}")]
    Size {
        /// Its size in bytes.
        found: usize,
    },
    /// The magic number is missing.
    #[error("begins with {found:#018x}, not with VASREADR")]
    Magic {
        /// The bytes found, as a little-endian word.
        found: u64,
    },
    /// A field with a single valid value has another.
    #[error("has {name} {found}, expected {expected}")]
    Field {
        /// The field, by its name in docs/ref/reader-telemetry.md.
        name: &'static str,
        /// Its value.
        found: u32,
        /// The value that this version supports.
        expected: u32,
    },
    /// The rate is higher than a reader can ask for.
    #[error("asks for {found} frames in 1000 s, expected up to 1000000000")]
    Rate {
        /// Thousandths of a frame per second.
        found: u32,
    },
    /// It names no camera.
    #[error(transparent)]
    Camera(#[from] InvalidCameraId),
    /// It was being changed when the bytes were read.
    #[error("is being changed")]
    Changing,
}

/// Reads a file's bytes at `now_ns` (`CLOCK_MONOTONIC`).
///
/// # Errors
/// [`Malformed`], for all that no reader writes; [`Malformed::Changing`] for what a later reading may get whole.
pub fn parse(bytes: &[u8], now_ns: u64) -> Result<ReaderReport, Malformed> {
    if bytes.len() != FILE_SIZE {
        return Err(Malformed::Size { found: bytes.len() });
    }
    let magic = u64_at(bytes, offset_of!(Header, magic));
    if magic != MAGIC {
        return Err(Malformed::Magic { found: magic });
    }
    for (name, offset, expected) in [
        ("version", offset_of!(Header, version), VERSION),
        ("file_size", offset_of!(Header, file_size), FILE_SIZE as u32),
    ] {
        let found = u32_at(bytes, offset);
        if found != expected {
            return Err(Malformed::Field { name, found, expected });
        }
    }
    if !sequence(bytes).is_multiple_of(2) {
        return Err(Malformed::Changing);
    }
    let camera = CameraId::new(text_at(bytes, offset_of!(Header, camera_id)))?;
    let max_fps = match u32_at(bytes, offset_of!(Header, max_millihertz)) {
        0 => None,
        found => Some(MaxFps::from_millihertz(found).ok_or(Malformed::Rate { found })?),
    };
    let last_frame_id = u64_at(bytes, offset_of!(Header, last_frame_id));
    let last_taken_ns = u64_at(bytes, offset_of!(Header, last_taken_ns));
    Ok(ReaderReport {
        camera,
        name: text_at(bytes, offset_of!(Header, name)),
        program: text_at(bytes, offset_of!(Header, program)),
        pid: u32_at(bytes, offset_of!(Header, pid)),
        max_fps,
        opened_ns: u64_at(bytes, offset_of!(Header, opened_ns)),
        taken: u64_at(bytes, offset_of!(Header, taken)),
        missed: u64_at(bytes, offset_of!(Header, missed)),
        overwritten: u64_at(bytes, offset_of!(Header, overwritten)),
        last_frame_id,
        last_taken_ns: (last_frame_id != 0).then_some(last_taken_ns),
        recent: recent(bytes, now_ns),
    })
}

/// The sequence in a file's bytes: what it guards is whole if it is even, and the same before and after.
pub(super) fn sequence(bytes: &[u8]) -> u64 {
    u64_at(bytes, SEQUENCE_AT)
}

/// Where the sequence stands.
pub(super) const SEQUENCE_AT: usize = offset_of!(Header, sequence);

/// The sum of the windows that began in the last minute.
fn recent(bytes: &[u8], now_ns: u64) -> Recent {
    let mut sum = Recent::default();
    let mut ages = [0_u64; BUCKETS];
    for window in 0..WINDOWS {
        let base = size_of::<Header>() + window * size_of::<Window>();
        let start_ns = u64_at(bytes, base + offset_of!(Window, start_ns));
        if start_ns == 0 || start_ns > now_ns || now_ns - start_ns > RECENT_NS {
            continue;
        }
        let add = |to: &mut u64, offset| *to = to.saturating_add(u64_at(bytes, base + offset));
        add(&mut sum.taken, offset_of!(Window, taken));
        add(&mut sum.missed, offset_of!(Window, missed));
        add(&mut sum.overwritten, offset_of!(Window, overwritten));
        for (bucket, count) in ages.iter_mut().enumerate() {
            let offset = base + offset_of!(Window, ages) + bucket * size_of::<u32>();
            *count += u64::from(u32_at(bytes, offset));
        }
    }
    Recent { p50_ms: quantile_ms(&ages, 500), p99_ms: quantile_ms(&ages, 990), ..sum }
}

/// A text for people: terminals, logs and JSON. What could steer one of them becomes `?`.
fn text_at(bytes: &[u8], offset: usize) -> String {
    let field = &bytes[offset..offset + NAME_BYTES];
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(NAME_BYTES);
    let safe =
        |c: char| if c.is_alphanumeric() || c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    String::from_utf8_lossy(&field[..end]).chars().map(safe).collect()
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let word = bytes[offset..].first_chunk().expect("fields lie within the file");
    u32::from_le_bytes(*word)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let word = bytes[offset..].first_chunk().expect("fields lie within the file");
    u64::from_le_bytes(*word)
}
