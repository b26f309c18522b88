//! Tests that every pixel format is either refused or converted from the frame's samples alone.

use super::*;
use crate::color::descriptor;

/// Two ways to fill memory that does not belong to the picture. Their colors have nothing in common that could hide
/// a dependence on this memory: gray and white, for example, have the same chroma.
#[derive(Clone, Copy)]
enum Foreign {
    Zeros,
    Noise,
}

impl Foreign {
    const ALL: [Self; 2] = [Self::Zeros, Self::Noise];

    fn fill(self, memory: &mut [u8]) {
        match self {
            Self::Zeros => memory.fill(0),
            Self::Noise => memory.fill_with(noise(2)),
        }
    }

    /// Fills all memory of a frame, including padding.
    fn fill_buffers(self, frame: &mut Frame) {
        for index in 0..4 {
            // SAFETY: the buffers of our own frame, to which nothing else refers.
            unsafe {
                if let Some(buffer) = (*frame.as_mut_ptr()).buf[index].as_ref() {
                    self.fill(std::slice::from_raw_parts_mut(buffer.data, buffer.size));
                }
            }
        }
    }
}

fn noise(seed: u64) -> impl FnMut() -> u8 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    }
}

const SIZES: [(u32, u32); 12] = [
    (1, 1),
    (2, 2),
    (3, 3),
    (1, 8),
    (8, 1),
    (16, 16),
    (17, 15),
    (64, 48),
    (65, 49),
    (130, 34),
    (853, 9),
    (854, 18),
];

/// All formats in FFmpeg's table.
fn formats() -> impl Iterator<Item = ffi::AVPixelFormat> {
    // SAFETY: iterates over a static table, from its start or from one of its entries.
    let next = |last| unsafe { ffi::av_pix_fmt_desc_next(last).as_ref() };
    std::iter::successors(next(ptr::null()), move |last| next(*last))
        // SAFETY: an entry of the table.
        .map(|descriptor| unsafe { ffi::av_pix_fmt_desc_get_id(descriptor) })
}

/// A frame with the same noise in its samples at each call, and foreign memory around them.
fn frame(
    format: ffi::AVPixelFormat,
    size: (u32, u32),
    range: u32,
    around: Foreign,
) -> Option<Frame> {
    let mut frame = Frame::with_buffer(format, size.0, size.1).ok().filter(|f| !f.is_empty())?;
    around.fill_buffers(&mut frame);
    let raw = frame.as_mut_ptr();
    // SAFETY: our own frame; a value of the enum's own.
    unsafe { (&raw mut (*raw).color_range).cast::<u32>().write(range) };
    let palette = ffi::AV_PIX_FMT_FLAG_PAL as u64;
    let has_palette = descriptor(frame.format())?.flags & palette != 0;
    let mut samples = noise(1);
    for plane in 0..4 {
        let (bytes, stride, row) = if plane == 1 && has_palette {
            (1024, 1024, 1024)
        } else {
            (frame.plane(plane).len(), frame.stride(plane), frame.plane_row_bytes(plane))
        };
        for at in (0..bytes).filter(|at| at % stride < row) {
            // SAFETY: within the plane, whose memory is ours alone.
            unsafe { *(*raw).data[plane].add(at) = samples() };
        }
    }
    Some(frame)
}

/// Converts the frame into memory filled with `foreign` bytes. Checks that bytes between rows stay unchanged.
fn convert(frame: &Frame, foreign: Foreign) -> Option<Vec<u8>> {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let row = width.next_multiple_of(2);
    let stride = row + 6;
    let (mut y, mut uv) = (vec![0; stride * height], vec![0; stride * height.div_ceil(2)]);
    let mut converter = Nv12Converter::new();
    // The first picture creates the scaler.
    converter.convert(frame, &mut y, &mut uv, stride).ok()?;
    if let Some(scaler) = &mut converter.scaler {
        foreign.fill_buffers(&mut scaler.output);
        scaler.widened.iter_mut().for_each(|widened| foreign.fill_buffers(&mut widened.picture));
    }
    foreign.fill(&mut y);
    foreign.fill(&mut uv);
    let before = (y.clone(), uv.clone());
    converter.convert(frame, &mut y, &mut uv, stride).unwrap();
    let mut picture = Vec::new();
    for (plane, before, row) in [(y, before.0, width), (uv, before.1, row)] {
        for (line, before) in plane.chunks(stride).zip(before.chunks(stride)) {
            picture.extend_from_slice(&line[..row]);
            assert_eq!(line[row..], before[row..], "wrote between rows");
        }
    }
    Some(picture)
}

#[test]
fn output_depends_on_the_frames_samples_alone() {
    let (mut converted, mut refused, mut wrong) = (0, Vec::new(), Vec::new());
    for format in formats() {
        let name = format_name(format as c_int);
        let mut refusals = 0;
        for (size, range) in SIZES.into_iter().flat_map(|size| [0, 1, 2].map(|range| (size, range)))
        {
            let made =
                Foreign::ALL.map(|foreign| convert(&frame(format, size, range, foreign)?, foreign));
            let what = format!("{name} {}x{} range {range}", size.0, size.1);
            match made {
                [Some(first), Some(second)] => {
                    converted += 1;
                    let foreign = first.iter().zip(&second).filter(|(a, b)| a != b).count();
                    if foreign != 0 {
                        wrong.push(format!("{what}: {foreign} of {} bytes", first.len()));
                    }
                }
                [None, None] => refusals += 1,
                _ => wrong.push(format!("{what}: refused inconsistently")),
            }
        }
        match refusals {
            0 => {}
            _ if refusals == 3 * SIZES.len() => refused.push(name),
            _ => wrong.push(format!(
                "{name}: refused at {refusals} sizes and ranges of {}",
                3 * SIZES.len()
            )),
        }
    }
    println!("{converted} converted, refused: {refused:?}");
    assert!(converted > 1000);
    assert!(wrong.is_empty(), "foreign memory in {} pictures:\n{}", wrong.len(), wrong.join("\n"));
}
