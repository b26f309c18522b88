//! Surfaces hold the decoded pictures; mapped, they are those of FFmpeg's own download.

use vas_media::{DecoderKind, Frame, PixelLayout, open_vaapi};
use vas_sim_vaapi::testing::{SimulatedVaapi, Simulator};

use crate::clips::{Clip, FRAMES, decode, device, picture};

/// Decodes a clip and compares every mapped surface with ffmpeg's download.
fn check(simulator: &Simulator, clip: &Clip, size: (usize, usize), depth: u8) {
    let mut source = clip.open();
    let mut decoder = open_vaapi(source.stream(), &device(), 4).unwrap();
    let mut seen = Vec::new();
    let mut last_pts = None;
    let errors = decode(&mut *source, &mut *decoder, |frame| {
        assert!(frame.pts_ns() > last_pts, "{:?} after {last_pts:?}", frame.pts_ns());
        last_pts = frame.pts_ns();
        assert_eq!((frame.layout(), frame.bit_depth()), (PixelLayout::Vaapi, depth));
        assert_eq!((frame.width() as usize, frame.height() as usize), size);
        assert_eq!((frame.render_node(), frame.surface()), (Some(128), None));
        assert!(frame.plane(0).is_empty() && frame.stride(1) == 0);
        let mut mapped = Frame::new();
        mapped.map_from(frame).unwrap();
        let layout = if depth == 8 { PixelLayout::Nv12 } else { PixelLayout::P010 };
        assert_eq!((mapped.layout(), mapped.pts_ns()), (layout, frame.pts_ns()));
        drop(mapped);
        seen.push(picture(frame));
    });
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!((decoder.kind(), decoder.fallback()), (DecoderKind::Vaapi, None));
    assert_eq!(seen.len(), FRAMES);
    let format = if depth == 8 { "nv12" } else { "p010le" };
    let expected = clip.downloaded_by_ffmpeg(simulator, format);
    assert!(seen.concat() == expected, "the pictures differ from ffmpeg's");
}

macro_rules! pictures {
    ($($name:ident: $encoder:literal $pixels:literal $width:literal x $height:literal, $depth:literal bits, seed $seed:literal;)*) => {$(
        #[test]
        fn $name() {
            SimulatedVaapi::new().set("seed", $seed).in_clean_child(|simulator| {
                // FFmpeg's test picture is even-sized.
                let scale = concat!("scale=", $width, ":", $height);
                let options: &[&str] = if $encoder == "mjpeg" { &["-vf", scale] } else { &["-bf", "2"] };
                let clip = Clip::encode($encoder, $pixels, ($width, $height), options);
                check(simulator, &clip, ($width, $height), $depth);
            });
        }
    )*};
}

pictures! {
    h264_1366x768: "libx264" "yuv420p" 1366 x 768, 8 bits, seed 1;
    h264_854x482: "libx264" "yuv420p" 854 x 482, 8 bits, seed 2;
    h265_642x366: "libx265" "yuv420p" 642 x 366, 8 bits, seed 3;
    h265_10_bits_646x362: "libx265" "yuv420p10le" 646 x 362, 10 bits, seed 4;
    jpeg_640x368: "mjpeg" "yuvj420p" 640 x 368, 8 bits, seed 5;
    jpeg_odd_323x181: "mjpeg" "yuvj420p" 323 x 181, 8 bits, seed 6;
}

