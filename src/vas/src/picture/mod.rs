//! Pictures for people: NV12 as PNG.

mod png_file;
mod rgb;

pub(crate) use png_file::{PngFileError, write_png};
pub(crate) use rgb::{Nv12, SampleRange};
