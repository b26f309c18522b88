//! Which samples an output row or column is interpolated from, and their weights.
//!
//! The sampling is that of `cv2.resize` with `INTER_LINEAR`: output pixel `x` of a content of `c` pixels lies at `(x +
//! 0.5) * n / c - 0.5` of the source's `n`. It has the two pixels around it in proportion, and the pixel at an edge
//! alone outside. Each sample of chroma belongs to two by two pixels.

use std::ops::Range;

/// Bits of a row's weight.
pub(crate) const ROW_BITS: u32 = 15;
/// Bits of a column's weight.
pub(crate) const COLUMN_BITS: u32 = 14;

/// A position between two pixels of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    /// The pixel before it.
    first: usize,
    /// How far it is on the way to the next one: `part / whole`.
    part: u64,
    whole: u64,
}

impl Position {
    /// Where pixel `at` of `content` pixels lies among `source` pixels.
    fn new(at: u32, content: u32, source: u32) -> Self {
        let [at, content, source] = [at, content, source].map(i64::from);
        // Exact: below 2^30.
        let (place, whole) = ((2 * at + 1) * source - content, 2 * content);
        let (first, part) = (place.div_euclid(whole), place.rem_euclid(whole));
        let last = source - 1;
        let (first, part) = if first < 0 {
            (0, 0)
        } else if first >= last {
            (last, 0)
        } else {
            (first, part)
        };
        Self { first: first as usize, part: part.cast_unsigned(), whole: whole.cast_unsigned() }
    }

    /// The weight of the second pixel, with so many bits after the binary point.
    fn weight(&self, bits: u32) -> i32 {
        (((self.part << (bits + 1)) + self.whole) / (2 * self.whole)) as i32
    }
}

/// What an output row is made of: a row of the picture, and the one below it with its weight of [`ROW_BITS`] bits. It
/// has no say where the weight is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowTaps {
    pub(crate) first: usize,
    pub(crate) weight: i16,
}

/// The rows of an output: `outputs` of a content that begins at `begin`.
pub(crate) fn rows(outputs: Range<i32>, begin: i32, content: u32, source: u32) -> Vec<RowTaps> {
    let taps = |output: i32| {
        let position = Position::new((output - begin).cast_unsigned(), content, source);
        // A weight of 1 does not fit in 16 bits; 2^-15 of a level less is nothing.
        let weight = position.weight(ROW_BITS).min(i32::from(i16::MAX)) as i16;
        RowTaps { first: position.first, weight }
    };
    outputs.map(taps).collect()
}

/// Pixels of an output that the kernels of every processor do at once.
pub(crate) const BLOCK: usize = 16;
/// Output pixels of a window.
const GROUP: usize = 4;
/// Bytes of a window.
const WINDOW: usize = 16;

/// Where the samples of two pixels are in their rows: bytes of luma, and bytes of U, each before its V.
///
/// Small, for the cache: no row has more than [`MAX_SIDE`](vas_frame::MAX_SIDE) bytes, and no gathered one more than
/// four times as many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taps {
    luma: [u16; 2],
    chroma: [u16; 2],
}

impl Taps {
    fn new(luma: [usize; 2], chroma: [usize; 2]) -> Self {
        let short = |place| u16::try_from(place).expect("a place in a row");
        Self { luma: luma.map(short), chroma: chroma.map(short) }
    }

    #[inline(always)]
    pub(crate) fn luma(&self) -> [usize; 2] {
        self.luma.map(usize::from)
    }

    #[inline(always)]
    pub(crate) fn chroma(&self) -> [usize; 2] {
        self.chroma.map(usize::from)
    }
}

/// Two pixels of the source and their weights, for each output column; and what vectors need to get them.
///
/// Vectors take 16 bytes of a row, a window, and shuffle the samples of four output pixels out of it. Where pixels are
/// too far apart for that, the samples are first [gathered](Self::gather_luma) into a row without those in between.
#[derive(Debug)]
pub(crate) struct Columns {
    len: usize,
    /// In the row that the kernels get. This and all other tables are padded to whole [blocks](BLOCK) by the last
    /// pixel.
    pub(crate) taps: Vec<Taps>,
    /// The weights of both pixels, with [`COLUMN_BITS`] bits. Their sum is 1.
    pub(crate) weights: Vec<[i16; 2]>,
    pub(crate) luma: Windows,
    pub(crate) chroma: Windows,
    /// In the source's row, if they are to be gathered.
    gathered: Option<Vec<Taps>>,
}

