//! The config file: reads it, checks all of it, and turns it into what the service does.
//!
//! What was typed ([`typed`]) and what it means ([`Config`]) are two types. The first knows TOML
//! and the position of each key; the second has every default filled in and is always valid. All
//! problems between the two are reported at once, each with its line ([`ConfigError`]).

#![forbid(unsafe_code)]

mod camera_url;
mod defaults;
mod duration;
mod environment;
mod file_mode;
mod files;
mod group;
mod input;
mod interpret;
mod meaning;
mod problem;
mod producer;
mod record;
pub mod rtsp_client;
mod size;
mod substitute;
mod test_pattern;
pub mod transport;
mod typed;

use std::path::{Path, PathBuf};

pub use camera_url::{CameraUrl, CameraUrlError};
pub use duration::{DurationError, Words as DurationWords, parse as parse_duration};
pub use environment::Environment;
pub use files::ConfigFiles;
pub use input::{Input, Role, Roles};
pub use meaning::{Camera, Config, Decode, Export, GpuChoice, WhenIdle};
pub use problem::{ConfigError, Problems};
pub use producer::{Destination, Destinations, Producer, Video};
pub use record::{Keep, Record};
pub use size::Words as SizeWords;
pub use substitute::SubstituteError;

use problem::{Fault, Finding};
use typed::Typed;
use vas_toml::Place;

/// Loads the config file at `path`, and `conf.d/*.toml` beside it.
///
/// # Errors
/// A file can't be read, or its contents are wrong; the error lists all problems.
pub fn load(path: &Path, environment: &Environment) -> Result<Config, ConfigError> {
    Ok(understand(&ConfigFiles::read(path)?, environment)?)
}

/// Makes a config from its files.
///
/// # Errors
/// All problems in them.
pub fn understand(files: &ConfigFiles, environment: &Environment) -> Result<Config, Problems> {
    let mut findings = Vec::new();
    let typed = read(files, &mut findings);
    let config = typed.map(|typed| interpret::interpret(typed, files, environment, &mut findings));
    match config {
        Some(config) if findings.is_empty() => Ok(config),
        _ => Err(in_order(findings, files)),
    }
}

/// The run directory of the config at `path`. The rest of the config does not matter: a command
/// that inspects a service may not have the environment variables that hold its cameras' passwords.
///
/// # Errors
/// A file can't be read or is not TOML, or the run directory is invalid.
pub fn run_dir(path: &Path, environment: &Environment) -> Result<PathBuf, ConfigError> {
    let files = ConfigFiles::read(path)?;
    let mut findings = Vec::new();
    let typed = read(&files, &mut findings);
    if typed.is_some() {
        findings.retain(|finding| finding.place == Place::table("service"));
    }
    let run_dir = typed.map(|typed| interpret::run_dir(&typed, &files, environment, &mut findings));
    match run_dir {
        Some(run_dir) if findings.is_empty() => Ok(run_dir),
        _ => Err(in_order(findings, &files).into()),
    }
}

/// What was typed in all files together. `None` when one of them can't be read: what is missing
/// then would be a guess.
fn read(files: &ConfigFiles, findings: &mut Vec<Finding>) -> Option<Typed> {
    let mut whole: Option<Typed> = None;
    let mut readable = true;
    for file in files.iter() {
        let typed = match std::str::from_utf8(&file.bytes) {
            Ok(text) => Typed::read(text, file.base, findings),
            Err(error) => {
                let at = file.base + error.valid_up_to();
                let span = Some(at..at);
                findings.push(Finding { span, place: Place::FILE, fault: Fault::NotText });
                None
            }
        };
        match (typed, &mut whole) {
            (None, _) => readable = false,
            (Some(typed), None) => whole = Some(typed),
            (Some(typed), Some(whole)) => whole.join(typed, files, findings),
        }
    }
    whole.filter(|_| readable)
}

fn in_order(findings: Vec<Finding>, files: &ConfigFiles) -> Problems {
    Problems::new(findings, |at| (files.at(at).path.clone(), files.position(at)))
}

#[cfg(test)]
mod tests;
