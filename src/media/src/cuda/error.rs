//! Why a GPU does not decode.

use thiserror::Error;

/// Why a GPU cannot be used, or NVDEC does not decode a stream.
///
/// The kinds are the steps at which a caller goes on without it; the words are for an operator.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum GpuError {
    /// A library of the driver is not there.
    #[error(
        "{library} cannot be loaded: install NVIDIA's driver; a container needs NVIDIA's container \
         toolkit and NVIDIA_DRIVER_CAPABILITIES with compute and video"
    )]
    NoLibrary {
        /// Its name.
        library: &'static str,
    },
    /// The driver is older than this program needs.
    #[error("the NVIDIA driver has no function {symbol}: install a newer one")]
    MissingSymbol {
        /// The function.
        symbol: &'static str,
    },
    /// The driver is there and finds no GPU.
    #[error("the NVIDIA driver finds no GPU ({said})")]
    NoDevice {
        /// The driver's words.
        said: String,
    },
    /// There is no GPU of this number.
    #[error("there is no GPU {ordinal}: the driver finds {count}, numbered from 0")]
    NoSuchDevice {
        /// What was asked for.
        ordinal: usize,
        /// How many there are.
        count: usize,
    },
    /// Codec, profile, depth or size is not decoded by this GPU, by FFmpeg on it, or by us.
    #[error("NVDEC does not decode this stream: {what}")]
    Unsupported {
        /// What is not supported.
        what: String,
    },
    /// The GPU has too little memory left.
    #[error("GPU {ordinal} has too little memory left: {free} of {total} bytes are free ({said})")]
    NoMemory {
        /// The GPU.
        ordinal: usize,
        /// Bytes that are free.
        free: usize,
        /// Bytes that it has.
        total: usize,
        /// What failed.
        said: String,
    },
    /// The GPU takes no further decoder, although it has memory.
    #[error("GPU {ordinal} takes no further decoder although memory is free ({said})")]
    SessionsUsedUp {
        /// The GPU.
        ordinal: usize,
        /// What failed.
        said: String,
    },
    /// A call failed, for a reason that is none of the others.
    #[error("GPU {ordinal}: {said}")]
    Failed {
        /// The GPU.
        ordinal: usize,
        /// What failed, and the driver's or FFmpeg's words.
        said: String,
    },
    /// Picture after picture fails, while the GPU answers.
    #[error("NVDEC of GPU {ordinal} failed on {pictures} pictures in a row ({said})")]
    Failing {
        /// The GPU.
        ordinal: usize,
        /// How many.
        pictures: u32,
        /// The last failure.
        said: String,
    },
    /// The GPU answers every call with an error; in this process it is of no more use.
    #[error("GPU {ordinal} is lost: {said}; restart the service when it is well again")]
    DeviceLost {
        /// The GPU.
        ordinal: usize,
        /// What it answers.
        said: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_library_is_worded_with_its_remedy() {
        let words = GpuError::NoLibrary { library: "libnvcuvid.so.1" }.to_string();
        assert!(words.starts_with("libnvcuvid.so.1 cannot be loaded"), "{words}");
        assert!(words.contains("NVIDIA_DRIVER_CAPABILITIES"), "{words}");
    }
}