/// Windows of a row, one for four output pixels.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    /// Where each begins.
    pub(crate) begin: Vec<u32>,
    /// How its bytes are shuffled: for each pixel two words of zero and the byte of a sample. U, for chroma; V's is the
    /// byte after each.
    pub(crate) order: Vec<[u8; WINDOW]>,
    /// Bytes of a row that all windows lie in.
    pub(crate) reach: usize,
}

impl Windows {
    /// Windows of a row of `row_bytes` bytes with samples at `taps`, which have `sample` bytes; `None` where some are
    /// too far apart.
    fn new(
        taps: impl Iterator<Item = [usize; 2]>,
        row_bytes: usize,
        sample: usize,
    ) -> Option<Self> {
        let taps: Vec<[usize; 2]> = taps.collect();
        let mut windows = Self::default();
        let latest = row_bytes.checked_sub(WINDOW)?;
        for group in taps.chunks_exact(GROUP) {
            let (first, last) = (group[0][0], group[GROUP - 1][1]);
            let begin = first.min(latest);
            if last + sample > begin + WINDOW {
                return None;
            }
            let place = |tap: usize| [0x80, (tap - begin) as u8];
            let mut order = [0; WINDOW];
            for (order, [first, second]) in order.chunks_exact_mut(4).zip(group) {
                order[..2].copy_from_slice(&place(*first));
                order[2..].copy_from_slice(&place(*second));
            }
            windows.begin.push(begin as u32);
            windows.order.push(order);
            windows.reach = windows.reach.max(begin + WINDOW);
        }
        Some(windows)
    }
}

impl Columns {
    /// The columns of an output, as [`rows`].
    pub(crate) fn new(outputs: Range<i32>, begin: i32, content: u32, source: u32) -> Self {
        let len = outputs.len();
        let last = outputs.end - 1;
        let padded = outputs.start..outputs.start + len.next_multiple_of(BLOCK) as i32;
        let positions = padded.map(|output| {
            Position::new((output.min(last) - begin).cast_unsigned(), content, source)
        });
        let (taps, weights): (Vec<Taps>, Vec<[i16; 2]>) = positions
            .map(|position| {
                let weight = position.weight(COLUMN_BITS);
                // Nothing is read beyond the last pixel.
                let pixels = [position.first, position.first + usize::from(weight != 0)];
                let taps = Taps::new(pixels, pixels.map(|pixel| pixel / 2 * 2));
                (taps, [(1 << COLUMN_BITS) - weight, weight].map(|weight| weight as i16))
            })
            .unzip();
        let source = source as usize;
        if let Some((luma, chroma)) = windows(&taps, source, source.next_multiple_of(2)) {
            return Self { len, taps, weights, luma, chroma, gathered: None };
        }
        let dense: Vec<Taps> = (0..taps.len())
            .map(|at| Taps::new([2 * at, 2 * at + 1], [4 * at, 4 * at + 2]))
            .collect();
        let (luma, chroma) = windows(&dense, 2 * dense.len(), 4 * dense.len())
            .expect("samples side by side lie in windows");
        Self { len, taps: dense, weights, luma, chroma, gathered: Some(taps) }
    }

    /// Output columns.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Output columns, rounded up to whole blocks.
    pub(crate) fn padded(&self) -> usize {
        self.taps.len()
    }

    /// Gathers the samples of a row of luma, if they are to be gathered, into `to`.
    pub(crate) fn gather_luma<'a>(&self, row: &'a [u8], to: &'a mut [u8]) -> &'a [u8] {
        let Some(taps) = &self.gathered else { return row };
        for (to, taps) in to.chunks_exact_mut(2).zip(taps) {
            to.copy_from_slice(&taps.luma().map(|tap| row[tap]));
        }
        to
    }

