//! Surfaces hold the decoded pictures, cropped to the visible part.

use vas_media::{
    CudaDevice, DecoderKind, Frame, Nv12Converter, PixelLayout, SurfaceFormat, open_nvdec,
};
use vas_sim_gpu::bitstream::Codec;
use vas_sim_gpu::testing::SimulatedGpu;

use crate::clips::{Clip, FRAMES, decode, md5};
use crate::download::Download;

/// Decodes a clip with B-frames and compares every surface with the prediction and with ffmpeg.
fn check(codec: Codec, size: (usize, usize), depth: u32, seed: u64) {
    let pixels = if depth == 8 { "yuv420p" } else { "yuv420p10le" };
    let clip = Clip::encode(codec, size, &["-bf", "2", "-pix_fmt", pixels]);
    let mut source = clip.open();
    let device = CudaDevice::open(0).unwrap();
    let download = Download::new(&device);
    let mut decoder = open_nvdec(source.stream(), &device, 0).unwrap();
    let mut seen = Vec::new();
    let mut last_pts = None;
    let mut converter = Nv12Converter::new();
    let errors = decode(&mut *source, &mut *decoder, |frame| {
        assert!(converter.convert(frame, &mut [], &mut [], 0).is_err());
        assert!(frame.pts_ns() > last_pts, "{:?} after {last_pts:?}", frame.pts_ns());
        last_pts = frame.pts_ns();
        let surface = frame.surface().unwrap();
        let format = if depth == 8 { SurfaceFormat::Nv12 } else { SurfaceFormat::P010 };
        assert_eq!(surface.format, format);
        assert_eq!((surface.size.0 as usize, surface.size.1 as usize), size);
        assert_eq!((frame.layout(), frame.bit_depth()), (PixelLayout::Cuda, depth as u8));
        assert!(frame.plane(0).is_empty());
        assert_eq!(frame.stride(1), 0);
        seen.push(download.md5(frame));
    });
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!((decoder.kind(), decoder.fallback()), (DecoderKind::Nvdec, None));
    assert_eq!(seen.len(), FRAMES);
    assert_eq!(seen, clip.downloaded_by_ffmpeg(seed, depth));
    // Decoding order differs from output order.
    let mut predicted = clip.predicted(seed, size, depth);
    predicted.sort();
    seen.sort();
    assert_eq!(seen, predicted);
}

macro_rules! pictures {
    ($(
        $name:ident: $codec:ident $width:literal x $height:literal, $depth:literal bits, seed $seed:literal;
    )*) => {$(
        #[test]
        fn $name() {
            let gpu = SimulatedGpu::new().set("seed", $seed);
            let Some(run) = gpu.in_child(|_| check(Codec::$codec, ($width, $height), $depth, $seed)) else {
                return;
            };
            run.report.assert_clean(&[]);
        }
    )*};
}

pictures! {
    h264_1366x768: H264 1366 x 768, 8 bits, seed 1;
    h264_1920x1080: H264 1920 x 1080, 8 bits, seed 2;
    h264_854x482: H264 854 x 482, 8 bits, seed 3;
    h265_1366x768: Hevc 1366 x 768, 8 bits, seed 4;
    h265_1920x1080: Hevc 1920 x 1080, 8 bits, seed 5;
    h265_854x482: Hevc 854 x 482, 8 bits, seed 6;
    h265_10_bits_854x482: Hevc 854 x 482, 10 bits, seed 7;
    h265_10_bits_1366x768: Hevc 1366 x 768, 10 bits, seed 8;
}

#[test]
fn a_new_size_in_mid_stream() {
    let Some(run) = SimulatedGpu::new().in_child(|_| {
        let sizes = [(640, 360), (1366, 768)];
        let parts = sizes.map(|size| Clip::encode(Codec::H264, size, &["-bf", "0"]));
        let clip = Clip::joined(&[&parts[0], &parts[1]]);
        let predicted =
            [parts[0].predicted(1, sizes[0], 8), parts[1].predicted(1, sizes[1], 8)].concat();
        let mut source = clip.open();
        let device = CudaDevice::open(0).unwrap();
        let download = Download::new(&device);
        let mut decoder = open_nvdec(source.stream(), &device, 2).unwrap();
        // A frame of the first size is held while the second size is decoded.
        let mut held = Frame::new();
        let mut seen = Vec::new();
        let errors = decode(&mut *source, &mut *decoder, |frame| {
            seen.push(download.md5(frame));
            if held.is_empty() {
                held.take_from(frame);
            }
        });
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(seen, predicted);
        assert_eq!(decoder.kind(), DecoderKind::Nvdec);
        drop(decoder);
        assert_eq!(download.md5(&held), predicted[0]);
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
    let made = run.calls.iter().filter(|call| call.function == "cuvidCreateDecoder").count();
    assert_eq!(made, 2);
}

#[test]
fn a_crop_on_all_sides() {
    let Some(run) = SimulatedGpu::new().in_child(|_| {
        let crop = "h264_metadata=crop_left=6:crop_top=4:crop_right=2:crop_bottom=8";
        let clip = Clip::encode(Codec::H264, (640, 368), &["-bf", "0", "-bsf:v", crop]);
        let mut source = clip.open();
        let device = CudaDevice::open(0).unwrap();
        let download = Download::new(&device);
        let mut decoder = open_nvdec(source.stream(), &device, 0).unwrap();
        let mut seen = Vec::new();
        let errors = decode(&mut *source, &mut *decoder, |frame| {
            let surface = frame.surface().unwrap();
            assert_eq!((surface.size, surface.coded_size), ((632, 356), (640, 368)));
            assert_eq!((surface.crop.left, surface.crop.top), (6, 4));
            assert_eq!((surface.crop.right, surface.crop.bottom), (2, 8));
            seen.push(download.md5(frame));
        });
        assert!(errors.is_empty(), "{errors:?}");
        let predicted = clip.contents(1).into_iter().map(|content| {
            let whole = content.picture(640, 368, 8);
            let rows: Vec<&[u8]> = whole.chunks_exact(640).collect();
            let visible = rows[4..360].iter().chain(&rows[368 + 2..368 + 180]);
            md5(&visible.flat_map(|row| row[6..638].to_vec()).collect::<Vec<u8>>())
        });
        assert_eq!(seen, predicted.collect::<Vec<_>>());
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn the_requested_number_of_frames_can_be_held() {
    const HELD: usize = 5;
    let Some(run) = SimulatedGpu::new().set("max_surfaces", 32).in_child(|_| {
        let clip = Clip::encode(Codec::H264, (320, 192), &["-bf", "2"]).repeated(3);
        let mut source = clip.open();
        let device = CudaDevice::open(0).unwrap();
        let download = Download::new(&device);
        let mut decoder = open_nvdec(source.stream(), &device, HELD as u32).unwrap();
        let mut held: Vec<(Frame, String)> = Vec::new();
        let mut count = 0;
        let errors = decode(&mut *source, &mut *decoder, |frame| {
            count += 1;
            let md5 = download.md5(frame);
            if held.len() == HELD {
                // It was not overwritten in the meantime.
                let (frame, before) = held.remove(0);
                assert_eq!(download.md5(&frame), before);
            }
            let mut kept = Frame::new();
            kept.take_from(frame);
            held.push((kept, md5));
        });
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!((count, held.len()), (3 * FRAMES, HELD));
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}
