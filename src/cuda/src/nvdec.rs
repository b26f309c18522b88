//! What a GPU's NVDEC decodes, as the driver's libnvcuvid answers.
//!
//! House rules. `nvidia-video-codec-sdk` provides types alone. Its functions are declared for the linker, and a program
//! that calls one does not start without libnvcuvid. So the only function called is looked up by name and returns a
//! number, like those of [`Functions`](crate::Functions). The library is never unloaded: the pointer stays valid.

use std::ffi::c_uint;
use std::fmt;
use std::sync::OnceLock;

use libloading::Library;
use nvidia_video_codec_sdk::sys::cuviddec::{
    CUVIDDECODECAPS, cudaVideoChromaFormat as Chromas, cudaVideoCodec as Codecs,
};

use crate::error::{CudaError, code};
use crate::probe::Driver;

/// The library that has the function, by the name that FFmpeg loads it by.
const LIBRARY: &str = "libnvcuvid.so.1";
const FUNCTION: &str = "cuvidGetDecoderCaps";

/// A codec that some NVDEC decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum VideoCodec {
    H264,
    H265,
    Jpeg,
    Mpeg2,
    Mpeg4,
    Vc1,
    Vp8,
    Vp9,
    Av1,
}

/// How much of the color is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chroma {
    /// 4:2:0.
    C420,
    /// 4:2:2.
    C422,
    /// 4:4:4.
    C444,
}

/// What a picture is coded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Its codec.
    pub codec: VideoCodec,
    /// Its chroma format.
    pub chroma: Chroma,
    /// Bits of a sample.
    pub bits: u8,
}

/// What NVDEC decodes of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Least width and height in pixels.
    pub min: (u32, u32),
    /// Largest width and height in pixels.
    pub max: (u32, u32),
    /// Most macroblocks (16x16 pixels) of a picture.
    pub max_macroblocks: u32,
    /// Engines that decode it (`nNumNVDECs`); 0 if the driver does not say.
    pub engines: u32,
}

/// What one GPU's NVDEC decodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NvdecCaps {
    /// Each format that was asked for; `None`: NVDEC does not decode it.
    answers: Vec<(Format, Option<Limits>)>,
}

/// A stream, as far as it is known before its decoder is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its codec.
    pub codec: VideoCodec,
    /// Its chroma format and the bits of a sample.
    pub samples: Option<(Chroma, u8)>,
    /// Its width and height in pixels, as coded.
    pub size: Option<(u32, u32)>,
}

/// NVDEC does not decode a stream. Displays like `decodes H.265 4:2:0 up to 8192x8192 at 8 or 10 bits; this camera
/// sends 12 bits`, for a sentence whose subject is the GPU.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("decodes {can}; this camera sends {sent}")]
pub struct NotDecoded {
    can: String,
    sent: String,
}

/// Why it is unknown what NVDEC decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapsUnknown {
    /// The driver's video library is not installed, or the container has no access to it.
    #[error("{LIBRARY} is not found")]
    NoLibrary,
    /// The driver's video library is too old.
    #[error("{LIBRARY} has no {FUNCTION}: the driver is too old")]
    MissingSymbol,
    /// The function fails.
    #[error(transparent)]
    Failed(CudaError),
}

impl VideoCodec {
    const ALL: [Self; 9] = [
        Self::H264,
        Self::H265,
        Self::Jpeg,
        Self::Mpeg2,
        Self::Mpeg4,
        Self::Vc1,
        Self::Vp8,
        Self::Vp9,
        Self::Av1,
    ];

    fn number(self) -> Codecs {
        match self {
            Self::H264 => Codecs::cudaVideoCodec_H264,
            Self::H265 => Codecs::cudaVideoCodec_HEVC,
            Self::Jpeg => Codecs::cudaVideoCodec_JPEG,
            Self::Mpeg2 => Codecs::cudaVideoCodec_MPEG2,
            Self::Mpeg4 => Codecs::cudaVideoCodec_MPEG4,
            Self::Vc1 => Codecs::cudaVideoCodec_VC1,
            Self::Vp8 => Codecs::cudaVideoCodec_VP8,
            Self::Vp9 => Codecs::cudaVideoCodec_VP9,
            Self::Av1 => Codecs::cudaVideoCodec_AV1,
        }
    }

    /// Whether some NVDEC decodes it in other chroma formats than 4:2:0.
    fn has_more_chroma(self) -> bool {
        matches!(self, Self::H264 | Self::H265)
    }
}

