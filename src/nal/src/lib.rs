//! NAL units of H.264 and H.265: their framing in a stream, their kinds, slice headers and parameter sets. Pure
//! functions over bytes: no FFmpeg, no socket, no clock.
//!
//! - [`ranges`] and [`nals`] split an access unit whose NAL units are separated by start codes or by lengths
//!   ([`Framing`]); [`start_codes_over_lengths`] converts lengths to start codes in place.
//! - [`NalHeader`] reads what a NAL unit holds ([`NalKind`]); [`unescaped`] removes emulation prevention.
//! - [`Slice`] reads the fields of a slice header that need no parameter set; [`CodedPicture`] classifies the picture
//!   of an access unit.
//! - [`ParameterSets`] collects the parameter sets of an H.264 stream; [`SequenceParameters`] and [`ProfileLevelId`]
//!   read them.
//!
//! Only [`annex_b`], [`ParameterSets`] and [`SequenceParameters`] allocate, and none of them is needed for every
//! picture. No input makes any function panic.
//!
//! ```
//! use vas_nal::{CodedPicture, Framing, NalCodec, NalHeader, NalKind, ParameterSets, PictureKind, nals};
//!
//! let unit = [
//!     0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 0x95, // SPS
//!     0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80, // PPS
//!     0, 0, 0, 1, 0x65, 0x88, 0x84, 0x11, // IDR slice
//! ];
//! let kinds = nals(&unit, Framing::AnnexB).filter_map(|nal| NalHeader::of(NalCodec::H264, nal));
//! let kinds: Vec<_> = kinds.map(|header| header.kind).collect();
//! assert_eq!(kinds, [NalKind::Sps, NalKind::Pps, NalKind::Slice(PictureKind::Idr)]);
//!
//! let picture = CodedPicture::of(NalCodec::H264, Framing::AnnexB, &unit).expect("the unit has a slice");
//! assert!(picture.begins && picture.is_key());
//!
//! let sets = ParameterSets::of(&unit).expect("no NAL unit is truncated");
//! assert_eq!(sets.profile_level_id().expect("the unit has an SPS").to_string(), "42c01f");
//! ```
//!
//! # Sources
//! Clause numbers refer to ITU-T H.264 (08/2021) and ITU-T H.265 (08/2021): byte stream format, annex B of both; NAL
//! unit header, H.264 7.3.1 and H.265 7.3.1.2; kinds, table 7-1 of both; slice header, H.264 7.3.3 and H.265 7.3.6.1;
//! Exp-Golomb codes, H.264 9.1 and H.265 9.2. Lengths and configuration records (avcC, hvcC) follow ISO/IEC 14496-15,
//! the profiles of WebRTC follow RFC 6184.
//!
//! # Why not h264-reader alone
//! This crate uses it to read sequence parameter sets. Its splitter pushes to a handler and keeps state between
//! calls, although a packet holds a whole access unit; its slice header needs a context with the parameter sets; its
//! bit reader formats a message for each invalid byte sequence, on a path that must not allocate; its avcC reader
//! panics on an empty set; and it does not support H.265.
#![forbid(unsafe_code)]

mod bits;
mod framing;
mod header;
mod parameter_sets;
mod picture;
mod profile;
mod sequence;
mod slice;

pub use bits::unescaped;
pub use framing::{Framing, Ranges, Truncated, annex_b, nals, ranges, start_codes_over_lengths};
pub use header::{NalCodec, NalHeader, NalKind, PictureKind};
pub use parameter_sets::{ParameterSets, pps_id};
pub use picture::CodedPicture;
pub use profile::{Profile, ProfileLevelId};
pub use sequence::SequenceParameters;
pub use slice::{Slice, SliceType};
