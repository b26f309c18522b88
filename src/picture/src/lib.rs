//! Pictures for people: PNG files.
//!
//! Colors are converted by `vas-tensor`, so that they are the same here as for models.

#![forbid(unsafe_code)]

mod png_file;

pub use png_file::{PngFileError, encode_png, write_png};
