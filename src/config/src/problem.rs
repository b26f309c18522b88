//! What is wrong with a config file, and where.

use std::io;
use std::path::PathBuf;

/// All problems of a config, in the order of its files; prints a line for each.
pub type Problems = vas_toml::Problems<Fault>;
pub(super) type Finding = vas_toml::Finding<Fault>;

/// A config file that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read config file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file was read but has these problems.
    #[error(transparent)]
    Problems(#[from] Problems),
}

/// A fault at one position of a config file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The bytes are not text.
    #[error("not valid UTF-8; a config file is UTF-8 text")]
    NotText,
    /// One that any file can have.
    #[error(transparent)]
    Toml(#[from] vas_toml::Fault),
    /// Two cameras share an id.
    #[error("`id` is taken by the camera at {first}; each camera needs its own")]
    DuplicateId {
        /// Where the first of them is.
        first: String,
    },
    /// The table is in two files.
    #[error("`[{table}]` is already at {first}; only cameras may be spread over several files")]
    TableTwice {
        /// Its name.
        table: String,
        /// Where it is.
        first: String,
    },
    /// Two inputs of one camera share a role.
    #[error(
        "role `{role}` is taken by the input at {first}; each role belongs to one input \
         of a camera"
    )]
    DuplicateRole {
        /// The role.
        role: &'static str,
        /// Where the first of them is.
        first: String,
    },
    /// An input without a role.
    #[error("this input has no role; leave `roles` out to give it all")]
    NoRole,
    /// Both ways of naming a camera's source.
    #[error("`url` and [[camera.input]] exclude each other; move `url` into an input of its own")]
    UrlAndInputs,
    /// Two producers send to one address.
    #[error(
        "`rtp` is that of the camera at {first}; a PlainTransport takes one sender's packets, so each \
         camera needs its own"
    )]
    SharedTransport {
        /// Where the first of them is.
        first: String,
    },
    /// A role that none of the camera's inputs has, but that its settings need.
    #[error("no input has the role \"{role}\"; add it to the `roles` of one")]
    NoInputFor {
        /// The role.
        role: &'static str,
    },
    /// A setting of the encoder where nothing is encoded.
    #[error("`{key}` applies only with `video = \"h264\"`; with \"copy\" the camera decides")]
    OnlyWhenEncoding {
        /// The key.
        key: &'static str,
    },
    /// A setting that leaves pictures out where all of them are encoded.
    #[error("`{key}` must be \"all\" where the producer encodes (`video = \"h264\"`)")]
    NotWhenEncoding {
        /// The key.
        key: &'static str,
    },
    /// NVDEC knows GPUs by their numbers.
    #[error(
        "`gpu` names a render node, which \"nvdec\" does not use; expected \"auto\" or the number of an NVIDIA GPU"
    )]
    NodeForNvdec,
    /// A side that is left out follows from the aspect.
    #[error("`fit` other than \"fit\" needs both `width` and `height`")]
    FitWithoutSize,
    /// There is no camera.
    #[error("no camera; add a [[camera]] table with `id` and `url`")]
    NoCamera,
    /// No folder for the status is configured.
    #[error(
        "no folder for status.json: XDG_RUNTIME_DIR is not set to an absolute path; set \
         `run_dir` in [service]"
    )]
    NoRunDir,
}
