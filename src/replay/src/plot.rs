//! A picture of who was allowed which frames, over time.
//!
//! A lane for each subscription, in the order of the report: a tick for each frame, dark where it was
//! allowed and pale where it was not. Behind them a line for each second.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::tally::Tally;

const WIDTH: usize = 1600;
const MARGIN: usize = 8;
const LANE: usize = 32;
const GAP: usize = 8;

/// Shades of grey.
const PAPER: u8 = 255;
const SECOND: u8 = 225;
const SKIPPED: u8 = 190;
const ALLOWED: u8 = 0;

/// A plot could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write plot {}: {source}", path.display())]
pub struct PlotError {
    path: PathBuf,
    source: png::EncodingError,
}

/// Writes a plot of `tallies` to `path` as a grey PNG, replacing a file that is there.
///
/// # Errors
/// The folder or disk does not take it.
pub fn write(path: &Path, tallies: &[&Tally]) -> Result<(), PlotError> {
    let picture = Picture::of(tallies);
    let failed = |source| PlotError { path: path.to_owned(), source };
    File::create(path).map_err(io_error).and_then(|file| picture.encode(file)).map_err(failed)
}

fn io_error(error: io::Error) -> png::EncodingError {
    error.into()
}

struct Picture {
    height: usize,
    pixels: Vec<u8>,
}

/// Where times lie in the picture.
struct Axis {
    from_ns: u64,
    span_ns: u64,
}

impl Axis {
    fn of(tallies: &[&Tally]) -> Self {
        let times = || tallies.iter().flat_map(|tally| tally.seen.iter().copied());
        let from_ns = times().min().unwrap_or(0);
        let to_ns = times().max().unwrap_or(0);
        Self { from_ns, span_ns: (to_ns - from_ns).max(1) }
    }

    fn column(&self, time_ns: u64) -> usize {
        let across =
            u128::from(time_ns.saturating_sub(self.from_ns)) * (WIDTH - 2 * MARGIN - 1) as u128;
        MARGIN + usize::try_from(across / u128::from(self.span_ns)).unwrap_or(0)
    }

    /// A column for each whole second, as long as they stay apart.
    fn seconds(&self) -> impl Iterator<Item = usize> {
        let seconds = self.span_ns / 1_000_000_000;
        let shown = if seconds < WIDTH as u64 / 4 { seconds + 1 } else { 0 };
        (0..shown).map(|second| self.column(self.from_ns + second * 1_000_000_000))
    }
}

impl Picture {
    fn of(tallies: &[&Tally]) -> Self {
        let height = 2 * MARGIN + tallies.len() * (LANE + GAP);
        let mut picture = Self { height, pixels: vec![PAPER; WIDTH * height] };
        let axis = Axis::of(tallies);
        for column in axis.seconds() {
            picture.tick(column, 0..height, SECOND);
        }
        for (lane, tally) in tallies.iter().enumerate() {
            let top = MARGIN + lane * (LANE + GAP);
            for time_ns in &tally.seen {
                picture.tick(axis.column(*time_ns), top + LANE / 2..top + LANE, SKIPPED);
            }
            for allowed in &tally.allowed {
                picture.tick(axis.column(allowed.gate_ns), top..top + LANE, ALLOWED);
            }
        }
        picture
    }

    fn tick(&mut self, column: usize, rows: std::ops::Range<usize>, shade: u8) {
        for row in rows {
            if let Some(pixel) = self.pixels.get_mut(row * WIDTH + column) {
                *pixel = shade;
            }
        }
    }

    fn encode(&self, file: File) -> Result<(), png::EncodingError> {
        let mut file = BufWriter::new(file);
        // Both come from constants and a number of subscriptions.
        let mut encoder = png::Encoder::new(&mut file, WIDTH as u32, self.height as u32);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish()?;
        Ok(file.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use ruth_core::{Limit, ModelId};

    use super::*;
    use crate::tally::Allowed;

    fn tally(seen: &[u64], allowed: &[u64]) -> Tally {
        let mut tally = Tally::new(ModelId::new("people").unwrap(), Limit::UNLIMITED);
        tally.seen = seen.to_vec();
        tally.allowed = allowed.iter().map(|t| Allowed { gate_ns: *t, published_ns: *t }).collect();
        tally
    }

    #[test]
    fn frames_stand_where_their_time_is() {
        let (first, last) = (MARGIN, WIDTH - MARGIN - 1);
        let picture = Picture::of(&[&tally(&[7, 8, 9], &[7]), &tally(&[], &[])]);
        let lane = &picture.pixels[(MARGIN + LANE - 1) * WIDTH..][..WIDTH];
        let middle = usize::midpoint(first, last);
        assert_eq!((lane[first], lane[middle], lane[last]), (ALLOWED, SKIPPED, SKIPPED));
        assert_eq!(lane.iter().filter(|shade| **shade != PAPER).count(), 3);
        let below = &picture.pixels[(MARGIN + LANE + GAP) * WIDTH..];
        // The line of the first second, and nothing of the second subscription.
        assert!(below.iter().all(|shade| [PAPER, SECOND].contains(shade)));
    }

    #[test]
    fn extreme_times_have_a_place() {
        for times in [vec![], vec![0], vec![u64::MAX], vec![0, u64::MAX]] {
            let picture = Picture::of(&[&tally(&times, &times)]);
            assert_eq!(picture.pixels.len(), WIDTH * picture.height);
        }
    }

    #[test]
    fn a_decoder_reads_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        write(&path, &[&tally(&[0, 5_000_000_000], &[0])]).unwrap();
        let file = io::BufReader::new(File::open(&path).unwrap());
        let reader = png::Decoder::new(file).read_info().unwrap();
        assert_eq!(reader.info().size(), (WIDTH as u32, (2 * MARGIN + LANE + GAP) as u32));
        let words = write("/nonexistent/a.png".as_ref(), &[]).unwrap_err().to_string();
        assert!(words.starts_with("cannot write plot /nonexistent/a.png: "), "{words}");
    }
}
