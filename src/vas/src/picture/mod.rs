//! Pictures for people: NV12 made visible as PNG.

mod png_file;
mod rgb;

pub(crate) use png_file::{PngFileError, write_png};
pub(crate) use rgb::{Nv12, SampleRange};
