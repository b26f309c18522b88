//! Pictures for people: NV12 as PNG.

#![forbid(unsafe_code)]

mod png_file;
mod rgb;

pub use png_file::{PngFileError, write_png};
pub use rgb::{Nv12, SampleRange};
