//! NV12 conversion equals the ffmpeg command line's `scale` filter, byte for byte.

use vas_media::{Nv12Converter, PixelLayout, Range};

use crate::clips::{Clip, decode_all, reference_of};

/// A clip of three pictures in one pixel format, stored without loss.
fn clip(format: &str, size: &str, arguments: &[&str]) -> Clip {
    // In 4:4:4 first, because testsrc2 rounds odd sizes down if chroma is halved.
    let picture =
        format!("testsrc2=size={size}:rate=50:duration=0.06,format=yuv444p,noise=alls=30:allf=t");
    let mut all = vec!["-pix_fmt", format, "-c:v"];
    all.extend_from_slice(if arguments.is_empty() { &["ffv1"] } else { arguments });
    Clip::encode("clip.nut", &picture, &all)
}

/// Converts a clip with strides larger than rows, and checks that the bytes between rows do not change.
fn convert(clip: &Clip) -> Vec<u8> {
    const GAP: u8 = 0xa5;
    let mut converter = Nv12Converter::new();
    let mut out = Vec::new();
    let count = decode_all(&mut *clip.open(), |frame| {
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let uv_row = 2 * width.div_ceil(2);
        let stride = uv_row + 7;
        let mut y = vec![GAP; stride * height];
        let mut uv = vec![GAP; stride * height.div_ceil(2)];
        converter.convert(frame, &mut y, &mut uv, stride).unwrap();
        for (plane, row) in [(&y, width), (&uv, uv_row)] {
            for line in plane.chunks(stride) {
                out.extend_from_slice(&line[..row]);
                assert!(line[row..].iter().all(|&byte| byte == GAP));
            }
        }
    });
    assert_eq!(count, 3);
    out
}

fn assert_equal(ours: &[u8], reference: &[u8], what: &str) {
    assert_eq!(ours.len(), reference.len(), "{what}");
    let differing = ours.iter().zip(reference).filter(|(a, b)| a != b).count();
    assert_eq!(differing, 0, "{what}: bytes differ from ffmpeg's");
}

