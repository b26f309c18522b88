//! Pixels in place, in memory that another process may be writing.
//!
//! House rules. The bytes are never a Rust slice: they change at any time, which a slice's must not. Each
//! read is volatile or by inline assembly, and within rows that the constructor's caller guaranteed to be
//! mapped.

use std::fmt;
use std::marker::PhantomData;

use super::copy::{copy_plane, copy_racing};

/// A frame's two planes in shared memory, while the [`Frame`](crate::Frame) is held.
///
/// The bytes may change at any time, so a result computed from them counts only after
/// [`Frame::still_valid`](crate::Frame::still_valid) returned `true`.
///
/// ```no_run
/// # let mut reader = vas_frame::Reader::open("gate")?;
/// let frame = reader.next()?;
/// let luma = frame.raw().y;
/// // Every eighth pixel of every eighth row, without a copy of the picture.
/// let sum: u64 = luma.iter().step_by(8).flat_map(|row| row.iter().step_by(8)).map(u64::from).sum();
/// if frame.still_valid() {
///     println!("brightness {}", sum * 64 / (luma.rows() * luma.row_bytes()) as u64);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RawView<'a> {
    /// Luma: a byte for each pixel.
    pub y: RawPlane<'a>,
    /// Interleaved chroma: a pair of U and V for each two columns and two rows, both rounded up.
    pub uv: RawPlane<'a>,
}

/// Rows of bytes that another process may be writing.
#[derive(Clone, Copy)]
pub struct RawPlane<'a> {
    start: *const u8,
    stride: usize,
    row_bytes: usize,
    rows: usize,
    memory: PhantomData<&'a ()>,
}

/// One row of a [`RawPlane`].
#[derive(Clone, Copy)]
pub struct RawRow<'a> {
    start: *const u8,
    len: usize,
    memory: PhantomData<&'a ()>,
}

// SAFETY: a plane only does volatile reads, of memory that other processes write anyway and that stays mapped
// for `'a` in all threads.
unsafe impl Send for RawPlane<'_> {}
// SAFETY: as above.
unsafe impl Sync for RawPlane<'_> {}
// SAFETY: as above.
unsafe impl Send for RawRow<'_> {}
// SAFETY: as above.
unsafe impl Sync for RawRow<'_> {}

impl<'a> RawPlane<'a> {
    /// A plane of `rows` rows that have `row_bytes` bytes each and begin `stride` bytes apart.
    ///
    /// [`Frame::raw`](crate::Frame::raw) returns the planes of a frame; this is for memory mapped in another way.
    ///
    /// # Safety
    /// All bytes of all rows are mapped for reading for `'a`, in one mapping. Other processes may write them
    /// meanwhile; this process must not write them through a Rust reference.
    #[must_use]
    pub unsafe fn from_raw_parts(
        start: *const u8,
        stride: usize,
        row_bytes: usize,
        rows: usize,
    ) -> Self {
        Self { start, stride, row_bytes, rows, memory: PhantomData }
    }

    /// Rows of the plane.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of a row, without padding.
    #[must_use]
    pub fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// Bytes between the starts of two rows.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// The first byte, for an API that takes a pointer: a texture upload, a function in C.
    ///
    /// Do not make a Rust slice from it.
    #[must_use]
    pub fn as_ptr(&self) -> *const u8 {
        self.start
    }

