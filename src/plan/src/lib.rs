//! What a set of cameras takes of a host: the sums behind `vas plan`.
//!
//! [`Camera`]s come from a config ([`cameras_of`]) or are all alike ([`Camera::alike`]). [`Plan::of`] prices each, adds
//! up, and compares with what a [`Host`] and its GPU have. Rings are priced and checked by the code that admits them
//! (`vas_frame`). Whatever nobody has measured or published is `None`, and printed as such; every other figure names
//! its source ([`Figure`]).
//!
//! No FFmpeg and no CUDA: the program `vas` links this crate.

#![forbid(unsafe_code)]

mod camera;
mod figures;
mod from_config;
mod gpu;
mod host;
mod placement;
mod plan;
mod price;
mod problems;
mod text;

pub use camera::{Basis, Camera, Codec, Decoder, InvalidCodec, InvalidSize, Stream, parse_size};
pub use figures::Figure;
pub use from_config::{Assumed, NoStreams, cameras_of};
pub use gpu::{Gpu, InvalidGpu};
pub use host::Host;
pub use placement::Placement;
pub use plan::{Inputs, Kind, Partial, Plan, Sum};
pub use price::{Price, Span};
pub use problems::Problem;

#[cfg(test)]
mod tests;