impl fmt::Display for VideoCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::H264 => "H.264",
            Self::H265 => "H.265",
            Self::Jpeg => "JPEG",
            Self::Mpeg2 => "MPEG-2",
            Self::Mpeg4 => "MPEG-4",
            Self::Vc1 => "VC-1",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::Av1 => "AV1",
        })
    }
}

impl Chroma {
    const ALL: [Self; 3] = [Self::C420, Self::C422, Self::C444];

    fn number(self) -> Chromas {
        match self {
            Self::C420 => Chromas::cudaVideoChromaFormat_420,
            Self::C422 => Chromas::cudaVideoChromaFormat_422,
            Self::C444 => Chromas::cudaVideoChromaFormat_444,
        }
    }
}

impl fmt::Display for Chroma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::C420 => "4:2:0",
            Self::C422 => "4:2:2",
            Self::C444 => "4:4:4",
        })
    }
}

type GetDecoderCaps = unsafe extern "C" fn(*mut CUVIDDECODECAPS) -> c_uint;

/// Looks the function up, once in a process; after a failure the next call looks again.
fn look_up() -> Result<GetDecoderCaps, CapsUnknown> {
    static FOUND: OnceLock<(Library, GetDecoderCaps)> = OnceLock::new();
    if let Some((_, function)) = FOUND.get() {
        return Ok(*function);
    }
    // SAFETY: loading the driver's library runs its initialisers, which is what it is for.
    let library = unsafe { Library::new(LIBRARY) }.map_err(|_| CapsUnknown::NoLibrary)?;
    // SAFETY: cuviddec.h declares the function with this type, apart from its result: an enum there, a number here.
    let function = unsafe { library.get::<GetDecoderCaps>(FUNCTION) };
    let function = *function.map_err(|_| CapsUnknown::MissingSymbol)?;
    // The library is never unloaded: the function pointer stays valid.
    Ok(FOUND.get_or_init(|| (library, function)).1)
}

impl NvdecCaps {
    /// Asks for the GPU whose context is current on this thread; `driver` names errors.
    ///
    /// One call of the driver for each format, 39 in all: ask once for each GPU.
    ///
    /// # Errors
    /// Why it is unknown. A format that the driver gives an error for, while it answers for others, is unknown too.
    pub fn ask(driver: &Driver) -> Result<Self, CapsUnknown> {
        let function = look_up()?;
        let mut failed = None;
        let mut answers = Vec::new();
        for format in formats() {
            let mut caps = question(format);
            // SAFETY: writes to the structure that it is given. Without a context it returns an error.
            match unsafe { function(&mut caps) } {
                code::SUCCESS => answers.push((format, limits(&caps))),
                other => failed = Some(driver.functions().error(FUNCTION, other)),
            }
        }
        match failed {
            Some(error) if answers.is_empty() => Err(CapsUnknown::Failed(error)),
            _ => Ok(Self { answers }),
        }
    }

    /// Formats that NVDEC decodes, with their limits.
    pub fn decoded(&self) -> impl Iterator<Item = (Format, Limits)> + '_ {
        self.answers.iter().filter_map(|(format, limits)| Some((*format, (*limits)?)))
    }

    /// Engines of the GPU; `None` if the driver does not say.
    #[must_use]
    pub fn engines(&self) -> Option<u32> {
        self.decoded().map(|(_, limits)| limits.engines).max().filter(|engines| *engines > 0)
    }

    /// Whether NVDEC decodes a stream, by all that is known of both. FFmpeg makes the same comparison, and reports
    /// less of it.
    ///
    /// # Errors
    /// The part of the stream that it does not decode.
    pub fn check(&self, wanted: Wanted) -> Result<(), NotDecoded> {
        let Wanted { codec, samples, size } = wanted;
        let known = |format: Format| self.answers.iter().find(|(of, _)| *of == format);
        if samples.is_some_and(|(chroma, bits)| known(Format { codec, chroma, bits }).is_none()) {
            return Ok(());
        }
        let of_codec: Vec<_> = self.decoded().filter(|(of, _)| of.codec == codec).collect();
        if of_codec.is_empty() {
            let can = either(VideoCodec::ALL.iter().filter(|&&other| self.decodes(other)), "and");
            return Err(NotDecoded {
                can: can.unwrap_or("nothing".into()),
                sent: codec.to_string(),
            });
        }
        let Some((chroma, bits)) = samples else { return Ok(()) };
        let of_chroma: Vec<_> = of_codec.iter().filter(|(of, _)| of.chroma == chroma).collect();
        if of_chroma.is_empty() {
            let has = |chroma: &&Chroma| of_codec.iter().any(|(of, _)| of.chroma == **chroma);
            let chromas = either(Chroma::ALL.iter().filter(has), "or").unwrap_or_default();
            return Err(NotDecoded {
                can: format!("{codec} in {chromas}"),
                sent: chroma.to_string(),
            });
        }
        let Some((_, limits)) = of_chroma.iter().find(|(of, _)| of.bits == bits) else {
            let largest = of_chroma.iter().map(|(_, limits)| limits.max).max().unwrap_or_default();
            let depths = either(of_chroma.iter().map(|(of, _)| of.bits), "or").unwrap_or_default();
            let can = format!("{codec} {chroma} up to {} at {depths} bits", pixels(largest));
            return Err(NotDecoded { can, sent: format!("{bits} bits") });
        };
        match size {
            Some(size) if !limits.hold(size) => {
                let can = format!("{codec} {chroma} at {bits} bits {limits}");
                Err(NotDecoded { can, sent: pixels(size) })
            }
            _ => Ok(()),
        }
    }

    fn decodes(&self, codec: VideoCodec) -> bool {
        self.decoded().any(|(of, _)| of.codec == codec)
    }
}

