//! Writes finished rows to their destination: each once, in order, in whole cache lines where it is aligned to them.
//!
//! The destination is a slot of a ring that other processes map read-only. The slot belongs to the writer until it is
//! published (`vas_frame::ClaimedSlot::planes_mut`), so a slice of it is sound here. Streaming stores need an `sfence`
//! before publication; the ring's protocol has it.

/// Bytes of a cache line.
pub(crate) const LINE: usize = 64;

/// Pictures of at least this size are written past the cache, as by `vas_frame`.
const STREAM_FROM_BYTES: usize = 16 << 10;

/// How the destination is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum StoreKind {
    /// Chosen by the picture's size.
    #[default]
    Auto,
    /// Ordinary stores, through the cache.
    Cached,
    /// Non-temporal stores, past the cache; ordinary ones where the processor has none or the rows are not aligned to
    /// cache lines. Whoever publishes the picture issues an `sfence` before.
    Streaming,
}

/// One plane of the destination.
pub(crate) struct Emitter<'a> {
    rows: std::slice::ChunksMut<'a, u8>,
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "no other processor streams")
    )]
    streams: bool,
}

impl<'a> Emitter<'a> {
    /// A plane of rows that are `stride` bytes apart, part of a picture of `picture_bytes`.
    pub(crate) fn new(
        plane: &'a mut [u8],
        stride: usize,
        picture_bytes: usize,
        store: StoreKind,
    ) -> Self {
        let wanted = match store {
            StoreKind::Auto => picture_bytes >= STREAM_FROM_BYTES,
            StoreKind::Cached => false,
            StoreKind::Streaming => true,
        };
        let is_aligned = plane.as_ptr().addr().is_multiple_of(LINE) && stride.is_multiple_of(LINE);
        let streams = wanted && is_aligned && cfg!(target_arch = "x86_64");
        Self { rows: plane.chunks_mut(stride), streams }
    }

    /// Writes the next row: `bytes` of `row`, and as much of its padding as makes a whole line and has room.
    pub(crate) fn copy(&mut self, row: &[u8], bytes: usize) {
        let Some(to) = self.rows.next() else { return };
        let padded = bytes.next_multiple_of(LINE);
        let bytes = if padded <= to.len().min(row.len()) { padded } else { bytes };
        let (from, to) = (&row[..bytes], &mut to[..bytes]);
        #[cfg(target_arch = "x86_64")]
        if self.streams && bytes == padded {
            return stream::copy(from, to);
        }
        to.copy_from_slice(from);
    }

    /// Writes the next row of `bytes` from its even and its odd bytes.
    pub(crate) fn interleave(&mut self, even: &[u8], odd: &[u8], bytes: usize) {
        let Some(to) = self.rows.next() else { return };
        let padded = bytes.next_multiple_of(LINE);
        let room = to.len().min(2 * even.len().min(odd.len()));
        let bytes = if padded <= room { padded } else { bytes };
        let (even, odd, to) = (&even[..bytes / 2], &odd[..bytes / 2], &mut to[..bytes]);
        #[cfg(target_arch = "x86_64")]
        if self.streams && bytes == padded {
            return stream::interleave(even, odd, to);
        }
        for ((even, odd), to) in even.iter().zip(odd).zip(to.as_chunks_mut::<2>().0) {
            *to = [*even, *odd];
        }
    }
}

/// Streaming stores, which every x86-64 processor has.
#[cfg(target_arch = "x86_64")]
mod stream {
    use std::arch::x86_64::*;

    use super::LINE;

    /// Splits a destination of whole lines.
    fn lines(to: &mut [u8]) -> &mut [[u8; LINE]] {
        let (lines, rest) = to.as_chunks_mut();
        assert!(rest.is_empty() && lines.as_ptr().addr().is_multiple_of(LINE), "whole lines");
        lines
    }

    pub(super) fn copy(from: &[u8], to: &mut [u8]) {
        for (from, to) in from.as_chunks::<LINE>().0.iter().zip(lines(to)) {
            for at in [0, 16, 32, 48] {
                // SAFETY: both are lines of 64 bytes, and the destination is aligned (`lines`).
                unsafe {
                    let value = _mm_loadu_si128(from.as_ptr().add(at).cast());
                    _mm_stream_si128(to.as_mut_ptr().add(at).cast(), value);
                }
            }
        }
    }

    pub(super) fn interleave(even: &[u8], odd: &[u8], to: &mut [u8]) {
        let halves = even.as_chunks::<{ LINE / 2 }>().0.iter().zip(odd.as_chunks().0);
        for ((even, odd), to) in halves.zip(lines(to)) {
            let odd: &[u8; LINE / 2] = odd;
            for at in [0, 16] {
                // SAFETY: halves of 32 bytes make a line of 64, and the destination is aligned (`lines`).
                unsafe {
                    let even = _mm_loadu_si128(even.as_ptr().add(at).cast());
                    let odd = _mm_loadu_si128(odd.as_ptr().add(at).cast());
                    let to: *mut __m128i = to.as_mut_ptr().add(2 * at).cast();
                    _mm_stream_si128(to, _mm_unpacklo_epi8(even, odd));
                    _mm_stream_si128(to.add(1), _mm_unpackhi_epi8(even, odd));
                }
            }
        }
    }
}
