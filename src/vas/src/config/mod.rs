//! The config file: read, judged as a whole, and turned into what the service does.
//!
//! What was typed ([`typed`]) and what it means ([`Config`]) are two types. The first knows TOML
//! and where each key stands; the second has every default filled in and can't be wrong. All
//! problems between the two are reported at once, each with its line ([`ConfigError`]).

mod camera_url;
mod duration;
mod file_mode;
mod files;
mod group;
mod input;
mod meaning;
mod nearest;
mod problem;
mod substitute;
mod surroundings;
mod test_pattern;
pub(crate) mod transport;
mod typed;

use std::path::Path;

pub(crate) use camera_url::{CameraUrl, CameraUrlError};
pub(crate) use duration::Words as DurationWords;
pub(crate) use files::ConfigFiles;
pub(crate) use input::{Input, Role, Roles};
pub(crate) use meaning::{Camera, Config, Export, WhenIdle};
pub(crate) use problem::{ConfigError, Problems};
pub(crate) use substitute::SubstituteError;
pub(crate) use surroundings::Surroundings;

use problem::{Fault, Place, Problem};
use typed::{Finding, Typed};

/// Reads the config file at `path`, and `conf.d/*.toml` beside it.
///
/// # Errors
/// A file can't be read, or something in it is wrong; then all that is wrong.
pub(crate) fn load(path: &Path, surroundings: &Surroundings) -> Result<Config, ConfigError> {
    Ok(understand(&ConfigFiles::read(path)?, surroundings)?)
}

/// Makes a config of its files.
///
/// # Errors
/// All that is wrong with them.
pub(crate) fn understand(
    files: &ConfigFiles,
    surroundings: &Surroundings,
) -> Result<Config, Problems> {
    let mut findings = Vec::new();
    let mut whole: Option<Typed> = None;
    let mut readable = true;
    for file in files.iter() {
        let typed = match std::str::from_utf8(&file.bytes) {
            Ok(text) => Typed::read(text, file.base, &mut findings),
            Err(error) => {
                let at = file.base + error.valid_up_to();
                let span = Some(at..at);
                findings.push(Finding { span, place: Place::File, fault: Fault::NotText });
                None
            }
        };
        match (typed, &mut whole) {
            (None, _) => readable = false,
            (Some(typed), None) => whole = Some(typed),
            (Some(typed), Some(whole)) => whole.join(typed, files, &mut findings),
        }
    }
    // What is missing from a file that can't be read would be a guess.
    let config = whole
        .filter(|_| readable)
        .map(|typed| meaning::interpret(typed, files, surroundings, &mut findings));
    match config {
        Some(config) if findings.is_empty() => Ok(config),
        _ => Err(Problems { list: in_order(findings, files) }),
    }
}

/// Turns findings into problems, in the order of the files.
fn in_order(mut findings: Vec<Finding>, files: &ConfigFiles) -> Vec<Problem> {
    findings.sort_by_key(|finding| finding.span.as_ref().map(|span| span.start));
    let problem = |Finding { span, place, fault }| {
        let file = files.at(span.as_ref().map_or(0, |span| span.start)).path.clone();
        let position = span.map(|span| files.position(span.start));
        Problem { file, position, place, fault }
    };
    findings.into_iter().map(problem).collect()
}

#[cfg(test)]
mod tests;
