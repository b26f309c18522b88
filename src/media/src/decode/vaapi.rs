//! Decoding on a GPU with FFmpeg's VA-API code.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ffmpeg_sys_next as ffi;
use ffmpeg_sys_next::AVPixelFormat::{
    self, AV_PIX_FMT_NONE, AV_PIX_FMT_VAAPI, AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUV420P10LE,
    AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_YUVJ422P,
};

use super::DecodeError;
use super::nvdec::Failure;
use crate::av::{check, to_c_int};
use crate::color::{bit_depth, format_name, pixel_format};
use crate::log;
use crate::stream::StreamInfo;
use crate::vaapi::{VaapiDevice, VaapiError};
use vas_surfaces::{SurfaceMemory, vaapi_surfaces};

/// Failed pictures in a row after which the decoder is abandoned: a third of a second with most cameras.
const MAX_FAILURES: u32 = 8;

/// Whether VA-API may decode a stream, as far as can be known without a driver.
///
/// # Errors
/// [`VaapiError::Unsupported`]: another codec, or a format that this service does not read from a surface.
pub fn vaapi_takes(stream: &StreamInfo) -> Result<(), VaapiError> {
    let parameters = &stream.parameters;
    if !has_vaapi(parameters.codec_id()) {
        let what = format!("FFmpeg has no VA-API code for {}", stream.codec.name());
        return Err(VaapiError::Unsupported { what });
    }
    parameters.format().map_or(Ok(()), supported)
}

/// The VA-API side of one FFmpeg decoder.
pub(super) struct Vaapi {
    device: Arc<VaapiDevice>,
    extra_surfaces: u32,
    /// Used by one thread at a time, so the lock is never contended.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Within the current call, FFmpeg was given VA-API's format.
    tried: bool,
    memory: Option<SurfaceMemory>,
    fallback: Option<VaapiError>,
    failures: u32,
}

impl Vaapi {
    pub(super) fn new(device: &Arc<VaapiDevice>, extra_surfaces: u32) -> Self {
        Self { device: Arc::clone(device), extra_surfaces, state: Mutex::default() }
    }

