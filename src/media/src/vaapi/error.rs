//! Errors of render nodes and of VA-API.

use std::path::PathBuf;

use thiserror::Error;

/// Why a render node can't be used, or why VA-API does not decode a stream.
///
/// `node` is the node in words, such as `renderD128 (Intel, i915, 0000:00:02.0)`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum VaapiError {
    /// This process sees no render node.
    #[error(
        "there is no render node in /dev/dri that VA-API could use: check that the kernel has a driver for the GPU; a \
         container needs --device /dev/dri/renderD128"
    )]
    NoNode,
    /// There is no such render node.
    #[error("there is no {asked}: this process sees {}", seen.join(", "))]
    NoSuchNode {
        /// What was asked for.
        asked: String,
        /// The names of the nodes that exist.
        seen: Vec<String>,
    },
    /// The node's file does not let this process in.
    #[error(
        "{node}: no permission for {}: add the service's user to the file's group, usually `render` (a container: \
         --group-add with the group's number)", path.display()
    )]
    NoPermission {
        /// The node.
        node: String,
        /// Its file.
        path: PathBuf,
    },
    /// libva has no driver for the node, or the driver does not start.
    #[error(
        "{node}: no VA-API driver starts ({cause}): install intel-media-va-driver or i965-va-driver (Intel) or \
         mesa-va-drivers (AMD); `vainfo --display drm --device` with the node's path shows what is wrong"
    )]
    NoDriver {
        /// The node.
        node: String,
        /// FFmpeg's and libva's words.
        cause: String,
    },
    /// The driver, FFmpeg or this service does not support the stream's codec, profile, bit depth or size.
    #[error("VA-API does not decode this stream: {what}")]
    Unsupported {
        /// What is not supported.
        what: String,
    },
    /// A call failed for any other reason.
    #[error("{node}: {cause}")]
    Failed {
        /// The node.
        node: String,
        /// What failed, and FFmpeg's error.
        cause: String,
    },
    /// Several pictures in a row failed, although the node still works.
    #[error("{node}: VA-API failed on {pictures} pictures in a row ({cause})")]
    Failing {
        /// The node.
        node: String,
        /// The number of pictures.
        pictures: u32,
        /// The last failure.
        cause: String,
    },
    /// The node answers no longer, or only with errors. It can be opened again once everything has released it.
    #[error(
        "{node} is lost: {cause}; the kernel's log may say more. If it stays lost, restart the service"
    )]
    Lost {
        /// The node.
        node: String,
        /// What was seen.
        cause: String,
    },
}

impl VaapiError {
    /// Whether this says something about the stream alone: other streams may decode.
    #[must_use]
    pub fn is_of_stream(&self) -> bool {
        matches!(self, Self::Unsupported { .. })
    }
}
