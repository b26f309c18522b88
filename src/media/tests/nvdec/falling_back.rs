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

/// The reason why a stream is refused when its decoder is opened, before anything is created.
fn refused_when_opening(clip: &Clip) -> String {
    let device = CudaDevice::open(0).unwrap();
    let error = open_nvdec(clip.open().stream(), &device, 0).err().expect("a refusal");
    let DecodeError::Gpu(GpuError::Unsupported { what }) = error else { panic!("{error}") };
    what
}

#[test]
fn the_gpu_does_not_support_the_codec() {
    let gpu = SimulatedGpu::new().set("codecs", "hevc,jpeg").set("name", "NVIDIA X (simulated)");
    assert_clean(gpu.in_child(|simulator| {
        let expected =
            "GPU 0 (NVIDIA X (simulated)) decodes H.265 and JPEG; this camera sends H.264";
        assert_eq!(refused_when_opening(&Clip::small()), expected);
        // Each format was asked for once, when the device was opened.
        let asked = simulator.calls("cuvidGetDecoderCaps");
        assert_eq!(refused_when_opening(&Clip::small()), expected);
        assert!(asked > 8 && simulator.calls("cuvidGetDecoderCaps") == 2 * asked);
        assert_eq!(simulator.calls("cuvidCreateDecoder"), 0);
    }));
}

#[test]
fn the_gpu_does_not_support_the_size() {
    let gpu = SimulatedGpu::new().set("max_side", 256);
    assert_clean(gpu.in_child(|_| {
        let what = refused_when_opening(&Clip::small());
        let words = "decodes H.264 4:2:0 at 8 bits from 48x16 to 256x256, at most 256 macroblocks; this camera sends \
                     320x192";
        assert!(what.ends_with(words), "{what}");
    }));
}

#[test]
fn a_size_that_the_gpu_does_not_support_in_mid_stream() {
    assert_clean(SimulatedGpu::new().set("max_side", 400).in_child(|simulator| {
        let small = Clip::small();
        let large = Clip::encode(Codec::H264, (640, 192), &[]);
        let mut source = Clip::joined(&[&small, &large]).open();
        let device = CudaDevice::open(0).unwrap();
        let mut decoder = open_nvdec(source.stream(), &device, 0).unwrap();
        let mut count = 0;
        let errors = decode(&mut *source, &mut *decoder, |_| count += 1);
        assert_eq!((errors.len(), count), (0, 2 * FRAMES));
        let reason = decoder.fallback().expect("a reason").to_string();
        assert!(reason.contains("; this camera sends 640x192"), "{reason}");
        // FFmpeg did not try.
        assert_eq!(simulator.calls("cuvidCreateDecoder"), 1);
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
fn other_chroma_is_refused_if_known_when_opening() {
    assert_clean(SimulatedGpu::new().in_child(|_| {
        let clip = Clip::encode(Codec::Hevc, (320, 192), &["-pix_fmt", "yuv422p10le"]);
        let device = CudaDevice::open(0).unwrap();
        let error = open_nvdec(clip.open().stream(), &device, 0).err().expect("a refusal");
        let DecodeError::Gpu(GpuError::Unsupported { what }) = &error else { panic!("{error}") };
        assert!(what.contains("yuv422p10le") && error.is_fatal(), "{error}");
    }));
}

/// Decodes 8 bits, then this clip, then 8 bits again; the processor decodes from the clip on. Returns the reason.
fn from_mid_stream_in_memory(other: &Clip) -> GpuError {
    let size = (320, 192);
    let eight = Clip::encode(Codec::Hevc, size, &[]);
    let clip = Clip::joined(&[&eight, other, &eight]);
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
    assert_eq!(in_memory, [other.decoded_by_ffmpeg(), eight.decoded_by_ffmpeg()].concat());
    assert_eq!(decoder.kind(), DecoderKind::Software);
    decoder.fallback().expect("a reason")
}

#[test]
fn the_processor_decodes_other_chroma_in_mid_stream() {
    assert_clean(SimulatedGpu::new().in_child(|_| {
        let other = Clip::encode(Codec::Hevc, (320, 192), &["-pix_fmt", "yuv422p10le"]);
        let reason = from_mid_stream_in_memory(&other);
        assert!(matches!(reason, GpuError::Unsupported { .. }), "{reason}");
    }));
}

/// What must be converted on the GPU can't be there: the pictures before it are not affected.
#[test]
fn the_processor_decodes_ten_bits_where_the_driver_refuses_the_kernels() {
    assert_clean(SimulatedGpu::new().in_child(|simulator| {
        let ten = Clip::encode(Codec::Hevc, (320, 192), &["-pix_fmt", "yuv420p10le"]);
        for function in ["cuModuleLoadData", "cuModuleGetFunction"] {
            simulator.set(&format!("fault={function}:1:CUDA_ERROR_INVALID_PTX"));
            let reason = from_mid_stream_in_memory(&ten);
            let GpuError::NoKernels { ordinal: 0, cause } = &reason else { panic!("{reason}") };
            assert_eq!(cause, &format!("{function}: CUDA_ERROR_INVALID_PTX"));
        }
    }));
}

#[test]
fn kernels_for_which_memory_is_short_are_loaded_later() {
    assert_clean(SimulatedGpu::new().in_child(|simulator| {
        simulator.set("fault=cuModuleLoadData:1:CUDA_ERROR_OUT_OF_MEMORY");
        let device = CudaDevice::open(0).unwrap();
        let error = device.check_kernels().unwrap_err();
        assert!(matches!(error, GpuError::NoMemory { .. }), "{error}");
        // The driver is left alone for a while.
        while let Err(error) = device.check_kernels() {
            assert!(matches!(error, GpuError::NoMemory { .. }), "{error}");
            assert_eq!(simulator.calls("cuModuleLoadData"), 1);
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        // Loaded once.
        device.check_kernels().unwrap();
        assert_eq!(simulator.calls("cuModuleLoadData"), 2);
    }));
}
