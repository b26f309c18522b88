//! Decoding on an NVIDIA GPU, through FFmpeg's NVDEC code.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ffmpeg_sys_next as ffi;
use ffmpeg_sys_next::AVPixelFormat::{
    self, AV_PIX_FMT_CUDA, AV_PIX_FMT_NONE, AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVJ420P,
};

use super::DecodeError;
use super::price::SurfacePrice;
use crate::av::{AvError, check, to_c_int};
use crate::color::{format_name, pixel_format};
use crate::compat::{GIVE_OUT_SURFACES, holds_outputs_alone};
use crate::cuda::{CudaDevice, GpuError, GpuMemory};
use crate::log;
use crate::stream::StreamInfo;

/// Pictures that fail in a row before the decoder is given up: a third of a second of most cameras.
const MAX_FAILURES: u32 = 8;

/// Pictures in a row that find no surface to be given out on, after which it is the GPU that fails and not whoever holds
/// the others: ten seconds of most cameras.
const MAX_UNMAPPED: u32 = 250;

/// More decode surfaces than these NVDEC does not take; FFmpeg asks for as many output surfaces.
const MAX_SURFACES: u32 = 32;

/// What FFmpeg adds to the pool of a codec (FFmpeg 5.1, ff_decode_get_hw_frames_ctx in
/// libavcodec/decode.c): the surfaces that a caller may always work with.
const WORK_SURFACES: u32 = 3;

/// Whether a stream is one that NVDEC may decode, as far as can be said without a GPU.
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

/// NVDEC behind one decoder of FFmpeg's.
pub(super) struct Nvdec {
    device: Arc<CudaDevice>,
    extra_surfaces: u32,
    /// Of one thread at a time; the lock is never waited for.
    state: Mutex<State>,
}

/// A call that failed.
pub(super) struct Failure {
    pub(super) error: DecodeError,
    /// FFmpeg may yet give out the picture of the packet that was sent, with whatever its surface
    /// held before.
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
    /// FFmpeg was told to use the GPU, within the call that runs now.
    tried: bool,
    /// What the decoder takes, as of its latest sequence.
    price: Option<SurfacePrice>,
    fallback: Option<GpuError>,
    failures: u32,
    /// Pictures in a row that found no surface to be given out on.
    unmapped: u32,
}

impl Nvdec {
    pub(super) fn new(device: &Arc<CudaDevice>, extra_surfaces: u32) -> Self {
        Self { device: Arc::clone(device), extra_surfaces, state: Mutex::default() }
    }

    /// Has a decoder that is not open yet ask for this GPU.
    ///
    /// # Safety
    /// `context` is valid and not open, and is freed before `self`.
    pub(super) unsafe fn attach(&self, context: *mut ffi::AVCodecContext) {
        // SAFETY: valid by contract; the reference becomes the context's own.
        unsafe {
            (*context).hw_device_ctx = self.device.hardware_ref();
            (*context).extra_hw_frames = to_c_int(self.extra_surfaces as usize);
            (*context).get_format = Some(get_format);
            (*context).opaque = std::ptr::from_ref(self).cast_mut().cast();
            (*context).hwaccel_flags |= GIVE_OUT_SURFACES;
        }
    }

    /// Why the processor decodes.
    pub(super) fn fallback(&self) -> Option<GpuError> {
        self.state().fallback.clone()
    }

    fn gave_up(&self) -> bool {
        self.state().fallback.is_some()
    }