/// The range with which ffmpeg's filter keeps samples unchanged. Since FFmpeg 7 it compresses gray unless full range is
/// requested, whatever range the frames state.
fn kept_range(format: &str, range: &'static str) -> &'static str {
    if format.starts_with("gray") { "full" } else { range }
}

#[test]
fn eight_bit_formats_at_even_and_odd_sizes() {
    for size in ["640x360", "853x481"] {
        for format in
            ["yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "gray", "yuyv422", "uyvy422"]
        {
            // FFV1 supports only planar formats.
            let raw = matches!(format, "yuyv422" | "uyvy422");
            let clip = clip(format, size, if raw { &["rawvideo"] } else { &[] });
            decode_all(&mut *clip.open(), |frame| assert_eq!(frame.format_name(), format));
            let layout = match format {
                // With neutral chroma both layouts have the same bytes, and ffmpeg does not write `nv12`'s chroma.
                "gray" => "yuv420p",
                _ => "nv12",
            };
            let range = kept_range(format, "limited");
            let filter = format!("scale=in_range={range}:out_range={range},format={layout}");
            let reference = clip.reference(&["-vf", &filter]);
            assert_equal(&convert(&clip), &reference, &format!("{format} {size}"));
        }
    }
}

#[test]
fn full_range_is_kept() {
    for format in ["yuvj420p", "yuvj422p", "yuvj444p"] {
        let clip = clip(format, "853x481", &["mjpeg", "-q:v", "2"]);
        let filter = "scale=in_range=full:out_range=full,format=nv12";
        decode_all(&mut *clip.open(), |frame| {
            assert_eq!(frame.format_name(), format);
            assert_eq!(Nv12Converter::output_color(frame).range, Range::Full);
        });
        assert_equal(&convert(&clip), &clip.reference(&["-vf", filter]), format);
    }
}

/// H.265 4:0:0 as sent by thermal and night cameras. In full range, ffmpeg does not write the chroma plane of `nv12`, but
/// does write those of `yuv420p`.
#[test]
fn gray_has_neutral_chroma_in_both_ranges() {
    for (range, size) in
        [("tv", "640x360"), ("pc", "640x360"), ("pc", "854x482"), ("tv", "854x482")]
    {
        let picture = format!("testsrc2=size={size}:rate=50:duration=0.06,format=gray");
        let x265 =
            format!("log-level=none:range={}", if range == "pc" { "full" } else { "limited" });
        let arguments =
            ["-pix_fmt", "gray", "-color_range", range, "-c:v", "libx265", "-x265-params", &x265];
        let clip = Clip::encode("clip.mkv", &picture, &arguments);
        decode_all(&mut *clip.open(), |frame| {
            let full = frame.color().range == Range::Full;
            assert_eq!((frame.format_name(), full), ("gray", range == "pc"));
        });
        let kept = kept_range("gray", range);
        let filter = format!("scale=in_range={kept}:out_range={kept},format=yuv420p");
        let samples = clip.reference(&["-vf", &filter]);
        let gray = clip.reference(&["-pix_fmt", "gray"]);
        let luma = gray.len() / 3;
        let mut expected = Vec::new();
        for (picture, gray) in samples.chunks(luma * 3 / 2).zip(gray.chunks(luma)) {
            assert_equal(&picture[..luma], gray, "ffmpeg's luma");
            assert!(picture[luma..].iter().all(|&chroma| chroma == 128), "ffmpeg's chroma");
            expected.extend_from_slice(picture);
        }
        assert_equal(&convert(&clip), &expected, &format!("gray {range} {size}"));
    }
}

#[test]
fn rgb_becomes_limited_range() {
    for format in ["bgr0", "rgb24", "rgb555le"] {
        let raw = matches!(format, "rgb24" | "rgb555le");
        let codec: &[&str] = if raw { &["rawvideo"] } else { &[] };
        for size in ["854x482", "853x481"] {
            let clip = clip(format, size, codec);
            decode_all(&mut *clip.open(), |frame| {
                let color = Nv12Converter::output_color(frame);
                assert_eq!((color.range, color.matrix), (Range::Limited, 6));
                assert_eq!(frame.format_name(), format);
            });
            let filter = "scale=out_range=limited,format=nv12";
            let reference = match size {
                "853x481" if takes_pairs_at_odd_widths() => {
                    widened_reference(&clip, format, filter)
                }
                _ => clip.reference(&["-vf", filter]),
            };
            assert_equal(&convert(&clip), &reference, &format!("{format} {size}"));
        }
    }
}

/// Whether FFmpeg's scaler averages pairs of columns for the chroma of RGB, even if the last column has no partner. FFmpeg
/// 9 computes odd widths from all columns and reads nothing after them.
fn takes_pairs_at_odd_widths() -> bool {
    ffmpeg_sys_next::LIBSWSCALE_VERSION_MAJOR < 10
}

/// ffmpeg's conversion of pictures of 853x481 with their last column duplicated. Otherwise it would read the memory after
/// the row as the missing column.
fn widened_reference(clip: &Clip, format: &str, filter: &str) -> Vec<u8> {
    let step = match format {
        "rgb555le" => 2,
        "rgb24" => 3,
        _ => 4,
    };
    let mut wide = Vec::new();
    for row in clip.reference(&["-pix_fmt", format]).chunks_exact(853 * step) {
        wide.extend_from_slice(row);
        wide.extend_from_slice(&row[852 * step..]);
    }
    let file = clip.dir().join("wide.raw");
    std::fs::write(&file, wide).unwrap();
    let input = ["-f", "rawvideo", "-pix_fmt", format, "-video_size", "854x481"];
    let made = reference_of(&input, &file, &["-vf", filter]);
    let mut out = Vec::new();
    for picture in made.chunks_exact(854 * (481 + 241)) {
        let (luma, chroma) = picture.split_at(854 * 481);
        luma.chunks_exact(854).for_each(|row| out.extend_from_slice(&row[..853]));
        out.extend_from_slice(chroma);
    }
    out
}

/// H.265 of odd width codes an extra column, which contributes to the chroma of the last one.
#[test]
fn rgb_uses_the_column_that_the_codec_cropped() {
    let picture = "testsrc2=size=853x481:rate=50:duration=0.06,format=gbrp,noise=alls=30:allf=t";
    let arguments = ["-pix_fmt", "gbrp", "-c:v", "libx265", "-x265-params", "log-level=none:crf=4"];
    let clip = Clip::encode("clip.mkv", picture, &arguments);
    decode_all(&mut *clip.open(), |frame| {
        assert_eq!((frame.format_name(), frame.width()), ("gbrp", 853));
        assert!(frame.crop().right > 0);
    });
    let reference = clip.reference(&["-vf", "scale=out_range=limited,format=nv12"]);
    assert_equal(&convert(&clip), &reference, "gbrp of H.265");
}

/// Converts ffmpeg's yuv420p10le to NV12 by the rule `min(255, (x + 2) >> 2)`.
fn ten_bit_reference(clip: &Clip, width: usize, height: usize, range: &str) -> Vec<u8> {
    let filter = format!("scale=in_range={range}:out_range={range},format=yuv420p10le");
    let samples: Vec<u8> = clip
        .reference(&["-vf", &filter])
        .chunks_exact(2)
        .map(|pair| (((u16::from_le_bytes([pair[0], pair[1]]) + 2) >> 2).min(255)) as u8)
        .collect();
    let chroma = width.div_ceil(2) * height.div_ceil(2);
    let mut out = Vec::new();
    for picture in samples.chunks_exact(width * height + 2 * chroma) {
        let (y, uv) = picture.split_at(width * height);
        let (u, v) = uv.split_at(chroma);
        out.extend_from_slice(y);
        out.extend(u.iter().zip(v).flat_map(|(&u, &v)| [u, v]));
    }
    out
}

#[test]
fn deep_formats_follow_the_ten_bit_rule() {
    for format in ["yuv420p10le", "yuv422p10le", "yuv444p12le", "yuv422p16le", "gray10le"] {
        let clip = clip(format, "853x481", &[]);
        let reference = ten_bit_reference(&clip, 853, 481, kept_range(format, "limited"));
        assert_equal(&convert(&clip), &reference, format);
    }
}

#[test]
fn a_converter_follows_a_change_of_format() {
    let clips = [clip("yuv422p", "64x64", &[]), clip("yuv444p", "66x34", &[])];
    let mut converter = Nv12Converter::new();
    for clip in &clips {
        decode_all(&mut *clip.open(), |frame| {
            assert_eq!(frame.layout(), PixelLayout::Other);
            let stride = frame.width() as usize;
            let size = stride * frame.height() as usize;
            converter.convert(frame, &mut vec![0; size], &mut vec![0; size / 2], stride).unwrap();
        });
    }
}
