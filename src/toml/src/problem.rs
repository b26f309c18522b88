//! What is wrong with a file, and where.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// A fault found while reading, and the bytes that it concerns.
///
/// `F` is the caller's type of faults, which includes [`Fault`].
#[derive(Debug)]
pub struct Finding<F> {
    /// `None` when it concerns the whole file.
    pub span: Option<Range<usize>>,
    /// The table that it is in.
    pub place: Place,
    /// The fault.
    pub fault: F,
}

/// All problems, in the order of the files; prints a line for each.
#[derive(Debug)]
pub struct Problems<F> {
    /// At least one.
    pub list: Vec<Problem<F>>,
}

/// One problem.
#[derive(Debug)]
pub struct Problem<F> {
    /// The file as the user named it.
    pub file: PathBuf,
    /// Where it begins; `None` when it concerns the whole file.
    pub position: Option<Position>,
    /// The table that it is in.
    pub place: Place,
    /// The fault.
    pub fault: F,
}

/// A position in a text. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// A table, as messages name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(String);

/// A fault that any file can have.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
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
    /// The value has another type than expected.
    #[error("`{key}`: expected {expected}, found {found}")]
    WrongType {
        /// The key.
        key: &'static str,
        /// What was expected, with an example.
        expected: &'static str,
        /// What was found.
        found: String,
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
}

fn hint(nearest: Option<&str>, valid: &[&str]) -> String {
    match nearest {
        Some(key) => format!("did you mean `{key}`?"),
        None => format!("valid here: {}", valid.join(", ")),
    }
}

impl<F> Problems<F> {
    /// Turns findings into problems. `locate` returns the file that contains a byte, and the byte's position in that file.
    pub fn new(
        mut findings: Vec<Finding<F>>,
        locate: impl Fn(usize) -> (PathBuf, Position),
    ) -> Self {
        findings.sort_by_key(|finding| finding.span.as_ref().map(|span| span.start));
        let problem = |Finding { span, place, fault }: Finding<F>| {
            let (file, position) = locate(span.as_ref().map_or(0, |span| span.start));
            Problem { file, position: span.map(|_| position), place, fault }
        };
        Self { list: findings.into_iter().map(problem).collect() }
    }
}

impl Position {
    /// The position of the byte at `offset`.
    pub fn of(text: &[u8], offset: usize) -> Self {
        // If the bytes are not text, those before the fault are.
        let before = &text[..offset.min(text.len())];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        Self {
            line: before.iter().filter(|&&byte| byte == b'\n').count() + 1,
            column: String::from_utf8_lossy(&before[line_start..]).chars().count() + 1,
        }
    }
}

impl Place {
    /// Outside all tables.
    pub const FILE: Self = Self(String::new());

    /// A table by a name of its own, such as `camera "gate"`.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The table `[name]`.
    pub fn table(name: &str) -> Self {
        Self(format!("[{name}]"))
    }
}

impl<F: fmt::Display> fmt::Display for Problems<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.list.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl<F: fmt::Debug + fmt::Display> Error for Problems<F> {}

impl<F: fmt::Display> fmt::Display for Problem<F> {
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
    /// Prints the name and `: `, or nothing outside all tables.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_str() {
            "" => Ok(()),
            name => write!(f, "{name}: "),
        }
    }
}