/// Displays like `H.264, H.265 (8, 10 bits) and JPEG; 2 engines`.
impl fmt::Display for NvdecCaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codecs = VideoCodec::ALL.iter().filter(|&&codec| self.decodes(codec)).map(|&codec| {
            let plain = |of: &Format| of.codec == codec && of.chroma == Chroma::C420;
            let depths = self.decoded().map(|(of, _)| of).filter(plain).map(|of| of.bits);
            match either(depths, "and") {
                Some(depths) => format!("{codec} ({depths} bits)"),
                None => codec.to_string(),
            }
        });
        f.write_str(&either(codecs, "and").unwrap_or("nothing".into()))?;
        match self.engines() {
            Some(1) => f.write_str("; 1 engine"),
            Some(engines) => write!(f, "; {engines} engines"),
            None => Ok(()),
        }
    }
}

impl Limits {
    fn hold(&self, (width, height): (u32, u32)) -> bool {
        let macroblocks = u64::from(width) * u64::from(height) / 256;
        (self.min.0..=self.max.0).contains(&width)
            && (self.min.1..=self.max.1).contains(&height)
            && macroblocks <= self.max_macroblocks.into()
    }
}

/// Displays like `from 48x16 to 4096x4096, at most 65536 macroblocks`.
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { min, max, max_macroblocks, .. } = self;
        write!(
            f,
            "from {} to {}, at most {max_macroblocks} macroblocks",
            pixels(*min),
            pixels(*max)
        )
    }
}

/// All formats that are asked for.
fn formats() -> impl Iterator<Item = Format> {
    let of_codec = |codec: VideoCodec| {
        let chromas = if codec.has_more_chroma() { &Chroma::ALL[..] } else { &[Chroma::C420] };
        let depths = move |&chroma| [8, 10, 12].map(|bits| Format { codec, chroma, bits });
        chromas.iter().flat_map(depths)
    };
    VideoCodec::ALL.into_iter().flat_map(of_codec)
}

fn question(format: Format) -> CUVIDDECODECAPS {
    CUVIDDECODECAPS {
        eCodecType: format.codec.number(),
        eChromaFormat: format.chroma.number(),
        nBitDepthMinus8: c_uint::from(format.bits - 8),
        reserved1: [0; 3],
        bIsSupported: 0,
        nNumNVDECs: 0,
        nOutputFormatMask: 0,
        nMaxWidth: 0,
        nMaxHeight: 0,
        nMaxMBCount: 0,
        nMinWidth: 0,
        nMinHeight: 0,
        bIsHistogramSupported: 0,
        nCounterBitDepth: 0,
        nMaxHistogramBins: 0,
        reserved3: [0; 10],
    }
}

fn limits(answer: &CUVIDDECODECAPS) -> Option<Limits> {
    (answer.bIsSupported != 0).then(|| Limits {
        min: (answer.nMinWidth.into(), answer.nMinHeight.into()),
        max: (answer.nMaxWidth, answer.nMaxHeight),
        max_macroblocks: answer.nMaxMBCount,
        engines: answer.nNumNVDECs.into(),
    })
}

