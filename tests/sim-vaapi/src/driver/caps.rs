//! What a node can do: profiles, entry points, formats.

use std::ffi::{CStr, c_int};

use super::format::Format;
use crate::libva::abi::{self, ConfigAttrib, ImageFormat, Profile};
use crate::sim::abi::Out;
use crate::sim::config::config;
use crate::sim::site::calls;
use crate::sim::status::{Result, Status};

/// No name for which FFmpeg has a workaround.
pub(crate) const VENDOR: &CStr = c"VAS simulated VA-API driver (no hardware)";

/// Each profile, its name in `SIM_VA_CODECS`, and the format of its surfaces.
const PROFILES: [(Profile, &str, Format); 6] = [
    (abi::H264_CONSTRAINED_BASELINE, "h264", Format::Nv12),
    (abi::H264_MAIN, "h264", Format::Nv12),
    (abi::H264_HIGH, "h264", Format::Nv12),
    (abi::HEVC_MAIN, "hevc", Format::Nv12),
    (abi::HEVC_MAIN_10, "hevc10", Format::P010),
    (abi::JPEG_BASELINE, "jpeg", Format::Nv12),
];

/// The most profiles that vaQueryConfigProfiles lists.
pub(crate) const MAX_PROFILES: c_int = PROFILES.len() as c_int;

/// The profiles that a node decodes.
fn profiles() -> impl Iterator<Item = (Profile, Format)> {
    let listed = |name: &str| config().codecs.iter().any(|codec| codec == name);
    PROFILES.into_iter().filter(move |(_, name, _)| listed(name)).map(|(p, _, format)| (p, format))
}

/// The format of a profile's surfaces.
///
/// # Errors
/// `VA_STATUS_ERROR_UNSUPPORTED_PROFILE`, `VA_STATUS_ERROR_UNSUPPORTED_ENTRYPOINT`.
pub(crate) fn decoded_format(profile: Profile, entrypoint: i32) -> Result<Format> {
    let found = profiles().find(|(known, _)| *known == profile);
    let (_, format) = found.ok_or(Status::UNSUPPORTED_PROFILE)?;
    if entrypoint == abi::DECODE { Ok(format) } else { Err(Status::UNSUPPORTED_ENTRYPOINT) }
}

calls! {
    /// Lists the profiles that a node decodes.
    fn vaQueryConfigProfiles(list: Out<Profile>, count: Out<c_int>) |_call| {
        let mut found = 0;
        for (profile, _) in profiles() {
            list.set_at(found, profile)?;
            found += 1;
        }
        count.set(found as c_int)
    }

    /// Every profile is for decoding only.
    fn vaQueryConfigEntrypoints(profile: Profile, list: Out<i32>, count: Out<c_int>) |_call| {
        decoded_format(profile, abi::DECODE)?;
        list.set(abi::DECODE)?;
        count.set(1)
    }

    /// Tells the surfaces' format.
    fn vaGetConfigAttributes(
        profile: Profile,
        entrypoint: i32,
        list: Out<ConfigAttrib>,
        count: c_int,
    ) |_call| {
        let format = decoded_format(profile, entrypoint)?;
        for i in 0..usize::try_from(count).unwrap_or(0) {
            let kind = list.get_at(i)?.kind;
            let value = match kind {
                abi::RT_FORMAT => format.rt_format(),
                _ => abi::ATTRIB_NOT_SUPPORTED,
            };
            list.set_at(i, ConfigAttrib { kind, value })?;
        }
        Ok(())
    }

    /// Lists the formats of images.
    fn vaQueryImageFormats(list: Out<ImageFormat>, count: Out<c_int>) |_call| {
        for (i, format) in Format::ALL.into_iter().enumerate() {
            list.set_at(i, format.image_format())?;
        }
        count.set(Format::ALL.len() as c_int)
    }
}