    /// As [`gather_luma`](Self::gather_luma), of a row of chroma.
    pub(crate) fn gather_chroma<'a>(&self, row: &'a [u8], to: &'a mut [u8]) -> &'a [u8] {
        let Some(taps) = &self.gathered else { return row };
        for (to, taps) in to.chunks_exact_mut(4).zip(taps) {
            let [first, second] = taps.chroma();
            to[..2].copy_from_slice(&row[first..first + 2]);
            to[2..].copy_from_slice(&row[second..second + 2]);
        }
        to
    }
}

fn windows(taps: &[Taps], luma_bytes: usize, chroma_bytes: usize) -> Option<(Windows, Windows)> {
    let luma = Windows::new(taps.iter().map(|taps| taps.luma()), luma_bytes, 1)?;
    let chroma = Windows::new(taps.iter().map(|taps| taps.chroma()), chroma_bytes, 2)?;
    Some((luma, chroma))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_opencv() {
        for (content, source) in
            [(640, 1920), (360, 1080), (3, 7), (7, 3), (1, 5), (5, 1), (16_384, 3)]
        {
            for at in 0..content {
                let scale = f64::from(source) / f64::from(content);
                let place = ((f64::from(at) + 0.5) * scale - 0.5).clamp(0.0, f64::from(source - 1));
                let position = Position::new(at, content, source);
                let found = position.first as f64 + position.part as f64 / position.whole as f64;
                assert!(
                    (found - place).abs() < 1e-9,
                    "{at} of {content} from {source}: {found} {place}"
                );
                let weight = f64::from(position.weight(COLUMN_BITS)) / 16384.0;
                assert!((weight - place.fract()).abs() < 1e-4 || weight > 0.9999, "{weight}");
            }
        }
    }

    #[test]
    fn three_to_one_takes_every_third_pixel_alone() {
        let columns = Columns::new(0..640, 0, 640, 1920);
        assert!(columns.taps.iter().enumerate().all(|(x, taps)| taps.luma() == [3 * x + 1; 2]));
        assert!(columns.weights.iter().all(|weights| *weights == [1 << 14, 0]));
        assert!(rows(0..360, 0, 360, 1080).iter().all(|row| row.weight == 0));
        assert!(columns.gathered.is_none());
    }

    #[test]
    fn chroma_is_that_of_the_pixels() {
        let columns = Columns::new(0..3, 0, 3, 4);
        let chroma: Vec<_> = columns.taps.iter().map(|taps| taps.chroma()).collect();
        assert!(columns.gathered.is_some(), "a row of 4 bytes has no window");
        assert_eq!(columns.padded(), BLOCK);
        assert_eq!(chroma[..3], [[0, 2], [4, 6], [8, 10]]);
        let gathered = columns.gathered.unwrap();
        // Each pixel is between two: 0|1, 2|3 within a sample; 1|2 between two samples.
        assert_eq!(
            gathered[..3].iter().map(|taps| taps.chroma()).collect::<Vec<_>>(),
            [[0, 0], [0, 2], [2, 2]]
        );
    }

    #[test]
    fn everything_lies_within_its_row() {
        for (content, source) in
            [(640, 1920), (1, 1), (5, 1), (9, 4), (640, 641), (17, 16), (640, 3840), (64, 255)]
        {
            let columns = Columns::new(0..content, 0, content as u32, source);
            let source = source as usize;
            let (taps, row) = match &columns.gathered {
                Some(taps) => (taps, 2 * columns.padded()),
                None => (&columns.taps, source),
            };
            for taps in taps {
                assert!(
                    taps.luma()[1] < source && taps.chroma()[1] < source,
                    "{content} from {source}"
                );
            }
            assert!(
                columns.luma.reach <= row && columns.taps.iter().all(|taps| taps.luma()[1] < row)
            );
            let shuffled = |windows: &Windows, at: usize, tap: usize| {
                let order = windows.order[at / GROUP][4 * (at % GROUP) + 2 * tap + 1];
                windows.begin[at / GROUP] as usize + usize::from(order)
            };
            for (at, taps) in columns.taps.iter().enumerate() {
                for tap in 0..2 {
                    assert_eq!(shuffled(&columns.luma, at, tap), taps.luma()[tap]);
                    assert_eq!(shuffled(&columns.chroma, at, tap), taps.chroma()[tap]);
                }
            }
        }
    }
}
