//! Errors of GPUs and of NVDEC.

use thiserror::Error;

/// Why a GPU can't be used, or why NVDEC does not decode a stream.
///
/// Callers match on the variants to decide how to continue; the messages are for operators.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum GpuError {
    /// A library of the driver is missing.
    #[error(
        "{library} cannot be loaded: install NVIDIA's driver; a container needs NVIDIA's container \
         toolkit and NVIDIA_DRIVER_CAPABILITIES with compute and video"
    )]
    NoLibrary {
        /// The library's file name.
        library: &'static str,
    },
    /// The driver is older than this program needs.
    #[error("the NVIDIA driver has no function {symbol}: install a newer one")]
    MissingSymbol {
        /// The function.
        symbol: &'static str,
    },
    /// The driver is installed and finds no GPU.
    #[error("the NVIDIA driver finds no GPU ({cause})")]
    NoDevice {
        /// The driver's error.
        cause: String,
    },
    /// There is no GPU with this number.
    #[error("there is no GPU {ordinal}: the driver finds {count}, numbered from 0")]
    NoSuchDevice {
        /// The requested number.
        ordinal: usize,
        /// The number of GPUs.
        count: usize,
    },
    /// This GPU, FFmpeg or this service does not support the stream's codec, profile, bit depth or size.
    #[error("NVDEC does not decode this stream: {what}")]
    Unsupported {
        /// What is not supported.
        what: String,
    },
    /// The GPU decodes the stream, but has no kernels for what must be done with its pictures.
    #[error("GPU {ordinal} can't convert pictures of 10 bits or to another size: {cause}")]
    NoKernels {
        /// The GPU.
        ordinal: usize,
        /// What is missing, or the driver's error.
        cause: String,
    },
    /// The GPU has too little memory left.
    #[error("GPU {ordinal} has too little memory left{} ({cause})", left(*free, *total))]
    NoMemory {
        /// The GPU.
        ordinal: usize,
        /// Free bytes.
        free: usize,
        /// Total bytes; 0: there is no context, and without one the driver does not say what is free.
        total: usize,
        /// What failed.
        cause: String,
    },
    /// The GPU's decoders have no time left, by published rates.
    #[error("GPU {ordinal} has no time left for another decoder: {words}")]
    Busy {
        /// The GPU.
        ordinal: usize,
        /// What the decoder would take, and what the others do.
        words: String,
    },
    /// The GPU accepts no further decoder, although it has memory.
    #[error("GPU {ordinal} takes no further decoder although memory is free ({cause})")]
    SessionsUsedUp {
        /// The GPU.
        ordinal: usize,
        /// What failed.
        cause: String,
    },
    /// A call failed for any other reason.
    #[error("GPU {ordinal}: {cause}")]
    Failed {
        /// The GPU.
        ordinal: usize,
        /// What failed, and the driver's or FFmpeg's error.
        cause: String,
    },
    /// Several pictures in a row failed, although the GPU still works.
    #[error("NVDEC of GPU {ordinal} failed on {pictures} pictures in a row ({cause})")]
    Failing {
        /// The GPU.
        ordinal: usize,
        /// The number of pictures.
        pictures: u32,
        /// The last failure.
        cause: String,
    },
    /// The GPU returns an error from every call. It is opened again, with a new context, once everything has released it.
    #[error(
        "GPU {ordinal} is lost: {cause}; if it stays lost, restart the service once the GPU works again"
    )]
    DeviceLost {
        /// The GPU.
        ordinal: usize,
        /// The error that it returns.
        cause: String,
    },
    /// VA-API or a render node.
    #[error(transparent)]
    Vaapi(#[from] crate::vaapi::VaapiError),
}

impl GpuError {
    /// Whether this says something about the stream alone: other streams may decode.
    pub fn is_of_stream(&self) -> bool {
        match self {
            Self::Unsupported { .. } | Self::NoKernels { .. } => true,
            Self::Vaapi(error) => error.is_of_stream(),
            _ => false,
        }
    }

    /// Whether a GPU that decoded is lost.
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::DeviceLost { .. } | Self::Vaapi(crate::vaapi::VaapiError::Lost { .. }))
    }
}

/// What is free, rounded down.
fn left(free: usize, total: usize) -> String {
    match total {
        0 => " for a CUDA context".into(),
        _ => format!(": {} of {} MiB are free", free >> 20, total >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_reported_with_a_remedy() {
        let message = GpuError::NoLibrary { library: "libnvcuvid.so.1" }.to_string();
        assert!(message.starts_with("libnvcuvid.so.1 cannot be loaded"), "{message}");
        assert!(message.contains("NVIDIA_DRIVER_CAPABILITIES"), "{message}");
    }
}