    /// A picture came out, or might have.
    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        (state.failures, state.unmapped) = (0, 0);
    }

    /// Calls FFmpeg, whose code and words together tell what happened.
    pub(super) fn call(&self, call: impl FnOnce() -> c_int) -> Result<(), Failure> {
        if self.gave_up() {
            return check(call()).map(|_| ()).map_err(Failure::from);
        }
        // It may be that only whoever takes the pictures has met with it.
        self.device.known_health().map_err(DecodeError::from)?;
        self.state().tried = false;
        match check(log::listen(call)) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.judge(DecodeError::from_av(error))),
        }
    }

    /// What a failure means for the decoder.
    fn judge(&self, error: DecodeError) -> Failure {
        let heard = log::heard();
        let said = |sign: &str| heard.iter().any(|line| line.contains(sign));
        if said("No decoder surfaces left") {
            // Not the GPU's fault, nor what fails next for want of this picture.
            self.succeeded();
            return Failure { error: DecodeError::NoSurface, picture_lost: true };
        }
        // Whatever else fails is the stream's fault, as far as the GPU is concerned.
        if !said("CUDA_ERROR") {
            return error.into();
        }
        if let Err(lost) = self.device.health() {
            return DecodeError::from(lost).into();
        }
        let mut state = self.state();
        if holds_outputs_alone() && said("cuvidMapVideoFrame") && said("CUDA_ERROR_MAP_FAILED") {
            // All surfaces are out that a picture could be given out on.
            state.unmapped += 1;
            if state.unmapped < MAX_UNMAPPED {
                return DecodeError::NoSurface.into();
            }
        }
        state.failures += 1;
        if state.failures < MAX_FAILURES {
            // What was not mapped is an earlier picture, which does not come out.
            return Failure { error, picture_lost: !said("cuvidMapVideoFrame") };
        }
        let (ordinal, pictures) = (self.device.ordinal(), state.failures);
        DecodeError::from(GpuError::Failing { ordinal, pictures, said: words(&heard) }).into()
    }

    /// What the decoder takes of the GPU's memory.
    pub(super) fn price(&self) -> Option<SurfacePrice> {
        self.state().price
    }

    /// FFmpeg asks for the format to decode to: once for each new sequence, and again without the
    /// GPU's when that could not be set up.
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
        state.price = offered.price;
        drop(state);
        offered.price.map_or(Ok(()), |price| self.affordable(price))
    }

    /// Refuses what can't fit, before the driver does with less to say.
    fn affordable(&self, price: SurfacePrice) -> Result<(), GpuError> {
        let GpuMemory { free, total } = self.device.memory()?;
        if price.fits(free) {
            return Ok(());
        }
        let said = format!("the decoder takes {price}");
        Err(GpuError::NoMemory { ordinal: self.device.ordinal(), free, total, said })
    }

    /// Why FFmpeg could not set NVDEC up, by what it said.
    fn setup_failed(&self, coded: (u32, u32)) -> GpuError {
        if let Err(lost) = self.device.health() {
            return lost;
        }
        let (ordinal, heard) = (self.device.ordinal(), log::heard());
        let said = words(&heard);
        let price = self.price();
        if let Some(price) = price.filter(|price| price.surfaces > MAX_SURFACES) {
            let what = format!("it takes {price}, and NVDEC has {MAX_SURFACES} ({said})");
            return GpuError::Unsupported { what };
        }
        let any = |signs: &[&str]| signs.iter().any(|sign| said.contains(sign));
        if any(&["libnvcuvid", "nvcuvid."]) {
            return GpuError::NoLibrary { library: "libnvcuvid.so.1" };
        }
        if any(&["CUDA_ERROR_OUT_OF_MEMORY"]) {
            let Ok(GpuMemory { free, total }) = self.device.memory() else {
                return GpuError::Failed { ordinal, said };
            };
            // The driver has one code for both. With room for the largest decoder there is, it
            // was not memory that lacked.
            let largest = SurfacePrice::of(MAX_SURFACES, coded);
            return if largest.fits(free) {
                GpuError::SessionsUsedUp { ordinal, said }
            } else {
                GpuError::NoMemory { ordinal, free, total, said }
            };
        }
        if any(&[
            "lacking required capabilities",
            "not within range",
            "exceeds maximum",
            "Unsupported chroma format",
            "CUDA_ERROR_NOT_SUPPORTED",
        ]) {
            return GpuError::Unsupported { what: said };
        }
        GpuError::Failed { ordinal, said }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What FFmpeg offers to decode to.
struct Offered {
    /// NVDEC is among it.
    cuda: bool,
    /// What its own code decodes to: the last of the list.
    software: AVPixelFormat,
    /// Width and height as coded.
    coded: (u32, u32),
    /// What NVDEC would take, if FFmpeg knows.
    price: Option<SurfacePrice>,
}

impl Offered {
    /// # Safety
    /// `context` is valid, `formats` a list that ends with AV_PIX_FMT_NONE.
    unsafe fn read(context: *mut ffi::AVCodecContext, formats: *const AVPixelFormat) -> Self {
        let mut offered =
            Self { cuda: false, software: AV_PIX_FMT_NONE, coded: (0, 0), price: None };
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
                offered.price = price(context);
            }
        }
        offered
    }
}

