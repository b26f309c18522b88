use super::*;
use crate::color::Color;

/// Bytes without a short period.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(len)
    .collect()
}

/// The implementations, which must produce the same bytes. `Cached` and `Streaming` use what the
/// processor has.
#[derive(Clone, Copy, Debug)]
enum By {
    Store(StoreKind),
    Scalar,
}

const ALL: [By; 4] = [
    By::Store(StoreKind::Auto),
    By::Store(StoreKind::Cached),
    By::Store(StoreKind::Streaming),
    By::Scalar,
];

/// A slot's memory, line-aligned at `offset` 0.
struct Slot {
    memory: Vec<u8>,
    start: usize,
    geometry: Geometry,
}

impl Slot {
    fn new(geometry: Geometry, offset: usize) -> Self {
        let bytes = geometry.picture_bytes() as usize;
        let memory = vec![0xee; bytes + 2 * BLOCK];
        let start = memory.as_ptr().align_offset(BLOCK) + offset;
        Self { memory, start, geometry }
    }

    fn fill(&mut self, picture: &Picture<'_>, by: By) -> Vec<u8> {
        let bytes = self.geometry.picture_bytes() as usize;
        let slot = &mut self.memory[self.start..][..bytes];
        let (luma, chroma) = slot.split_at_mut(self.geometry.uv_offset() as usize);
        match by {
            By::Store(store) => write(picture, &self.geometry, luma, chroma, store),
            By::Scalar => write_rows(&scalar::Scalar, picture, &self.geometry, luma, chroma),
        }
        #[cfg(target_arch = "x86_64")]
        // SAFETY: accesses no Rust memory; it orders the streaming stores before the loads below.
        unsafe {
            std::arch::x86_64::_mm_sfence();
        }
        self.tight()
    }

    fn tight(&self) -> Vec<u8> {
        let g = &self.geometry;
        let slot = &self.memory[self.start..];
        let rows = |at: usize, rows: u32, bytes: u32| {
            (0..rows as usize)
                .flat_map(move |r| slot[at + r * g.stride() as usize..][..bytes as usize].to_vec())
        };
        rows(0, g.height(), g.width())
            .chain(rows(g.uv_offset() as usize, g.chroma_rows(), g.chroma_row_bytes()))
            .collect()
    }
}

/// Sources with and without padding and alignment.
fn check(width: u32, height: u32) {
    for pad in [0, 3] {
        check_padded(width, height, pad);
    }
}

/// Compares the slot sample by sample, for sources that start at offset `pad` and have `pad` bytes of
/// padding per row.
fn check_padded(width: u32, height: u32, pad: usize) {
    let geometry = Geometry::new(width, height, Color::default(), 8).unwrap();
    let (w, h) = (width as usize, height as usize);
    let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
    let (ys, cs) = (w + pad, cw + pad);
    let (y, u, v) = (noise(1, ys * h + pad), noise(2, cs * ch + pad), noise(3, cs * ch + pad));
    let plane = |data, stride| Plane { data, stride };
    let [yp, up, vp] = [(&y, ys), (&u, cs), (&v, cs)].map(|(data, s)| plane(&data[pad..], s));
    let mut expected: Vec<u8> = (0..h).flat_map(|r| yp.row(r, w).to_vec()).collect();
    for r in 0..ch {
        expected.extend((0..cw).flat_map(|c| [up.data[r * cs + c], vp.data[r * cs + c]]));
    }
    let planar = Picture::Yuv420p { y: yp, u: up, v: vp };
    let uv: Vec<u8> = expected[w * h..].to_vec();
    let nv12 = Picture::Nv12 { y: yp, uv: plane(&uv, 2 * cw) };

    let wide = |samples: usize, seed| {
        // 10-bit samples, some of them out of range.
        let mut bytes = noise(seed, 2 * samples + pad);
        bytes[pad..]
            .chunks_exact_mut(2)
            .enumerate()
            .for_each(|(i, b)| b[1] &= if i % 97 == 0 { 0xff } else { 3 });
        bytes
    };
    let (y10, u10, v10) = (wide(w * h, 4), wide(cw * ch, 5), wide(cw * ch, 6));
    let [y10, u10, v10] = [&y10[pad..], &u10[pad..], &v10[pad..]];
    let sample = |bytes: &[u8], i: usize| {
        narrow_sample(u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]]))
    };
    let mut expected10: Vec<u8> = (0..w * h).map(|i| sample(y10, i)).collect();
    expected10.extend((0..cw * ch).flat_map(|i| [sample(u10, i), sample(v10, i)]));
    let deep =
        Picture::Yuv420p10 { y: plane(y10, 2 * w), u: plane(u10, 2 * cw), v: plane(v10, 2 * cw) };

    for by in ALL {
        for offset in [0, 1] {
            let mut slot = Slot::new(geometry, offset);
            let what = format!("{width}x{height} {by:?} to {offset} from {pad}");
            assert!(slot.fill(&planar, by) == expected, "planar {what}");
            assert!(slot.fill(&nv12, by) == expected, "nv12 {what}");
            assert!(slot.fill(&deep, by) == expected10, "10-bit {what}");
            let end = slot.start + geometry.picture_bytes() as usize;
            assert!(slot.memory[end..].iter().all(|b| *b == 0xee), "wrote past the slot: {what}");
            assert!(slot.memory[..slot.start].iter().all(|b| *b == 0xee), "before it: {what}");
        }
    }
}

#[test]
fn every_width_around_a_block() {
    for width in 1..=130 {
        check(width, 3);
    }
}

#[test]
fn camera_sizes() {
    for (width, height) in [(1366, 768), (854, 482), (853, 481), (1920, 1080), (7680, 16)] {
        check(width, height);
    }
}

/// 128 KiB are written in four streams: planes of exactly that size, of a block less and more, and with
/// odd rows.
#[test]
fn sizes_around_several_streams() {
    for (width, height) in [(64, 2047), (64, 2048), (64, 2049), (128, 1025), (640, 360), (704, 577)]
    {
        check(width, height);
    }
}

#[test]
fn scalar_rows_agree_with_the_rule() {
    let rows = scalar::Scalar;
    let (u, v) = ([1, 2, 3], [4, 5, 6]);
    let mut to = [0; 6];
    rows.interleave(&u, &v, &mut to);
    assert_eq!(to, [1, 4, 2, 5, 3, 6]);
    let deep: Vec<u8> =
        [0u16, 1, 2, 1021, 1022, 1023].iter().flat_map(|s| s.to_le_bytes()).collect();
    rows.narrow(&deep, &mut to);
    assert_eq!(to, [0, 0, 1, 255, 255, 255]);
    let mut pairs = [0; 12];
    rows.narrow_interleave(&deep, &deep, &mut pairs);
    assert_eq!(pairs[..6], [0, 0, 0, 0, 1, 1]);
}

#[test]
fn the_ten_bit_rule_rounds_and_saturates() {
    for (sample, expected) in
        [(0, 0), (1, 0), (2, 1), (5, 1), (6, 2), (1020, 255), (1023, 255), (u16::MAX, 255)]
    {
        assert_eq!(narrow_sample(sample), expected, "{sample}");
    }
}
