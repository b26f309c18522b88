//! The row operations in plain Rust: for every processor, and the reference in tests of the others.

use super::{Rows, narrow_sample};

pub(super) struct Scalar;

impl Rows for Scalar {
    fn copy(&self, from: &[u8], to: &mut [u8]) {
        to[..from.len()].copy_from_slice(from);
    }

    fn interleave(&self, u: &[u8], v: &[u8], to: &mut [u8]) {
        for ((u, v), to) in u.iter().zip(v).zip(to.as_chunks_mut::<2>().0) {
            *to = [*u, *v];
        }
    }

    fn narrow(&self, from: &[u8], to: &mut [u8]) {
        for (from, to) in from.as_chunks::<2>().0.iter().zip(to) {
            *to = narrow_sample(u16::from_le_bytes(*from));
        }
    }

    fn narrow_interleave(&self, u: &[u8], v: &[u8], to: &mut [u8]) {
        let (u, v) = (u.as_chunks::<2>().0, v.as_chunks::<2>().0);
        for ((u, v), to) in u.iter().zip(v).zip(to.as_chunks_mut::<2>().0) {
            *to = [*u, *v].map(|sample| narrow_sample(u16::from_le_bytes(sample)));
        }
    }
}
