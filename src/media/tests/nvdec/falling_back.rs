//! A decoder on a GPU switches to the processor if the GPU can't decode the stream, and reports the reason.

use vas_media::{CudaDevice, DecodeError, DecoderKind, Frame, GpuError, PixelLayout, open_nvdec};
use vas_sim_gpu::bitstream::Codec;
use vas_sim_gpu::testing::{ChildRun, SimulatedGpu};

use crate::clips::{Clip, FRAMES, decode, md5_in_memory};

/// Decodes a clip that the processor decodes from the first packet on. Returns the reason.
fn all_in_memory(clip: &Clip) -> GpuError {
    all_in_memory_after(clip, 2, || ())
}

/// The same with `extra_surfaces`, and with an action between opening and decoding.
fn all_in_memory_after(clip: &Clip, extra_surfaces: u32, action: impl FnOnce()) -> GpuError {
    let mut source = clip.open();
    let device = CudaDevice::open(0).unwrap();
    let mut decoder = open_nvdec(source.stream(), &device, extra_surfaces).unwrap();
    action();
    assert_eq!((decoder.kind(), decoder.fallback()), (DecoderKind::Nvdec, None));
    let mut seen = Vec::new();
    let errors = decode(&mut *source, &mut *decoder, |frame| {
        assert_eq!((frame.surface(), frame.layout()), (None, PixelLayout::Yuv420p));
        seen.push(md5_in_memory(frame));
    });
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(seen, clip.decoded_by_ffmpeg());
    assert_eq!(decoder.kind(), DecoderKind::Software);
    decoder.fallback().expect("a reason")
}

/// The major version of libavcodec in FFmpeg 9.
const AVCODEC_OF_FFMPEG_9: std::ffi::c_int = 63;

/// Decodes a clip entirely on the GPU, with `extra_surfaces`.
fn all_on_the_gpu(clip: &Clip, extra_surfaces: u32) {
    let mut source = clip.open();
    let device = CudaDevice::open(0).unwrap();
    let mut decoder = open_nvdec(source.stream(), &device, extra_surfaces).unwrap();
    let mut held = Vec::new();
    let errors = decode(&mut *source, &mut *decoder, |frame| {
        assert!(frame.surface().is_some());
        let mut kept = Frame::new();
        kept.take_from(frame);
        held.push(kept);
    });
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(held.len(), FRAMES);
    assert_eq!((decoder.kind(), decoder.fallback()), (DecoderKind::Nvdec, None));
}

fn assert_clean(run: Option<ChildRun>) {
    if let Some(run) = run {
        run.report.assert_clean(&[]);
    }
}

#[test]
fn the_gpu_accepts_no_further_decoder() {
    let gpu = SimulatedGpu::new().set("max_decoders", 0);
    assert_clean(gpu.in_child(|_| {
        let reason = all_in_memory(&Clip::small());
        let GpuError::SessionsUsedUp { ordinal: 0, cause } = &reason else { panic!("{reason}") };
        assert_eq!(cause, "cuvidCreateDecoder: CUDA_ERROR_OUT_OF_MEMORY: out of memory");
    }));
}

#[test]
fn the_gpu_lacks_memory() {
    let gpu = SimulatedGpu::new().set("memory_mib", 264).set("context_mib", 256);
    assert_clean(gpu.in_child(|simulator| {
        let reason = all_in_memory(&Clip::encode(Codec::H264, (1920, 1080), &["-bf", "2"]));
        let GpuError::NoMemory { free, total, cause, .. } = reason else { panic!("{reason}") };
        assert_eq!((free, total), (8 << 20, 264 << 20));
        // From the stream's parameter sets: two reference frames, two held back, and FFmpeg's five.
        assert!(cause.starts_with("the decoder needs 2 x "), "{cause}");
        // The driver was not asked for a decoder that can't fit.
        assert_eq!(simulator.calls("cuvidCreateDecoder"), 0);
    }));
}