#[test]
fn a_new_size_in_mid_stream() {
    SimulatedVaapi::new().in_clean_child(|simulator| {
        let sizes = [(640, 360), (1366, 768)];
        let parts = sizes.map(|size| Clip::h264(size, &["-bf", "0"]));
        let clip = Clip::joined(&[&parts[0], &parts[1]]);
        let expected =
            [0, 1].map(|part| parts[part].downloaded_by_ffmpeg(simulator, "nv12")).concat();
        let mut source = clip.open();
        let mut decoder = open_vaapi(source.stream(), &device(), 2).unwrap();
        // A frame of the first size is held while the second size is decoded.
        let mut held = Frame::new();
        let mut seen = Vec::new();
        let errors = decode(&mut *source, &mut *decoder, |frame| {
            seen.push(picture(frame));
            if held.is_empty() {
                held.take_from(frame);
            }
        });
        assert!(errors.is_empty(), "{errors:?}");
        assert!(seen.concat() == expected);
        assert_eq!(decoder.kind(), DecoderKind::Vaapi);
        drop(decoder);
        assert!(picture(&held) == seen[0]);
    });
}

#[test]
fn a_crop_on_all_sides() {
    SimulatedVaapi::new().in_clean_child(|_| {
        let crop = "h264_metadata=crop_left=6:crop_top=4:crop_right=2:crop_bottom=8";
        let clip = Clip::h264((640, 368), &["-bf", "0", "-bsf:v", crop]);
        let mut source = clip.open();
        let mut decoder = open_vaapi(source.stream(), &device(), 0).unwrap();
        let mut seen = Vec::new();
        let errors = decode(&mut *source, &mut *decoder, |frame| {
            assert_eq!((frame.width(), frame.height()), (632, 356));
            assert_eq!(frame.coded_size(), (640, 368));
            let crop = frame.crop();
            assert_eq!((crop.left, crop.top, crop.right, crop.bottom), (6, 4, 2, 8));
            seen.push(picture(frame));
        });
        assert!(errors.is_empty(), "{errors:?}");
        let predicted = clip.contents(1).into_iter().map(|content| {
            let whole = content.picture(640, 368, 8);
            let rows: Vec<&[u8]> = whole.chunks_exact(640).collect();
            let visible = rows[4..360].iter().chain(&rows[368 + 2..368 + 180]);
            visible.flat_map(|row| row[6..638].to_vec()).collect::<Vec<u8>>()
        });
        assert!(predicted.eq(seen));
    });
}

/// As many as were priced, and so many more can be held as was asked for.
#[test]
fn surfaces_are_as_many_as_was_said() {
    SimulatedVaapi::new().in_clean_child(|simulator| {
        let clip = Clip::small().repeated(3);
        for extra in [0, 5] {
            let mut source = clip.open();
            let mut decoder = open_vaapi(source.stream(), &device(), extra).unwrap();
            let mut held = std::collections::VecDeque::new();
            let errors = decode(&mut *source, &mut *decoder, |frame| {
                let mut kept = Frame::new();
                kept.take_from(frame);
                held.push_back(kept);
                if held.len() > extra as usize {
                    held.pop_front();
                }
            });
            assert!(errors.is_empty(), "{errors:?}");
            let memory = decoder.surface_memory().unwrap();
            let made = simulator.level("surfaces");
            if ffmpeg_sys_next::LIBAVCODEC_VERSION_MAJOR < 61 {
                assert_eq!(u64::from(memory.surfaces), made);
            } else {
                // FFmpeg 7.1 makes a surface when a picture needs one: never more than were priced.
                assert!((1..=u64::from(memory.surfaces)).contains(&made), "{made}");
            }
            assert_eq!(memory.bytes, u64::from(memory.surfaces) * 320 * 192 * 3 / 2);
        }
    });
}

/// Two decoders and ffmpeg's codecs of one node share a display.
#[test]
fn a_node_has_one_display() {
    SimulatedVaapi::new().nodes(2).in_clean_child(|simulator| {
        let clip = Clip::small();
        let nodes = vas_media::render_nodes();
        let open = || {
            nodes.iter().map(|node| {
                let device = vas_media::VaapiDevice::open(node).unwrap();
                open_vaapi(clip.open().stream(), &device, 0).unwrap()
            })
        };
        let decoders: Vec<_> = open().chain(open()).collect();
        assert_eq!(simulator.level("displays"), 2);
        drop(decoders);
        assert_eq!(simulator.level("displays"), 0);
    });
}
