//! Encodes frames to H.264, for receivers that can't play the camera's stream.

mod scale;
mod surfaces;
mod x264;

use crate::error::EncodeError;
use crate::frame::Frame;
use crate::packet::Packet;
use vas_request::Fraction;

/// The output that is requested from an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderRequest {
    /// Width and height in pixels, even. Frames of other sizes are scaled.
    pub size: (u32, u32),
    /// The approximate frame rate, which the rate control assumes at first.
    pub fps: Fraction,
    /// Average bits per second.
    pub bit_rate: u32,
    /// Threads that work on one picture.
    pub threads: u32,
}

/// Threads that work on one picture. More would lower the quality, and there are many cameras to run in parallel.
const THREADS: u32 = 1;
/// Default bits per pixel: 4.1 Mbit/s for 1080p at 25 pictures a second.
const BITS_PER_PIXEL: f64 = 0.08;
/// Frame rate if the camera does not state one.
const USUAL_FPS: f64 = 25.0;

impl EncoderRequest {
    /// Defaults for pictures of this size. `fps` is the rate that the camera states; `kbit` is the configured rate in
    /// kbit/s, if there is one.
    pub fn new(size: (u32, u32), fps: Option<Fraction>, kbit: Option<u32>) -> Self {
        let rate = fps.map_or(USUAL_FPS, Fraction::as_f64).clamp(1.0, 60.0);
        let usual = f64::from(size.0) * f64::from(size.1) * rate * BITS_PER_PIXEL;
        let bit_rate = kbit.map_or_else(
            || usual.clamp(200_000.0, 20_000_000.0) as u32,
            |kbit| kbit.saturating_mul(1000),
        );
        let fps = Fraction::new((rate * 1000.0) as u32, 1000).unwrap_or(Fraction::ONE);
        Self { size, fps, bit_rate, threads: THREADS }
    }
}

/// An encoder of one stream: Constrained Baseline, no B-frames, no delay, parameter sets before each key frame, Annex
/// B.
///
/// Except for the first frame, it makes key frames only on request.
pub trait Encoder: Send {
    /// Encodes a frame of any size and format, in host memory or on a GPU. `frame` is empty afterwards.
    ///
    /// # Errors
    /// [`EncodeError`]; after a [fatal](EncodeError::is_fatal) one, open a new encoder.
    fn encode(&mut self, frame: &mut Frame, as_key: bool) -> Result<Packet, EncodeError>;

    /// The encoder's name, for display.
    fn name(&self) -> &'static str;
}

/// Opens libx264.
///
/// # Errors
/// This FFmpeg has no libx264, or libx264 refuses the request.
pub fn open_x264(request: &EncoderRequest) -> Result<Box<dyn Encoder>, EncodeError> {
    crate::init();
    Ok(Box::new(x264::X264::open(request)?))
}

/// The largest even size within `limit` that keeps the aspect ratio of `size`; never larger than `size`.
pub fn fit(size: (u32, u32), limit: (Option<u32>, Option<u32>)) -> (u32, u32) {
    let (width, height) = (u64::from(size.0.max(1)), u64::from(size.1.max(1)));
    let most =
        |limit: Option<u32>, side: u64| limit.map_or(side, |limit| u64::from(limit).min(side));
    let (max_width, max_height) = (most(limit.0, width), most(limit.1, height));
    // The side that exceeds its limit by the larger factor decides; compared without rounding.
    let (width, height) = if max_width * height <= max_height * width {
        (max_width, (height * max_width + width / 2) / width)
    } else {
        ((width * max_height + height / 2) / height, max_height)
    };
    // 4:2:0 halves both sides.
    let even = |side: u64| u32::try_from(side & !1).unwrap_or(0).max(2);
    (even(width), even(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_size() {
        let rate = |size, fps| EncoderRequest::new(size, Fraction::new(fps, 1), None).bit_rate;
        assert_eq!(rate((1920, 1080), 25), 4_147_200);
        assert_eq!(rate((320, 180), 5), 200_000);
        assert_eq!(rate((640, 360), 90_000), rate((640, 360), 60), "an implausible rate");
        assert_eq!(EncoderRequest::new((64, 64), None, Some(300)).bit_rate, 300_000);
    }

    #[test]
    fn sizes_fit_and_keep_their_aspect_ratio() {
        let both = |width, height| (Some(width), Some(height));
        assert_eq!(fit((1920, 1080), (None, None)), (1920, 1080));
        assert_eq!(fit((1920, 1080), both(1280, 720)), (1280, 720));
        assert_eq!(fit((1920, 1080), both(1280, 10_000)), (1280, 720));
        assert_eq!(fit((2560, 1920), both(1280, 720)), (960, 720));
        assert_eq!(fit((1080, 1920), (Some(640), None)), (640, 1138));
        assert_eq!(fit((640, 360), both(1280, 720)), (640, 360), "never larger");
        assert_eq!(fit((853, 481), (None, None)), (852, 480), "even");
        assert_eq!(fit((0, 0), (None, None)), (2, 2));
        assert_eq!(fit((u32::MAX, u32::MAX), (None, None)), (u32::MAX - 1, u32::MAX - 1));
    }
}