#[test]
fn the_gpu_does_not_support_the_codec() {
    assert_clean(SimulatedGpu::new().set("codecs", "hevc").in_child(|_| {
        let reason = all_in_memory(&Clip::small());
        let GpuError::Unsupported { what } = &reason else { panic!("{reason}") };
        assert!(what.contains("lacking required capabilities"), "{what}");
    }));
}

#[test]
fn creating_the_decoder_fails() {
    let gpu = SimulatedGpu::new().set("fault", "cuvidCreateDecoder:1:CUDA_ERROR_UNKNOWN");
    assert_clean(gpu.in_child(|_| {
        let reason = all_in_memory(&Clip::small());
        let GpuError::Failed { cause, .. } = &reason else { panic!("{reason}") };
        assert!(cause.starts_with("cuvidCreateDecoder: CUDA_ERROR_UNKNOWN"), "{cause}");
    }));
}

#[test]
fn more_surfaces_are_requested_than_nvdec_allows() {
    assert_clean(SimulatedGpu::new().in_child(|_| {
        if ffmpeg_sys_next::LIBAVCODEC_VERSION_MAJOR >= AVCODEC_OF_FFMPEG_9 {
            // It requests at most as many decode surfaces as NVDEC allows, and outputs twice as many.
            return all_on_the_gpu(&Clip::small(), 40);
        }
        let reason = all_in_memory_after(&Clip::small(), 40, || ());
        let GpuError::Unsupported { what } = &reason else { panic!("{reason}") };
        assert!(what.starts_with("it needs 2 x 46 surfaces of 320x192, 8478720 bytes"), "{what}");
        assert!(what.contains("more than 32 (46) decode surfaces"), "{what}");
        assert!(!what.contains("threads"), "{what}");
    }));
}

#[test]
fn the_gpu_is_lost_before_the_first_packet() {
    assert_clean(SimulatedGpu::new().in_child(|simulator| {
        let lose = || simulator.set("fault=device_lost:0@call 1");
        let reason = all_in_memory_after(&Clip::small(), 0, lose);
        assert!(matches!(reason, GpuError::DeviceLost { ordinal: 0, .. }), "{reason}");
    }));
}

#[test]
fn ten_bits_are_refused_if_known_when_opening() {
    assert_clean(SimulatedGpu::new().in_child(|_| {
        let clip = Clip::encode(Codec::Hevc, (320, 192), &["-pix_fmt", "yuv420p10le"]);
        let device = CudaDevice::open(0).unwrap();
        let error = open_nvdec(clip.open().stream(), &device, 0).err().expect("a refusal");
        let DecodeError::Gpu(GpuError::Unsupported { what }) = &error else { panic!("{error}") };
        assert!(what.contains("yuv420p10le") && error.is_fatal(), "{error}");
    }));
}

#[test]
fn the_processor_decodes_ten_bits_in_mid_stream() {
    assert_clean(SimulatedGpu::new().in_child(|_| {
        let size = (320, 192);
        let eight = Clip::encode(Codec::Hevc, size, &[]);
        let ten = Clip::encode(Codec::Hevc, size, &["-pix_fmt", "yuv420p10le"]);
        let clip = Clip::joined(&[&eight, &ten, &eight]);
        let mut source = clip.open();
        let device = CudaDevice::open(0).unwrap();
        let mut decoder = open_nvdec(source.stream(), &device, 0).unwrap();
        let (mut surfaces, mut in_memory) = (0, Vec::new());
        let errors = decode(&mut *source, &mut *decoder, |frame| match frame.surface() {
            Some(_) => surfaces += 1,
            None => in_memory.push(md5_in_memory(frame)),
        });
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(surfaces, eight.contents(1).len());
        // The switch is permanent: the processor also decodes the eight bits that follow.
        assert_eq!(in_memory, [ten.decoded_by_ffmpeg(), eight.decoded_by_ffmpeg()].concat());
        assert!(matches!(decoder.fallback(), Some(GpuError::Unsupported { .. })));
        assert_eq!(decoder.kind(), DecoderKind::Software);
    }));
}
