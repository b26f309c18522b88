//! Decoding on an NVIDIA GPU with FFmpeg's NVDEC code.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ffmpeg_sys_next as ffi;
use ffmpeg_sys_next::AVPixelFormat::{
    self, AV_PIX_FMT_CUDA, AV_PIX_FMT_NONE, AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUV420P10LE,
    AV_PIX_FMT_YUVJ420P,
};

use super::DecodeError;
use crate::av::{AvError, check, to_c_int};
use crate::color::{bit_depth, descriptor, format_name, pixel_format};
use crate::compat::{UNSAFE_OUTPUT, pictures_hold_only_outputs};
use crate::cuda::{CudaDevice, GpuError, GpuMemory, Grant};
use crate::log;
use crate::stream::StreamInfo;
use crate::surface::SurfaceFormat;
use vas_cuda::{Chroma, VideoCodec, Wanted};
use vas_surfaces::{MAX_SURFACES, SurfaceMemory, WORK_SURFACES, nv12_bytes};

/// Failed pictures in a row after which the decoder is abandoned: a third of a second with most cameras.
const MAX_FAILURES: u32 = 8;

/// Pictures in a row without an output surface after which the GPU, and not the holders of surfaces, counts as the cause:
/// ten seconds with most cameras.
const MAX_UNMAPPED: u32 = 250;

/// Whether NVDEC may decode a stream, as far as can be known without a GPU.
///
/// # Errors
/// [`GpuError::Unsupported`]: another codec, more than 10 bits, or another chroma format than 4:2:0.
pub fn nvdec_takes(stream: &StreamInfo) -> Result<(), GpuError> {
    let parameters = &stream.parameters;
    if !has_nvdec(parameters.codec_id()) {
        let what = format!("FFmpeg has no NVDEC code for {}", stream.codec.name());
        return Err(GpuError::Unsupported { what });
    }
    parameters.format().map_or(Ok(()), |format| supported(format).map(|_| ()))
}

/// What is asked of NVDEC to decode a stream, as far as it is known before the first packet.
pub(super) fn wanted(stream: &StreamInfo) -> Option<Wanted> {
    // Whole macroblocks, as pictures are coded.
    let coded = |(width, height): (u32, u32)| {
        Some((width.checked_next_multiple_of(16)?, height.checked_next_multiple_of(16)?))
    };
    Some(Wanted {
        codec: nvdec_codec(stream.parameters.codec_id())?,
        samples: stream.parameters.format().and_then(samples),
        size: stream.size.and_then(coded),
    })
}

/// A codec by NVDEC's name; `None`: no question of ours covers it.
fn nvdec_codec(codec: ffi::AVCodecID) -> Option<VideoCodec> {
    Some(match codec {
        ffi::AVCodecID::AV_CODEC_ID_H264 => VideoCodec::H264,
        ffi::AVCodecID::AV_CODEC_ID_HEVC => VideoCodec::H265,
        ffi::AVCodecID::AV_CODEC_ID_MJPEG => VideoCodec::Jpeg,
        ffi::AVCodecID::AV_CODEC_ID_MPEG2VIDEO => VideoCodec::Mpeg2,
        ffi::AVCodecID::AV_CODEC_ID_MPEG4 => VideoCodec::Mpeg4,
        ffi::AVCodecID::AV_CODEC_ID_VC1 | ffi::AVCodecID::AV_CODEC_ID_WMV3 => VideoCodec::Vc1,
        ffi::AVCodecID::AV_CODEC_ID_VP8 => VideoCodec::Vp8,
        ffi::AVCodecID::AV_CODEC_ID_VP9 => VideoCodec::Vp9,
        ffi::AVCodecID::AV_CODEC_ID_AV1 => VideoCodec::Av1,
        _ => return None,
    })
}

/// Chroma format and bits of a software format; `None` where a question of ours has no word for it.
fn samples(format: c_int) -> Option<(Chroma, u8)> {
    let descriptor = descriptor(format).filter(|descriptor| descriptor.nb_components == 3)?;
    let chroma = match (descriptor.log2_chroma_w, descriptor.log2_chroma_h) {
        (1, 1) => Chroma::C420,
        (1, 0) => Chroma::C422,
        (0, 0) => Chroma::C444,
        _ => return None,
    };
    Some((chroma, bit_depth(format)))
}

