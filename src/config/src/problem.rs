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
        /// What the system said.
        source: io::Error,
    },
    /// The file was read and can't mean anything, for each of the reasons in it.
    #[error(transparent)]
    Problems(#[from] Problems),
}

/// All problems of a config, in the order of its files; prints a line for each.
#[derive(Debug)]
pub struct Problems {
    /// At least one.
    pub list: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug)]
pub struct Problem {
    /// The file as it was named by the user.
    pub file: PathBuf,
    /// Where it begins; `None` when it is about the whole file.
    pub position: Option<Position>,
    /// The table that it is in.
    pub place: Place,
    /// What it is.
    pub fault: Fault,
}

/// A place in a text. Lines and columns count from 1, columns in characters.
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

/// What can be wrong at one spot of a config file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The bytes are no text.
    #[error("not valid UTF-8; a config file is UTF-8 text")]
    NotText,
    /// No TOML.
    #[error("no valid TOML: {0}")]
    Syntax(String),
    /// A key that means nothing here.
    #[error("unknown key `{key}`; {}", hint(*nearest, valid))]
    UnknownKey {
        /// The key.
        key: String,
        /// The valid key that is most like it.
        nearest: Option<&'static str>,
        /// All keys that are valid here.
        valid: Vec<&'static str>,
    },
    /// A value of another TOML type than expected.
    #[error("`{key}`: expected {expected}, found {found}")]
    WrongType {
        /// The key.
        key: &'static str,
        /// What was expected, with an example.
        expected: &'static str,
        /// The type that was found.
        found: &'static str,
    },
    /// A key that has to be there is not.
    #[error("`{key}` is missing; expected {expected}")]
    Missing {
        /// The key.
        key: &'static str,
        /// What was expected, with an example.
        expected: &'static str,
    },
    /// A value of the right type that can't be.
    #[error("`{key}`: {source}")]
    Value {
        /// The key.
        key: &'static str,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Two cameras of one name.
    #[error("`id` is taken by the camera at {first}; each camera needs its own")]
    DuplicateId {
        /// Where the camera is that had it first.
        first: String,
    },
    /// A table that stands in two files.
    #[error("`[{table}]` is at {first} already; only cameras may stand in several files")]
    TableTwice {
        /// Its name.
        table: String,
        /// Where it is.
        first: String,
    },
    /// Two inputs of one camera for the same thing.
    #[error(
        "role `{role}` is taken by the input at {first}; each role belongs to one input \
         of a camera"
    )]
    DuplicateRole {
        /// The role.
        role: &'static str,
        /// Where the input is that had it first.
        first: String,
    },
    /// An input for nothing.
    #[error("an input without a role is for nothing; leave `roles` out to give it all")]
    NoRole,
    /// Both forms of saying where a camera is.
    #[error("`url` and [[camera.input]] exclude each other; move `url` into an input of its own")]
    UrlAndInputs,
    /// Two producers that send to one address.
    #[error(
        "`rtp` is that of the camera at {first}; a PlainTransport takes one sender's packets, so each \
         camera needs its own"
    )]
    SharedTransport {
        /// Place of the camera that had it first.
        first: String,
    },
    /// Something that a camera does with none of its inputs.
    #[error("no input has the role \"{role}\"; add it to the `roles` of one")]
    NoInputFor {
        /// The role.
        role: &'static str,
    },
    /// A setting of the encoder where nothing is encoded.
    #[error("`{key}` has a meaning only with `video = \"h264\"`; with \"copy\" the camera decides")]
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
    /// Not one camera.
    #[error("no camera; add a [[camera]] table with `id` and `url`")]
    NoCamera,
    /// Nothing says where status goes.
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
    /// Prints the place and `: `, or nothing for the file as a whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => Ok(()),
            Self::Table(name) => write!(f, "[{name}]: "),
            Self::Camera(id) => write!(f, "camera {id:?}: "),
            Self::NthCamera(number) => write!(f, "camera {number}: "),
        }
    }
}
