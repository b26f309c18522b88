//! Fractions as FFmpeg's rational numbers.

use ffmpeg_sys_next as ffi;
use vas_request::Fraction;

/// `None` unless both parts are positive.
pub(crate) fn from_av(value: ffi::AVRational) -> Option<Fraction> {
    Fraction::new(u32::try_from(value.num).ok()?, u32::try_from(value.den).ok()?)
}

pub(crate) fn to_av(fraction: Fraction) -> ffi::AVRational {
    let part = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    ffi::AVRational { num: part(fraction.num()), den: part(fraction.den()) }
}