/// The NVDEC side of one FFmpeg decoder.
pub(super) struct Nvdec {
    device: Arc<CudaDevice>,
    extra_surfaces: u32,
    /// Used by one thread at a time, so the lock is never contended.
    state: Mutex<State>,
}

/// A call that failed.
pub(super) struct Failure {
    pub(super) error: DecodeError,
    /// FFmpeg may still output the picture of the packet that was sent, with the old contents of its
    /// surface.
    pub(super) picture_lost: bool,
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self { error, picture_lost: false }
    }
}

impl From<AvError> for Failure {
    fn from(error: AvError) -> Self {
        DecodeError::from_av(error).into()
    }
}

#[derive(Default)]
struct State {
    /// Within the current call, FFmpeg was given the GPU's format.
    tried: bool,
    /// What the decoder needs for its latest sequence.
    memory: Option<SurfaceMemory>,
    /// What it was admitted to.
    grant: Option<Grant>,
    fallback: Option<GpuError>,
    failures: u32,
    /// Pictures in a row without an output surface.
    unmapped: u32,
}

impl Nvdec {
    pub(super) fn new(device: &Arc<CudaDevice>, extra_surfaces: u32) -> Self {
        Self { device: Arc::clone(device), extra_surfaces, state: Mutex::default() }
    }

    /// Sets up a decoder that is not open yet to use this GPU.
    ///
    /// # Safety
    /// `context` is valid and not open, and is freed before `self`.
    pub(super) unsafe fn attach(&self, context: *mut ffi::AVCodecContext) {
        // SAFETY: valid by contract; the context owns the reference.
        unsafe {
            (*context).hw_device_ctx = self.device.hardware_ref();
            (*context).extra_hw_frames = to_c_int(self.extra_surfaces as usize);
            (*context).get_format = Some(get_format);
            (*context).opaque = std::ptr::from_ref(self).cast_mut().cast();
            (*context).hwaccel_flags |= UNSAFE_OUTPUT;
        }
    }

    /// Why the processor decodes.
    pub(super) fn fallback(&self) -> Option<GpuError> {
        self.state().fallback.clone()
    }

    fn gave_up(&self) -> bool {
        self.state().fallback.is_some()
    }

