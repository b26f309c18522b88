//! What is wrong with a config file, and where.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

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

/// All problems of a config, in the order of its files; prints a line for each.
#[derive(Debug)]
pub struct Problems {
    /// At least one.
    pub list: Vec<Problem>,
}

/// One problem.
#[derive(Debug)]
pub struct Problem {
    /// The file as the user named it.
    pub file: PathBuf,
    /// Where it begins; `None` when it concerns the whole file.
    pub position: Option<Position>,
    /// The table that it is in.
    pub place: Place,
    /// The fault.
    pub fault: Fault,
}

/// A position in a text. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// A table of the config file, as messages name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Outside all tables.
    File,
    /// A table `[name]`.
    Table(&'static str),
    /// A camera by the id that was typed.
    Camera(String),
    /// A camera without a usable id, by its number in the file from 1.
    NthCamera(usize),
}

/// A fault at one position of a config file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The bytes are not text.
    #[error("not valid UTF-8; a config file is UTF-8 text")]
    NotText,
    /// The text is not TOML.
    #[error("no valid TOML: {0}")]
    Syntax(String),
    /// The key is not valid here.
    #[error("unknown key `{key}`; {}", hint(*nearest, valid))]
    UnknownKey {
        /// The key.
        key: String,
        /// The most similar valid key.
        nearest: Option<&'static str>,
        /// All keys that are valid here.
        valid: Vec<&'static str>,
    },
    /// The value has another TOML type than expected.
    #[error("`{key}`: expected {expected}, found {found}")]
    WrongType {
        /// The key.
        key: &'static str,
        /// What was expected, with an example.
        expected: &'static str,
        /// The type that was found.
        found: &'static str,
    },
    /// A required key is missing.
    #[error("`{key}` is missing; expected {expected}")]
    Missing {
        /// The key.
        key: &'static str,
        /// What was expected, with an example.
        expected: &'static str,
    },
    /// The value has the right type but is invalid.
    #[error("`{key}`: {source}")]
    Value {
        /// The key.
        key: &'static str,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
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

fn hint(nearest: Option<&str>, valid: &[&str]) -> String {
    match nearest {
        Some(key) => format!("did you mean `{key}`?"),
        None => format!("valid here: {}", valid.join(", ")),
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.list.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl Error for Problems {}

impl fmt::Display for Problem {
    /// Prints `vas.toml:12:1: camera "gate": unknown key ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(Position { line, column }) = self.position {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}{}", self.place, self.fault)
    }
}

impl fmt::Display for Place {
    /// Prints the place and `: `, or nothing for the whole file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => Ok(()),
            Self::Table(name) => write!(f, "[{name}]: "),
            Self::Camera(id) => write!(f, "camera {id:?}: "),
            Self::NthCamera(number) => write!(f, "camera {number}: "),
        }
    }
}
