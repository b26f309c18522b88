//! NAL units of H.264 and H.265: how a stream frames them, what each one is, and what slice headers and
//! parameter sets say. Pure functions over bytes: no FFmpeg, no socket, no clock.
//!
//! - [`ranges`] and [`nals`] split an access unit, whether start codes or lengths frame its NAL units
//!   ([`Framing`]); [`start_codes_over_lengths`] turns the second into the first in place.
//! - [`NalHeader`] says what a NAL unit is ([`NalKind`]), [`unescaped`] removes emulation prevention.
//! - [`Slice`] reads the fields of a slice header that need no parameter set, and [`CodedPicture`] says what kind of
//!   picture an access unit holds.
//! - [`ParameterSets`] keeps the parameter sets of an H.264 stream; [`SequenceParameters`] and [`ProfileLevelId`]
//!   read them.
//!
//! Only [`annex_b`], [`ParameterSets`] and [`SequenceParameters`] allocate, none of which is needed for each picture.
//! Whatever the bytes are, nothing panics.
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
//! let picture = CodedPicture::of(NalCodec::H264, Framing::AnnexB, &unit).expect("it has a slice");
//! assert!(picture.begins && picture.is_key());
//!
//! let sets = ParameterSets::of(&unit).expect("it ends with a whole NAL unit");
//! assert_eq!(sets.profile_level_id().expect("it has an SPS").to_string(), "42c01f");
//! ```
//!
//! # Sources
//! Clauses are those of ITU-T H.264 (08/2021) and ITU-T H.265 (08/2021): byte stream format, annex B of both; NAL
//! unit header, H.264 7.3.1 and H.265 7.3.1.2; kinds, table 7-1 of both; slice header, H.264 7.3.3 and H.265 7.3.6.1;
//! Exp-Golomb codes, 9.1 and 9.2. Lengths and configuration records (avcC, hvcC) are those of ISO/IEC 14496-15, the
//! profiles of WebRTC those of RFC 6184.
//!
//! # Why not h264-reader alone
//! It reads sequence parameter sets here. Its splitter pushes to a handler and keeps state between calls, where a
//! packet holds a whole access unit; its slice header needs the parameter sets in a context; its bit reader formats
//! a message for each invalid byte sequence, on a path that must not allocate; its reader of avcC panics on an empty
//! set; and it has no H.265.
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
