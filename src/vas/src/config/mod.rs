//! The config file: read, judged as a whole, and turned into what the service does.
//!
//! What was typed ([`typed`]) and what it means ([`Config`]) are two types. The first knows TOML
//! and where each key stands; the second has every default filled in and can't be wrong. All
//! problems between the two are reported at once, each with its line ([`ConfigError`]).

mod camera_url;
mod duration;
mod file_mode;
mod group;
mod meaning;
mod nearest;
mod problem;
mod substitute;
mod surroundings;
mod test_pattern;
pub(crate) mod transport;
mod typed;

use std::fs;
use std::path::Path;

pub(crate) use camera_url::{CameraUrl, CameraUrlError};
pub(crate) use duration::Words as DurationWords;
pub(crate) use meaning::{Camera, Config, Export, WhenIdle};
pub(crate) use problem::ConfigError;
pub(crate) use substitute::SubstituteError;
pub(crate) use surroundings::Surroundings;

use problem::{Fault, Place, Position, Problem, Problems};
use typed::{Finding, Typed};

/// Reads the config file at `path`.
///
/// # Errors
/// The file can't be read, or something in it is wrong; then all that is wrong.
pub(crate) fn load(path: &Path, surroundings: &Surroundings) -> Result<Config, ConfigError> {
    let unreadable = |source| ConfigError::Read { path: path.to_owned(), source };
    let bytes = fs::read(path).map_err(unreadable)?;
    // Relative paths in the file start at its own folder, wherever the service was started.
    let file = std::path::absolute(path).map_err(unreadable)?;
    let folder = file.parent().unwrap_or(Path::new("/"));
    understand(&bytes, folder, surroundings)
        .map_err(|list| Problems { file: path.to_owned(), list }.into())
}

/// Makes a config of the bytes of a file that lies in `folder`.
fn understand(
    bytes: &[u8],
    folder: &Path,
    surroundings: &Surroundings,
) -> Result<Config, Vec<Problem>> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let position = Some(position_in(&valid, valid.len()));
            return Err(vec![Problem { position, place: Place::File, fault: Fault::NotText }]);
        }
    };
    let mut findings = Vec::new();
    let config = Typed::read(text, &mut findings)
        .map(|typed| meaning::interpret(typed, text, folder, surroundings, &mut findings));
    match config {
        Some(config) if findings.is_empty() => Ok(config),
        _ => Err(in_order(findings, text)),
    }
}

/// Turns findings into problems, in the order of the file.
fn in_order(findings: Vec<Finding>, text: &str) -> Vec<Problem> {
    let mut problems: Vec<Problem> = findings
        .into_iter()
        .map(|Finding { span, place, fault }| {
            let position = span.map(|span| position_in(text, span.start));
            Problem { position, place, fault }
        })
        .collect();
    problems.sort_by_key(|problem| problem.position);
    problems
}

/// The line and column of the byte at `offset`.
fn position_in(text: &str, offset: usize) -> Position {
    // Spans lie on characters; if one ever does not, the end of the text is a place too.
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Position {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

#[cfg(test)]
mod tests;
