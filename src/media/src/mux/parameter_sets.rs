//! Reads in-band parameter sets, which a file must state before its first picture.

use std::ptr::{self, NonNull};

use ffmpeg_sys_next as ffi;
use ffmpeg_sys_next::AVPacketSideDataType::AV_PKT_DATA_NEW_EXTRADATA;

use crate::av::{AvError, check};
use crate::codec::Codec;
use crate::packet::Packet;
use crate::parameters::CodecParameters;

/// Extracts parameter sets from packets with FFmpeg's `extract_extradata` filter.
pub struct ParameterSets(NonNull<ffi::AVBSFContext>);

// SAFETY: a filter may be used from any thread, one at a time; this is its only handle and not `Sync`.
unsafe impl Send for ParameterSets {}

impl ParameterSets {
    /// A reader for the packets of a stream; `None` for codecs without in-band parameter sets,
    /// and for packets that are not in the byte stream format (Annex B).
    ///
    /// # Errors
    /// FFmpeg can't create the filter.
    pub fn of(parameters: &CodecParameters) -> Result<Option<Self>, AvError> {
        let in_band = matches!(parameters.codec(), Codec::H264 | Codec::H265);
        // Without a start code this is a decoder configuration record, which implies length-prefixed packets.
        let annex_b = parameters.configuration().first().is_none_or(|&first| first == 0);
        if !in_band || !annex_b {
            return Ok(None);
        }
        // SAFETY: a terminated name; null if no such filter is built in.
        let filter = unsafe { ffi::av_bsf_get_by_name(c"extract_extradata".as_ptr()) };
        if filter.is_null() {
            return Err(AvError::new(ffi::AVERROR_BSF_NOT_FOUND));
        }
        let mut context = ptr::null_mut();
        // SAFETY: a filter of FFmpeg's and a valid pointer for the result.
        check(unsafe { ffi::av_bsf_alloc(filter, &mut context) })?;
        let sets = Self(NonNull::new(context).ok_or(AvError::new(ffi::AVERROR_BUG))?);
        // SAFETY: a new context with parameters of its own; the source is valid.
        unsafe {
            check(ffi::avcodec_parameters_copy((*context).par_in, parameters.as_ptr()))?;
            check(ffi::av_bsf_init(context))?;
        }
        Ok(Some(sets))
    }

    /// The parameter sets in `packet`, each with its start code; `None` if the packet does not have all of them.
    ///
    /// # Errors
    /// The packet can't be parsed.
    pub fn read(&mut self, packet: &Packet) -> Result<Option<Vec<u8>>, AvError> {
        let mut copy = packet.detached()?;
        // SAFETY: an initialized filter and our own packet. The filter returns one packet for each, so nothing
        // remains in it.
        unsafe {
            check(ffi::av_bsf_send_packet(self.0.as_ptr(), copy.as_mut_ptr()))?;
            check(ffi::av_bsf_receive_packet(self.0.as_ptr(), copy.as_mut_ptr()))?;
        }
        let mut size = 0;
        // SAFETY: a valid packet; null if it has no such side data, otherwise `size` bytes that live as long.
        let found = unsafe {
            let data =
                ffi::av_packet_get_side_data(copy.as_ptr(), AV_PKT_DATA_NEW_EXTRADATA, &mut size);
            (!data.is_null()).then(|| std::slice::from_raw_parts(data, size).to_vec())
        };
        Ok(found)
    }
}

impl Drop for ParameterSets {
    fn drop(&mut self) {
        let mut pointer = self.0.as_ptr();
        // SAFETY: ours, freed once.
        unsafe { ffi::av_bsf_free(&mut pointer) };
    }
}

impl std::fmt::Debug for ParameterSets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ParameterSets")
    }
}