    /// Sets up a decoder that is not open yet to use this node.
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
        }
    }

    /// The number of the render node.
    pub(super) fn node(&self) -> u32 {
        self.device.node().minor
    }

    /// Why the processor decodes.
    pub(super) fn fallback(&self) -> Option<VaapiError> {
        self.state().fallback.clone()
    }

    /// Records a picture that was output, which ends a series of failures.
    pub(super) fn succeeded(&self) {
        self.state().failures = 0;
    }

    /// Calls FFmpeg; classifies a failure by its return code and log lines together.
    pub(super) fn call(&self, call: impl FnOnce() -> c_int) -> Result<(), Failure> {
        if self.state().fallback.is_some() {
            return check(call()).map(|_| ()).map_err(Failure::from);
        }
        // Another decoder, or the thread that downloads pictures, may have found the node lost before.
        self.device.known_health().map_err(gpu)?;
        self.state().tried = false;
        check(log::capture(call))
            .map(|_| ())
            .map_err(|error| self.classify(DecodeError::from_av(error)))
    }

    /// What a failure means for the decoder.
    fn classify(&self, error: DecodeError) -> Failure {
        let lines = log::captured();
        let logged = |text: &str| lines.iter().any(|line| line.contains(text));
        if matches!(&error, DecodeError::Fatal(code) if code.code() == -libc::ENOMEM)
            && logged("get_buffer() failed")
        {
            // All surfaces are in use. This does not mean that the node fails.
            self.succeeded();
            return Failure { error: DecodeError::NoSurface, picture_lost: true };
        }
        // Any failure that libva has not reported is due to the stream.
        if !lines.iter().any(|line| is_of_driver(line)) {
            return error.into();
        }
        if let Err(lost) = self.device.health() {
            return gpu(lost).into();
        }
        let mut state = self.state();
        state.failures += 1;
        let corrupt = DecodeError::Corrupt(crate::AvError::new(-libc::EIO));
        let error = if error.is_fatal() { corrupt } else { error };
        if state.failures < MAX_FAILURES {
            return Failure { error, picture_lost: true };
        }
        let (node, pictures) = (self.device.words().to_owned(), state.failures);
        gpu(VaapiError::Failing { node, pictures, cause: summary(&lines) }).into()
    }

    /// The memory that the decoder's surfaces need.
    pub(super) fn surface_memory(&self) -> Option<SurfaceMemory> {
        self.state().memory
    }

    /// Chooses the format to decode to. FFmpeg asks once for each new sequence, and again without VA-API's format if it
    /// could not set that up.
    fn choose(&self, offered: &Offered) -> AVPixelFormat {
        if self.state().fallback.is_some() {
            return offered.software;
        }
        match self.try_gpu(offered) {
            Ok(()) => AV_PIX_FMT_VAAPI,
            Err(reason) => {
                self.state().fallback = Some(reason);
                offered.software
            }
        }
    }

    fn try_gpu(&self, offered: &Offered) -> Result<(), VaapiError> {
        let tried = self.state().tried;
        if !offered.vaapi && tried {
            return Err(self.setup_failed());
        }
        supported(offered.software as c_int)?;
        if !offered.vaapi {
            let what =
                format!("FFmpeg offers no VA-API for {}", format_name(offered.software as c_int));
            return Err(VaapiError::Unsupported { what });
        }
        let surfaces = vaapi_surfaces(offered.single, self.extra_surfaces);
        let sample_bytes = if bit_depth(offered.software as c_int) > 8 { 2 } else { 1 };
        let mut state = self.state();
        state.tried = true;
        state.memory = Some(SurfaceMemory::of_vaapi(surfaces, offered.coded, sample_bytes));
        Ok(())
    }

    /// Why FFmpeg could not set VA-API up, from its log lines.
    fn setup_failed(&self) -> VaapiError {
        if let Err(lost) = self.device.health() {
            return lost;
        }
        let cause = summary(&log::captured());
        let any = |texts: &[&str]| texts.iter().any(|text| cause.contains(text));
        if any(&[
            "No support for codec",
            "not supported for hardware decode",
            "does not support image size",
            "unsupported profile",
            "does not support the requested VAProfile",
            "VAEntrypoint",
            "resolution is not supported",
        ]) {
            return VaapiError::Unsupported { what: cause };
        }
        let memory =
            self.surface_memory().map_or_else(String::new, |memory| format!("; it needs {memory}"));
        VaapiError::Failed {
            node: self.device.words().to_owned(),
            cause: format!("{cause}{memory}"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gpu(error: VaapiError) -> DecodeError {
    DecodeError::Gpu(error.into())
}

/// The formats that FFmpeg offers to decode to.
struct Offered {
    /// Whether VA-API's format is offered.
    vaapi: bool,
    /// The format of the software decoder, the last in the list.
    software: AVPixelFormat,
    /// Width and height as coded.
    coded: (u32, u32),
    /// The codec's pictures refer to no others.
    single: bool,
}

impl Offered {
    /// # Safety
    /// `context` is valid, `formats` a list that ends with AV_PIX_FMT_NONE.
    unsafe fn read(context: *mut ffi::AVCodecContext, formats: *const AVPixelFormat) -> Self {
        let mut offered =
            Self { vaapi: false, software: AV_PIX_FMT_NONE, coded: (0, 0), single: false };
        let side = |pixels: c_int| u32::try_from(pixels).unwrap_or(0);
        // SAFETY: valid by contract; read as numbers (house rule 4) up to the end of the list.
        unsafe {
            offered.coded = (side((*context).coded_width), side((*context).coded_height));
            offered.single = (*context).codec_id == ffi::AVCodecID::AV_CODEC_ID_MJPEG;
            let mut next = formats.cast::<c_int>();
            while let Some(format) = pixel_format(*next) {
                offered.vaapi |= format == AV_PIX_FMT_VAAPI;
                offered.software = format;
                next = next.add(1);
            }
        }
        offered
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
    let vaapi = unsafe { &*(*context).opaque.cast::<Vaapi>() };
    // A panic must not unwind into C; the processor then decodes.
    catch_unwind(AssertUnwindSafe(|| vaapi.choose(&offered))).unwrap_or(offered.software)
}

/// Whether FFmpeg was built with VA-API code for a codec.
fn has_vaapi(codec: ffi::AVCodecID) -> bool {
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
        found.device_type == ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_VAAPI
            && found.pix_fmt == AV_PIX_FMT_VAAPI
    })
}

/// Refuses formats that this service does not read from a surface.
fn supported(format: c_int) -> Result<(), VaapiError> {
    match pixel_format(format) {
        Some(
            AV_PIX_FMT_YUV420P | AV_PIX_FMT_YUVJ420P | AV_PIX_FMT_YUV420P10LE | AV_PIX_FMT_YUVJ422P,
        ) => Ok(()),
        _ => {
            let name = format_name(format);
            let what =
                format!("it is {name}; 8 and 10 bits in 4:2:0, and JPEG in 4:2:2, are supported");
            Err(VaapiError::Unsupported { what })
        }
    }
}

/// Whether libva reported an error: FFmpeg's line then ends with the number and libva's words, like
/// `Failed to end picture decode issue: 23 (internal decoding error).`
fn is_of_driver(line: &str) -> bool {
    let Some((call, status)) = line.rsplit_once(": ") else { return false };
    let number = status.split(' ').next().unwrap_or_default();
    call.starts_with("Failed to") && number.parse::<i64>().is_ok() && status.contains('(')
}

/// What FFmpeg's log says, without lines that say nothing.
fn summary(lines: &[String]) -> String {
    const USELESS: [&str; 3] = [
        "Failed setup for format",
        "hardware accelerator failed",
        "Try lowering the amount of threads",
    ];
    let useful = lines.iter().filter(|line| !USELESS.iter().any(|text| line.starts_with(text)));
    let lines: Vec<&str> = useful.map(|line| line.trim_end_matches('.')).collect();
    if lines.is_empty() { "FFmpeg gave no reason".into() } else { lines.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_driver_are_recognized_by_their_numbers() {
        assert!(is_of_driver("Failed to end picture decode issue: 23 (internal decoding error)."));
        assert!(is_of_driver("Failed to sync surface 0x4: 1 (operation failed)."));
        assert!(!is_of_driver(
            "Failed setup for format vaapi: hwaccel initialisation returned error."
        ));
        assert!(!is_of_driver("error while decoding MB 3 4, bytestream 5"));
    }

    #[test]
    fn ffmpeg_has_vaapi_code_for_the_codecs_of_cameras() {
        for codec in [
            ffi::AVCodecID::AV_CODEC_ID_H264,
            ffi::AVCodecID::AV_CODEC_ID_HEVC,
            ffi::AVCodecID::AV_CODEC_ID_MJPEG,
        ] {
            assert!(has_vaapi(codec));
        }
        assert!(!has_vaapi(ffi::AVCodecID::AV_CODEC_ID_RAWVIDEO));
        let refused = supported(AVPixelFormat::AV_PIX_FMT_YUV444P as c_int).unwrap_err();
        assert!(refused.to_string().contains("yuv444p"), "{refused}");
    }
}