/// What FFmpeg's NVDEC code is about to ask the GPU for: its own reckoning, by the stream's parameter sets
/// (FFmpeg 5.1, nvdec_h264.c: reference frames and those held back; nvdec_hevc.c: the largest buffer and one
/// more; two more for both in nvdec.c). No call of the driver.
///
/// # Safety
/// `context` is the one of a running call of `get_format` that offered CUDA.
unsafe fn price(context: *mut ffi::AVCodecContext) -> Option<SurfacePrice> {
    let mut frames: *mut ffi::AVBufferRef = std::ptr::null_mut();
    // SAFETY: called as FFmpeg asks, from `get_format` with its context and the device that `attach` gave it;
    // what comes back is ours, read and freed here.
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
        (surfaces > 0).then(|| SurfacePrice::of(surfaces + WORK_SURFACES, size))
    }
}

/// FFmpeg's question, on the thread that sends a packet.
unsafe extern "C" fn get_format(
    context: *mut ffi::AVCodecContext,
    formats: *const AVPixelFormat,
) -> AVPixelFormat {
    // SAFETY: the context of this very call, and FFmpeg's list.
    let offered = unsafe { Offered::read(context, formats) };
    // SAFETY: `attach` put it there, and it outlives the context.
    let nvdec = unsafe { &*(*context).opaque.cast::<Nvdec>() };
    // A panic must not cross into C; the processor decodes then.
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
        // SAFETY: a static descriptor; null behind the last of its configurations.
        unsafe { ffi::avcodec_get_hw_config(codec, index).as_ref() }
    };
    (0..).map_while(configuration).any(|found| {
        found.device_type == ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_CUDA
            && found.pix_fmt == AV_PIX_FMT_CUDA
    })
}

/// Refuses what would come in other samples than 8 bits in 4:2:0: nobody here reads those.
fn supported(format: c_int) -> Result<(), GpuError> {
    match pixel_format(format) {
        Some(AV_PIX_FMT_YUV420P | AV_PIX_FMT_YUVJ420P) => Ok(()),
        _ => {
            let name = format_name(format);
            let what = format!("it is {name}, and only 8 bits in 4:2:0 are taken from the GPU");
            Err(GpuError::Unsupported { what })
        }
    }
}

/// FFmpeg's lines in short: `decoder->cvdl->cuvidX(...) failed -> CUDA_ERROR_Y: words`.
fn words(heard: &[String]) -> String {
    // The first says nothing, the second is wrong: one thread decodes.
    const IDLE: [&str; 2] = ["Failed setup for format", "Try lowering the amount of threads"];
    let specific = heard.iter().filter(|line| !IDLE.iter().any(|idle| line.starts_with(idle)));
    let lines: Vec<String> = specific.map(|line| shortened(line)).collect();
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
    fn ffmpegs_lines_become_words() {
        let heard = [
            "decoder->cvdl->cuvidCreateDecoder(&decoder->decoder, params) failed -> \
             CUDA_ERROR_OUT_OF_MEMORY: out of memory",
            "Failed setup for format cuda: hwaccel initialisation returned error.",
        ];
        let expected = "cuvidCreateDecoder: CUDA_ERROR_OUT_OF_MEMORY: out of memory";
        assert_eq!(words(&heard.map(String::from)), expected);
        assert_eq!(words(&[]), "FFmpeg gave no reason");
    }

    #[test]
    fn deeper_samples_are_refused_in_words() {
        assert_eq!(supported(AV_PIX_FMT_YUV420P as c_int), Ok(()));
        let refused = supported(AVPixelFormat::AV_PIX_FMT_YUV420P10LE as c_int).unwrap_err();
        assert!(refused.to_string().contains("yuv420p10le"), "{refused}");
    }

    #[test]
    fn nvdec_code_is_there_for_the_cameras_codecs() {
        assert!(has_nvdec(ffi::AVCodecID::AV_CODEC_ID_H264));
        assert!(has_nvdec(ffi::AVCodecID::AV_CODEC_ID_HEVC));
        assert!(!has_nvdec(ffi::AVCodecID::AV_CODEC_ID_RAWVIDEO));
    }
}