fn pixels((width, height): (u32, u32)) -> String {
    format!("{width}x{height}")
}

/// `a`, `a or b`, `a, b or c`; `None` if there is nothing.
fn either(items: impl Iterator<Item = impl fmt::Display>, word: &str) -> Option<String> {
    let mut items: Vec<_> = items.map(|item| item.to_string()).collect();
    let last = items.pop()?;
    if items.is_empty() {
        return Some(last);
    }
    Some(format!("{} {word} {last}", items.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max: u32) -> Option<Limits> {
        let max_macroblocks = max * max / 256;
        Some(Limits { min: (48, 16), max: (max, max), max_macroblocks, engines: 2 })
    }

    /// A GPU as of 2018: H.264 in 8 bits, H.265 in 8 and 10, JPEG.
    fn turing() -> NvdecCaps {
        let answer = |format: Format| match (format.codec, format.chroma, format.bits) {
            (VideoCodec::H264, Chroma::C420, 8) => limits(4096),
            (VideoCodec::H265, Chroma::C420, 8 | 10) => limits(8192),
            (VideoCodec::Jpeg, Chroma::C420, 8) => limits(16384),
            _ => None,
        };
        NvdecCaps { answers: formats().map(|format| (format, answer(format))).collect() }
    }

    fn refusal(codec: VideoCodec, samples: (Chroma, u8), size: (u32, u32)) -> String {
        let wanted = Wanted { codec, samples: Some(samples), size: Some(size) };
        turing().check(wanted).map_or_else(|no| no.to_string(), |()| "decoded".into())
    }

    #[test]
    fn what_it_decodes_passes() {
        let size = (1920, 1088);
        assert_eq!(refusal(VideoCodec::H264, (Chroma::C420, 8), size), "decoded");
        assert_eq!(refusal(VideoCodec::H265, (Chroma::C420, 10), (8192, 8192)), "decoded");
    }

    #[test]
    fn each_part_that_it_does_not_decode_is_named() {
        let size = (1920, 1088);
        for (codec, samples, size, words) in [
            (
                VideoCodec::H265,
                (Chroma::C420, 12),
                size,
                "decodes H.265 4:2:0 up to 8192x8192 at 8 or 10 bits; this camera sends 12 bits",
            ),
            (
                VideoCodec::H265,
                (Chroma::C444, 8),
                size,
                "decodes H.265 in 4:2:0; this camera sends 4:4:4",
            ),
            (
                VideoCodec::Av1,
                (Chroma::C420, 8),
                size,
                "decodes H.264, H.265 and JPEG; this camera sends AV1",
            ),
            (
                VideoCodec::H264,
                (Chroma::C420, 8),
                (5120, 2880),
                "decodes H.264 4:2:0 at 8 bits from 48x16 to 4096x4096, at most 65536 macroblocks; this camera sends \
                 5120x2880",
            ),
        ] {
            assert_eq!(refusal(codec, samples, size), words);
        }
        assert!(refusal(VideoCodec::H264, (Chroma::C420, 8), (32, 32)).ends_with("sends 32x32"));
    }

    #[test]
    fn what_is_unknown_is_left_to_the_driver() {
        let wanted = Wanted { codec: VideoCodec::H265, samples: None, size: None };
        assert_eq!(turing().check(wanted), Ok(()));
        // A depth that is not asked for, and a format for which the driver gave an error.
        let odd = Wanted { samples: Some((Chroma::C420, 9)), ..wanted };
        assert_eq!(turing().check(odd), Ok(()));
        let mut unsure = turing();
        unsure.answers.retain(|(format, _)| format.bits != 12);
        let deep = Wanted { samples: Some((Chroma::C420, 12)), ..wanted };
        assert_eq!(unsure.check(deep), Ok(()));
    }

    #[test]
    fn a_gpu_without_nvdec_decodes_nothing() {
        let caps = NvdecCaps { answers: formats().map(|format| (format, None)).collect() };
        let wanted = Wanted { codec: VideoCodec::H264, samples: None, size: None };
        let words = caps.check(wanted).unwrap_err().to_string();
        assert_eq!(words, "decodes nothing; this camera sends H.264");
        assert_eq!((caps.to_string(), caps.engines()), ("nothing".into(), None));
    }

    #[test]
    fn it_displays_what_is_decoded() {
        let words = "H.264 (8 bits), H.265 (8 and 10 bits) and JPEG (8 bits); 2 engines";
        assert_eq!(turing().to_string(), words);
    }
}
