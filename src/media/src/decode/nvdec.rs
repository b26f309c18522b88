//! Decoding on an NVIDIA GPU with FFmpeg's NVDEC code.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ffmpeg_sys_next as ffi;
use ffmpeg_sys_next::AVPixelFormat::{
    self, AV_PIX_FMT_CUDA, AV_PIX_FMT_NONE, AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVJ420P,
};

use super::DecodeError;
use crate::av::{AvError, check, to_c_int};
use crate::color::{format_name, pixel_format};
use crate::compat::{UNSAFE_OUTPUT, pictures_hold_only_outputs};
use crate::cuda::{CudaDevice, GpuError, GpuMemory};
use crate::log;
use crate::stream::StreamInfo;
use crate::surface::SurfaceMemory;

/// Failed pictures in a row after which the decoder is abandoned: a third of a second with most cameras.
const MAX_FAILURES: u32 = 8;

/// Pictures in a row without an output surface after which the GPU, and not the holders of surfaces, counts as the cause:
/// ten seconds with most cameras.
const MAX_UNMAPPED: u32 = 250;

/// The most decode surfaces that NVDEC accepts; FFmpeg requests as many output surfaces.
const MAX_SURFACES: u32 = 32;

/// Surfaces that FFmpeg adds to a codec's pool for the caller (FFmpeg 5.1, ff_decode_get_hw_frames_ctx in
/// libavcodec/decode.c).
const WORK_SURFACES: u32 = 3;

/// Whether NVDEC may decode a stream, as far as can be known without a GPU.
///
/// # Errors
/// [`GpuError::Unsupported`]: another codec, more than 8 bits, or another chroma format than 4:2:0.
pub fn nvdec_takes(stream: &StreamInfo) -> Result<(), GpuError> {
    let parameters = &stream.parameters;
    if !has_nvdec(parameters.codec_id()) {
        let what = format!("FFmpeg has no NVDEC code for {}", stream.codec.name());
        return Err(GpuError::Unsupported { what });
    }
    parameters.format().map_or(Ok(()), supported)
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
        match check(log::capture(call)) {
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
                self.state().fallback = Some(reason);
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
        supported(offered.software as c_int)?;
        if !offered.cuda {
            let what =
                format!("FFmpeg offers no NVDEC for {}", format_name(offered.software as c_int));
            return Err(GpuError::Unsupported { what });
        }
        state.tried = true;
        state.memory = offered.memory;
        drop(state);
        offered.memory.map_or(Ok(()), |memory| self.check_memory(memory))
    }

    /// Refuses a decoder that can't fit, with a better message than the driver's.
    fn check_memory(&self, needed: SurfaceMemory) -> Result<(), GpuError> {
        let GpuMemory { free, total } = self.device.memory()?;
        if needed.fits(free) {
            return Ok(());
        }
        let cause = format!("the decoder needs {needed}");
        Err(GpuError::NoMemory { ordinal: self.device.ordinal(), free, total, cause })
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
    /// # Safety
    /// `context` is valid, `formats` a list that ends with AV_PIX_FMT_NONE.
    unsafe fn read(context: *mut ffi::AVCodecContext, formats: *const AVPixelFormat) -> Self {
        let mut offered =
            Self { cuda: false, software: AV_PIX_FMT_NONE, coded: (0, 0), memory: None };
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
        ffi::av_buffer_unref(&mut frames);
        (surfaces > 0).then(|| SurfaceMemory::of(surfaces + WORK_SURFACES, size))
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

/// Refuses formats other than 8 bits in 4:2:0, which this service does not read from a GPU.
fn supported(format: c_int) -> Result<(), GpuError> {
    match pixel_format(format) {
        Some(AV_PIX_FMT_YUV420P | AV_PIX_FMT_YUVJ420P) => Ok(()),
        _ => {
            let name = format_name(format);
            let what = format!("it is {name}, and only 8 bits in 4:2:0 are supported on a GPU");
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
        assert_eq!(supported(AV_PIX_FMT_YUV420P as c_int), Ok(()));
        let refused = supported(AVPixelFormat::AV_PIX_FMT_YUV420P10LE as c_int).unwrap_err();
        assert!(refused.to_string().contains("yuv420p10le"), "{refused}");
    }

    #[test]
    fn ffmpeg_has_nvdec_code_for_h264_and_h265() {
        assert!(has_nvdec(ffi::AVCodecID::AV_CODEC_ID_H264));
        assert!(has_nvdec(ffi::AVCodecID::AV_CODEC_ID_HEVC));
        assert!(!has_nvdec(ffi::AVCodecID::AV_CODEC_ID_RAWVIDEO));
    }
}