    /// Records a picture that was output or could have been, which ends a series of failures.
    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        (state.failures, state.unmapped) = (0, 0);
    }

    /// Calls FFmpeg; classifies a failure by its return code and log lines together.
    pub(super) fn call(&self, call: impl FnOnce() -> c_int) -> Result<(), Failure> {
        if self.gave_up() {
            return check(call()).map(|_| ()).map_err(Failure::from);
        }
        // The engine that copies pictures may have found the device lost before any decoder.
        self.device.known_health().map_err(DecodeError::from)?;
        self.state().tried = false;
        let called = check(log::capture(call));
        if let Some(grant) = &mut self.state().grant {
            // What was to be created in the call exists, or never will.
            grant.settle();
        }
        match called {
            Ok(_) => Ok(()),
            Err(error) => Err(self.classify(DecodeError::from_av(error))),
        }
    }

    /// What a failure means for the decoder.
    fn classify(&self, error: DecodeError) -> Failure {
        let lines = log::captured();
        let logged = |text: &str| lines.iter().any(|line| line.contains(text));
        if logged("No decoder surfaces left") {
            // Not a failure of the GPU; neither are later failures for lack of this picture.
            self.succeeded();
            return Failure { error: DecodeError::NoSurface, picture_lost: true };
        }
        // Any failure without a CUDA error is due to the stream.
        if !logged("CUDA_ERROR") {
            return error.into();
        }
        if let Err(lost) = self.device.health() {
            return DecodeError::from(lost).into();
        }
        let mut state = self.state();
        let map_failed = logged("cuvidMapVideoFrame");
        if pictures_hold_only_outputs() && map_failed && logged("CUDA_ERROR_MAP_FAILED") {
            // All output surfaces are held.
            state.unmapped += 1;
            if state.unmapped < MAX_UNMAPPED {
                return DecodeError::NoSurface.into();
            }
        }
        state.failures += 1;
        if state.failures < MAX_FAILURES {
            // If mapping failed, an earlier picture is lost, which FFmpeg does not output.
            return Failure { error, picture_lost: !map_failed };
        }
        let (ordinal, pictures) = (self.device.ordinal(), state.failures);
        DecodeError::from(GpuError::Failing { ordinal, pictures, cause: summary(&lines) }).into()
    }

    /// The GPU memory that the decoder's surfaces need.
    pub(super) fn surface_memory(&self) -> Option<SurfaceMemory> {
        self.state().memory
    }

    /// Chooses the format to decode to. FFmpeg asks once for each new sequence, and again without the
    /// GPU's format if it could not set that up.
    fn choose(&self, offered: &Offered) -> AVPixelFormat {
        if self.gave_up() {
            return offered.software;
        }
        match self.try_gpu(offered) {
            Ok(()) => AV_PIX_FMT_CUDA,
            Err(reason) => {
                let mut state = self.state();
                (state.fallback, state.grant) = (Some(reason), None);
                offered.software
            }
        }
    }

    fn try_gpu(&self, offered: &Offered) -> Result<(), GpuError> {
        let mut state = self.state();
        if !offered.cuda && state.tried {
            drop(state);
            return Err(self.setup_failed(offered.coded));
        }
        let samples = supported(offered.software as c_int)?;
        if !offered.cuda {
            let what =
                format!("FFmpeg offers no NVDEC for {}", format_name(offered.software as c_int));
            return Err(GpuError::Unsupported { what });
        }
        self.device.decodes(offered.wanted())?;
        if samples == SurfaceFormat::P010 {
            self.device.check_kernels()?;
        }
        state.tried = true;
        state.memory = offered.memory;
        // That of the sequence before, whose surfaces the driver still counts while pictures are held.
        state.grant = None;
        if let Some(need) = offered.memory {
            let converts = samples == SurfaceFormat::P010;
            let converted = if converts { nv12_bytes(offered.coded) } else { 0 };
            state.grant = Some(self.device.admit(need, converted)?);
        }
        Ok(())
    }

    /// Why FFmpeg could not set NVDEC up, from its log lines.
    fn setup_failed(&self, coded: (u32, u32)) -> GpuError {
        if let Err(lost) = self.device.health() {
            return lost;
        }
        let (ordinal, lines) = (self.device.ordinal(), log::captured());
        let cause = summary(&lines);
        let memory = self.surface_memory();
        if let Some(memory) = memory.filter(|memory| memory.surfaces > MAX_SURFACES) {
            let what = format!("it needs {memory}, and NVDEC allows {MAX_SURFACES} ({cause})");
            return GpuError::Unsupported { what };
        }
        let any = |texts: &[&str]| texts.iter().any(|text| cause.contains(text));
        if any(&["libnvcuvid", "nvcuvid."]) {
            return GpuError::NoLibrary { library: "libnvcuvid.so.1" };
        }
        if any(&["CUDA_ERROR_OUT_OF_MEMORY"]) {
            let Ok(GpuMemory { free, total }) = self.device.memory() else {
                return GpuError::Failed { ordinal, cause };
            };
            // The driver has one code for both. If the largest possible decoder would fit, memory was
            // not the reason.
            let largest = SurfaceMemory::of(MAX_SURFACES, coded);
            return if largest.fits(free) {
                GpuError::SessionsUsedUp { ordinal, cause }
            } else {
                GpuError::NoMemory { ordinal, free, total, cause }
            };
        }
        if any(&[
            "lacking required capabilities",
            "not within range",
            "exceeds maximum",
            "Unsupported chroma format",
            "CUDA_ERROR_NOT_SUPPORTED",
        ]) {
            return GpuError::Unsupported { what: cause };
        }
        GpuError::Failed { ordinal, cause }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The formats that FFmpeg offers to decode to.
struct Offered {
    codec: ffi::AVCodecID,
    /// Whether NVDEC's format is offered.
    cuda: bool,
    /// The format of the software decoder, the last in the list.
    software: AVPixelFormat,
    /// Width and height as coded.
    coded: (u32, u32),
    /// What NVDEC would need, if FFmpeg knows.
    memory: Option<SurfaceMemory>,
}

impl Offered {
    /// What is asked of NVDEC.
    fn wanted(&self) -> Option<Wanted> {
        let codec = nvdec_codec(self.codec)?;
        Some(Wanted { codec, samples: samples(self.software as c_int), size: Some(self.coded) })
    }

    /// # Safety
    /// `context` is valid, `formats` a list that ends with AV_PIX_FMT_NONE.
    unsafe fn read(context: *mut ffi::AVCodecContext, formats: *const AVPixelFormat) -> Self {
        // SAFETY: valid by contract; FFmpeg's own number of a codec.
        let codec = unsafe { (*context).codec_id };
        let mut offered =
            Self { codec, cuda: false, software: AV_PIX_FMT_NONE, coded: (0, 0), memory: None };
        let side = |pixels: c_int| u32::try_from(pixels).unwrap_or(0);
        // SAFETY: valid by contract; read as numbers (house rule 4) up to the end of the list.
        unsafe {
            offered.coded = (side((*context).coded_width), side((*context).coded_height));
            let mut next = formats.cast::<c_int>();
            while let Some(format) = pixel_format(*next) {
                offered.cuda |= format == AV_PIX_FMT_CUDA;
                offered.software = format;
                next = next.add(1);
            }
            if offered.cuda {
                offered.memory = surface_memory(context);
            }
        }
        offered
    }
}

/// The surfaces that FFmpeg's NVDEC code is about to request, as FFmpeg computes them from the stream's parameter sets
/// (FFmpeg 5.1, nvdec_h264.c: reference frames and reordered ones; nvdec_hevc.c: the largest buffer plus one; both plus
/// two in nvdec.c). Makes no driver call.
///
/// # Safety
/// `context` is the argument of the running call of `get_format`, which offered CUDA.
unsafe fn surface_memory(context: *mut ffi::AVCodecContext) -> Option<SurfaceMemory> {
    let mut frames: *mut ffi::AVBufferRef = std::ptr::null_mut();
    // SAFETY: called as FFmpeg requires, from `get_format` with its context and the device that `attach` set;
    // the result is ours and freed here.
    unsafe {
        let device = (*context).hw_device_ctx;
        let code =
            ffi::avcodec_get_hw_frames_parameters(context, device, AV_PIX_FMT_CUDA, &mut frames);
        if code < 0 || frames.is_null() {
            return None;
        }
        let pool = (*frames).data.cast::<ffi::AVHWFramesContext>();
        let side = |pixels: c_int| u32::try_from(pixels).unwrap_or(0);
        let surfaces = side((*pool).initial_pool_size);
        let size = (side((*pool).width), side((*pool).height));
        // Read as a number (house rule 4).
        let format = SurfaceFormat::of((&raw const (*pool).sw_format).cast::<c_int>().read());
        ffi::av_buffer_unref(&mut frames);
        let sample_bytes = format.map_or(1, |format| format.sample_bytes() as u64);
        (surfaces > 0)
            .then(|| SurfaceMemory::of_samples(surfaces + WORK_SURFACES, size, sample_bytes))
    }
}

/// FFmpeg's callback for the format, on the thread that sends a packet.
unsafe extern "C" fn get_format(
    context: *mut ffi::AVCodecContext,
    formats: *const AVPixelFormat,
) -> AVPixelFormat {
    // SAFETY: the context of this call, and FFmpeg's list.
    let offered = unsafe { Offered::read(context, formats) };
    // SAFETY: `attach` stored it, and it outlives the context.
    let nvdec = unsafe { &*(*context).opaque.cast::<Nvdec>() };
    // A panic must not unwind into C; the processor then decodes.
    catch_unwind(AssertUnwindSafe(|| nvdec.choose(&offered))).unwrap_or(offered.software)
}

/// Whether FFmpeg was built with NVDEC code for a codec.
fn has_nvdec(codec: ffi::AVCodecID) -> bool {
    // SAFETY: looks an id up in a static table.
    let codec = unsafe { ffi::avcodec_find_decoder(codec) };
    if codec.is_null() {
        return false;
    }
    let configuration = |index| {
        // SAFETY: a static descriptor; null after the last of its configurations.
        unsafe { ffi::avcodec_get_hw_config(codec, index).as_ref() }
    };
    (0..).map_while(configuration).any(|found| {
        found.device_type == ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_CUDA
            && found.pix_fmt == AV_PIX_FMT_CUDA
    })
}

/// The surfaces of a stream of this format. Refuses formats other than 8 and 10 bits in 4:2:0, which this service does not
/// read from a GPU.
fn supported(format: c_int) -> Result<SurfaceFormat, GpuError> {
    match pixel_format(format) {
        Some(AV_PIX_FMT_YUV420P | AV_PIX_FMT_YUVJ420P) => Ok(SurfaceFormat::Nv12),
        Some(AV_PIX_FMT_YUV420P10LE) => Ok(SurfaceFormat::P010),
        _ => {
            let name = format_name(format);
            let what =
                format!("it is {name}, and only 8 and 10 bits in 4:2:0 are supported on a GPU");
            Err(GpuError::Unsupported { what })
        }
    }
}

/// Shortens FFmpeg's log lines, which look like `decoder->cvdl->cuvidX(...) failed -> CUDA_ERROR_Y: description`.
fn summary(lines: &[String]) -> String {
    // The first has no information, the second does not apply: one thread decodes.
    const USELESS: [&str; 2] = ["Failed setup for format", "Try lowering the amount of threads"];
    let useful = lines.iter().filter(|line| !USELESS.iter().any(|text| line.starts_with(text)));
    let lines: Vec<String> = useful.map(|line| shortened(line)).collect();
    if lines.is_empty() { "FFmpeg gave no reason".into() } else { lines.join("; ") }
}

fn shortened(line: &str) -> String {
    let Some((call, error)) = line.split_once(" failed -> ") else { return line.into() };
    let function = call.split('(').next().unwrap_or(call);
    let function = function.rsplit("->").next().unwrap_or(function);
    format!("{function}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_are_shortened() {
        let lines = [
            "decoder->cvdl->cuvidCreateDecoder(&decoder->decoder, params) failed -> \
             CUDA_ERROR_OUT_OF_MEMORY: out of memory",
            "Failed setup for format cuda: hwaccel initialisation returned error.",
        ];
        let expected = "cuvidCreateDecoder: CUDA_ERROR_OUT_OF_MEMORY: out of memory";
        assert_eq!(summary(&lines.map(String::from)), expected);
        assert_eq!(summary(&[]), "FFmpeg gave no reason");
    }

    #[test]
    fn unsupported_formats_are_named() {
        assert_eq!(supported(AV_PIX_FMT_YUV420P as c_int), Ok(SurfaceFormat::Nv12));
        assert_eq!(supported(AV_PIX_FMT_YUV420P10LE as c_int), Ok(SurfaceFormat::P010));
        let refused = supported(AVPixelFormat::AV_PIX_FMT_YUV422P10LE as c_int).unwrap_err();
        assert!(refused.to_string().contains("yuv422p10le"), "{refused}");
    }

    #[test]
    fn formats_are_put_into_nvdecs_words() {
        for (format, expected) in [
            (AV_PIX_FMT_YUVJ420P, Some((Chroma::C420, 8))),
            (AVPixelFormat::AV_PIX_FMT_YUV420P12LE, Some((Chroma::C420, 12))),
            (AVPixelFormat::AV_PIX_FMT_YUV422P10LE, Some((Chroma::C422, 10))),
            (AVPixelFormat::AV_PIX_FMT_YUV444P, Some((Chroma::C444, 8))),
            (AVPixelFormat::AV_PIX_FMT_GRAY8, None),
        ] {
            assert_eq!(samples(format as c_int), expected, "{}", format_name(format as c_int));
        }
    }

    #[test]
    fn ffmpeg_has_nvdec_code_for_h264_and_h265() {
        assert!(has_nvdec(ffi::AVCodecID::AV_CODEC_ID_H264));
        assert!(has_nvdec(ffi::AVCodecID::AV_CODEC_ID_HEVC));
        assert!(!has_nvdec(ffi::AVCodecID::AV_CODEC_ID_RAWVIDEO));
    }
}
