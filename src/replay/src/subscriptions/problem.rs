//! What is wrong with a subscriptions file, and where.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A subscriptions file that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionsError {
    /// The file could not be read.
    #[error("cannot read subscriptions file {}: {source}", path.display())]
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

/// All problems of one file, in its order; prints a line for each.
#[derive(Debug)]
pub struct Problems {
    file: PathBuf,
    list: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    position: Option<Position>,
    words: String,
}

/// A place in a text. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) line: usize,
    column: usize,
}

/// A problem while the file is read: the bytes it is about, if it is about any.
#[derive(Debug)]
pub(super) struct Finding {
    span: Option<Range<usize>>,
    words: String,
}

impl Finding {
    pub(super) fn new(span: Option<Range<usize>>, words: impl Into<String>) -> Self {
        Self { span, words: words.into() }
    }
}

impl Problems {
    pub(super) fn new(file: &Path, text: &str, findings: Vec<Finding>) -> Self {
        let mut list: Vec<_> = findings
            .into_iter()
            .map(|Finding { span, words }| Problem {
                position: span.map(|span| position_in(text, span.start)),
                words,
            })
            .collect();
        list.sort_by_key(|problem| problem.position);
        Self { file: file.to_owned(), list }
    }
}

/// The line and column of the byte at `offset`.
pub(super) fn position_in(text: &str, offset: usize) -> Position {
    // Spans lie on characters; if one ever does not, the end of the text is a place too.
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Position {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Problem { position, words }) in self.list.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            write!(f, "{separator}{}:", self.file.display())?;
            if let Some(Position { line, column }) = position {
                write!(f, "{line}:{column}:")?;
            }
            write!(f, " {words}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
