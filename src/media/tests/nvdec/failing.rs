//! Failures during decoding: of one picture, of every picture, of the device.

use vas_media::{CudaDevice, DecodeError, DecoderKind, Frame, GpuError, open_nvdec};
use vas_sim_gpu::bitstream::Codec;
use vas_sim_gpu::testing::SimulatedGpu;

use crate::clips::{Clip, FRAMES, decode};
use crate::download::Download;

/// The picture that fails, late enough that each surface has already held another one.
const FAILING: usize = 3 * FRAMES - 2;

/// One failure loses one picture and is reported once.
fn one_picture_is_lost(codec: Codec, b_frames: &str) {
    let clip = Clip::encode(codec, (320, 192), &["-bf", b_frames]).repeated(4);
    let mut source = clip.open();
    let device = CudaDevice::open(0).unwrap();
    let download = Download::new(&device);
    let mut decoder = open_nvdec(source.stream(), &device, 0).unwrap();
    let mut seen = Vec::new();
    let errors = decode(&mut *source, &mut *decoder, |frame| seen.push(download.md5(frame)));
    assert!(matches!(errors[..], [DecodeError::Corrupt(_)]), "{errors:?}");
    let mut predicted = clip.predicted(1, (320, 192), 8);
    if b_frames == "0" {
        predicted.remove(FAILING - 1);
        assert_eq!(seen, predicted);
    } else {
        // Decoding order differs from output order. All pictures that were output are correct; with H.264,
        // FFmpeg may also drop the earlier picture that the failed call should have output.
        for picture in &seen {
            let at = predicted.iter().position(|other| other == picture);
            predicted.remove(at.expect("a picture of the clip, not a repeated one"));
        }
        assert!(matches!(predicted.len(), 1 | 2), "{} are missing", predicted.len());
    }
    assert_eq!((decoder.kind(), decoder.fallback()), (DecoderKind::Nvdec, None));
}

macro_rules! lost {
    ($($name:ident: $codec:ident with $b_frames:literal, $function:literal;)*) => {$(
        #[test]
        fn $name() {
            let fault = format!("{}:{FAILING}:CUDA_ERROR_UNKNOWN", $function);
            let gpu = SimulatedGpu::new().set("fault", fault);
            let Some(run) = gpu.in_child(|_| one_picture_is_lost(Codec::$codec, $b_frames)) else { return };
            run.report.assert_clean(&[]);
        }
    )*};
}

lost! {
    h264_does_not_decode: H264 with "0", "cuvidDecodePicture";
    h264_with_b_frames_does_not_decode: H264 with "2", "cuvidDecodePicture";
    h265_does_not_decode: Hevc with "0", "cuvidDecodePicture";
    h265_with_b_frames_does_not_decode: Hevc with "2", "cuvidDecodePicture";
    h264_is_not_mapped: H264 with "0", "cuvidMapVideoFrame64";
    h264_with_b_frames_is_not_mapped: H264 with "2", "cuvidMapVideoFrame64";
    h265_is_not_mapped: Hevc with "0", "cuvidMapVideoFrame64";
    h265_with_b_frames_is_not_mapped: Hevc with "2", "cuvidMapVideoFrame64";
}

#[test]
fn every_picture_fails() {
    let gpu = SimulatedGpu::new().set("fault", "cuvidDecodePicture:3+:CUDA_ERROR_UNKNOWN");
    let Some(run) = gpu.in_child(|_| {
        let clip = Clip::small();
        let mut source = clip.open();
        let device = CudaDevice::open(0).unwrap();
        let mut decoder = open_nvdec(source.stream(), &device, 0).unwrap();
        let errors = decode(&mut *source, &mut *decoder, |_| ());
        let (last, before) = errors.split_last().unwrap();
        assert!(before.iter().all(|error| matches!(error, DecodeError::Corrupt(_))), "{before:?}");
        let DecodeError::Gpu(GpuError::Failing { pictures, cause, .. }) = last else {
            panic!("{last}")
        };
        assert_eq!(*pictures as usize, errors.len());
        assert!(cause.contains("cuvidDecodePicture: CUDA_ERROR_UNKNOWN"), "{cause}");
        device.health().unwrap();
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

/// Holds every frame until surfaces run out. Frames that are output are correct; the others are errors.
fn hold_all(b_frames: &str) {
    let clip = Clip::encode(Codec::H264, (320, 192), &["-bf", b_frames]).repeated(3);
    let predicted = clip.predicted(1, (320, 192), 8);
    let mut source = clip.open();
    let device = CudaDevice::open(0).unwrap();
    let download = Download::new(&device);
    let mut decoder = open_nvdec(source.stream(), &device, 0).unwrap();
    let mut held = Vec::new();
    let errors = decode(&mut *source, &mut *decoder, |frame| {
        let md5 = download.md5(frame);
        assert!(predicted.contains(&md5), "a picture that is not in the clip");
        let mut kept = Frame::new();
        kept.take_from(frame);
        held.push((kept, md5));
    });
    assert!(matches!(errors[0], DecodeError::NoSurface), "{errors:?}");
    // Pictures that refer to a lost one may also fail.
    assert!(errors.iter().all(|error| !error.is_fatal()), "{errors:?}");
    assert!(held.iter().all(|(frame, md5)| download.md5(frame) == *md5));
    assert_eq!(decoder.kind(), DecoderKind::Nvdec);
}

#[test]
fn a_lack_of_surfaces_is_distinguished_from_damage() {
    let Some(run) = SimulatedGpu::new().in_child(|_| hold_all("0")) else { return };
    run.report.assert_clean(&[]);
}

#[test]
fn a_lack_of_surfaces_with_b_frames() {
    let Some(run) = SimulatedGpu::new().in_child(|_| hold_all("2")) else { return };
    run.report.assert_clean(&[]);
}

#[test]
fn a_lost_device_ends_its_decoders() {
    let Some(run) = SimulatedGpu::new().set("devices", 2).in_child(|simulator| {
        let clip = Clip::small();
        let mut source = clip.open();
        let devices = [0, 1].map(|ordinal| CudaDevice::open(ordinal).unwrap());
        let mut decoder = open_nvdec(source.stream(), &devices[1], 0).unwrap();
        let mut count = 0;
        let errors = decode(&mut *source, &mut *decoder, |_| {
            count += 1;
            if count == 4 {
                simulator.set("fault=device_lost:1@call 1:CUDA_ERROR_ECC_UNCORRECTABLE");
            }
        });
        assert_eq!(count, 4);
        let [DecodeError::Gpu(lost @ GpuError::DeviceLost { ordinal: 1, cause })] = &errors[..]
        else {
            panic!("{errors:?}")
        };
        assert!(cause.contains("CUDA_ERROR_ECC_UNCORRECTABLE"), "{cause}");
        // The lost device can't be opened again; the other one still works.
        assert_eq!(CudaDevice::open(1).err().as_ref(), Some(lost));
        assert!(open_nvdec(source.stream(), &devices[1], 0).is_err());
        devices[0].health().unwrap();
        let mut source = clip.open();
        let mut decoder = open_nvdec(source.stream(), &devices[0], 0).unwrap();
        let mut count = 0;
        assert!(decode(&mut *source, &mut *decoder, |_| count += 1).is_empty());
        assert_eq!((count, decoder.kind()), (FRAMES, DecoderKind::Nvdec));
    }) else {
        return;
    };
    assert!(run.report.remarks.iter().any(|remark| remark == "device 1 is lost"));
    run.report.assert_clean(&[]);
}