    /// A row; `None` after the last.
    #[must_use]
    pub fn row(&self, row: usize) -> Option<RawRow<'a>> {
        // Within the plane, so `wrapping_add` does not wrap.
        let start = || self.start.wrapping_add(row * self.stride);
        (row < self.rows).then(|| RawRow {
            start: start(),
            len: self.row_bytes,
            memory: PhantomData,
        })
    }

    /// Reads a byte; `None` outside the plane.
    #[must_use]
    pub fn get(&self, row: usize, column: usize) -> Option<u8> {
        self.row(row)?.get(column)
    }

    /// All rows, from the top.
    pub fn iter(
        &self,
    ) -> impl DoubleEndedIterator<Item = RawRow<'a>> + ExactSizeIterator + use<'a> {
        let plane = *self;
        (0..self.rows).map(move |row| RawRow {
            start: plane.start.wrapping_add(row * plane.stride),
            len: plane.row_bytes,
            memory: PhantomData,
        })
    }

    /// Copies all rows, without padding, into `tight`.
    ///
    /// # Panics
    /// If `tight` is not exactly `rows * row_bytes` bytes long.
    pub fn copy_to(&self, tight: &mut [u8]) {
        self.copy_plane(tight, false);
    }

    /// As `copy_to`, past the cache if `stream` is set.
    pub(super) fn copy_plane(&self, tight: &mut [u8], stream: bool) {
        assert_eq!(tight.len(), self.rows * self.row_bytes, "as long as the rows together");
        // SAFETY: the constructor's caller guaranteed the rows, and `tight` has room for them. It is an
        // exclusive reference, and no reference points into the mapped rows.
        unsafe { copy_plane(self.start, self.stride, tight, self.row_bytes, stream) };
    }
}

impl fmt::Debug for RawPlane<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, stride, row_bytes, rows, .. } = self;
        f.debug_struct("RawPlane")
            .field("start", start)
            .field("stride", stride)
            .field("row_bytes", row_bytes)
            .field("rows", rows)
            .finish()
    }
}

impl<'a> RawRow<'a> {
    /// Bytes of the row.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the row has no bytes. A frame's rows are never empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads a byte; `None` after the last.
    #[must_use]
    pub fn get(&self, column: usize) -> Option<u8> {
        // SAFETY: the byte lies within the row, which the constructor's caller guaranteed to be
        // mapped.
        (column < self.len).then(|| unsafe { self.start.add(column).read_volatile() })
    }

    /// Reads every byte in turn, each when the iterator reaches it.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = u8> + ExactSizeIterator + use<'a> {
        let start = self.start;
        // SAFETY: as in `get`.
        (0..self.len).map(move |column| unsafe { start.add(column).read_volatile() })
    }

    /// Copies the row into `to`, in the processor's widest words.
    ///
    /// # Panics
    /// If `to` is not exactly as long.
    pub fn copy_to(&self, to: &mut [u8]) {
        assert_eq!(to.len(), self.len, "as long as the row");
        // SAFETY: the row is mapped (`get`), `to` has the same length, and no exclusive reference points into
        // the row.
        unsafe { copy_racing(self.start, to, false) };
    }
}

impl fmt::Debug for RawRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawRow").field("start", &self.start).field("len", &self.len).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three rows of five bytes, seven apart: byte 7 is the first of the second row.
    fn with_plane(test: impl FnOnce(RawPlane<'_>)) {
        let bytes: Vec<u8> = (0..21).collect();
        // SAFETY: the rows end at byte 19, and nothing writes them.
        test(unsafe { RawPlane::from_raw_parts(bytes.as_ptr(), 7, 5, 3) });
    }

    #[test]
    fn bytes_rows_and_copies_agree() {
        with_plane(|plane| {
            let tight = [0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 14, 15, 16, 17, 18];
            let walked: Vec<u8> = plane.iter().flat_map(|row| row.iter()).collect();
            assert_eq!(walked, tight);
            let mut copy = [0; 15];
            plane.copy_to(&mut copy);
            assert_eq!(copy, tight);
            for (row, expected) in plane.iter().zip(tight.chunks(5)) {
                let mut copy = [0; 5];
                row.copy_to(&mut copy);
                assert_eq!(copy, expected);
            }
            assert_eq!((plane.get(2, 4), plane.row(1).unwrap().get(0)), (Some(18), Some(7)));
        });
    }

    #[test]
    fn nothing_is_read_outside() {
        with_plane(|plane| {
            assert_eq!(
                (plane.get(3, 0), plane.get(0, 5), plane.get(usize::MAX, 0)),
                (None, None, None)
            );
            assert!(plane.row(3).is_none());
            assert_eq!(plane.row(2).unwrap().get(usize::MAX), None);
        });
    }

    #[test]
    #[should_panic(expected = "as long as the rows together")]
    fn a_copy_of_another_length_is_refused() {
        with_plane(|plane| plane.copy_to(&mut [0; 14]));
    }
}
