//! The subscriptions file, checked as the service checks its config: all problems at once, each with its line.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ruth_core::{CameraId, Limit, ModelId};
use vas_gate::Rate;
use vas_toml::{Field, Found, Place, Position, Value, text_or_number};

/// All problems of a subscriptions file, in its order; prints a line for each.
pub type Problems = vas_toml::Problems<Fault>;
type Finding = vas_toml::Finding<Fault>;
type Section<'a> = vas_toml::Section<'a, Fault>;

/// A subscriptions file that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionsError {
    /// The file could not be read.
    #[error("cannot read subscriptions file {}: {source}", path.display())]
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

/// A fault at one position of a subscriptions file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// One that any file can have.
    #[error(transparent)]
    Toml(#[from] vas_toml::Fault),
    /// A stride without a maximum.
    #[error("`stride` counts frames, which is no maximum by itself; add `max_fps`")]
    StrideAlone,
    /// Two subscriptions of one model to one camera.
    #[error("model {model} is subscribed to camera {camera} at line {first} already")]
    Duplicate {
        /// The model.
        model: ModelId,
        /// The camera.
        camera: CameraId,
        /// The line of the first.
        first: usize,
    },
    /// There is no subscription.
    #[error("no subscription; add a [[subscription]] table with `camera`, `model` and `max_fps`")]
    NoSubscription,
}

/// One `[[subscription]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// `camera`.
    pub camera: CameraId,
    /// `model`.
    pub model: ModelId,
    /// `max_fps`, with `stride` beside it; unlimited without.
    pub limit: Limit,
    /// `active`, which is true where it is not said.
    pub active: bool,
}

/// Reads the subscriptions file at `path`.
///
/// # Errors
/// The file can't be read, or something in it is wrong; the error lists all problems.
pub fn read_subscriptions(path: &Path) -> Result<Vec<Wanted>, SubscriptionsError> {
    let read = fs::read_to_string(path);
    let text = read.map_err(|source| SubscriptionsError::Read { path: path.to_owned(), source })?;
    understand(&text).map_err(|findings| problems(path, &text, findings).into())
}

fn problems(path: &Path, text: &str, findings: Vec<Finding>) -> Problems {
    Problems::new(findings, |at| (path.to_owned(), Position::of(text.as_bytes(), at)))
}

fn understand(text: &str) -> Result<Vec<Wanted>, Vec<Finding>> {
    let mut findings = Vec::new();
    let read = vas_toml::read(text, 0, Found::Value, &mut findings, |root| {
        root.tables("subscription", "a [[subscription]] table for each", subscription)
    });
    let read: Vec<_> = read.into_iter().flatten().flatten().collect();
    refuse_duplicates(&read, text, &mut findings);
    if read.is_empty() && findings.is_empty() {
        findings.push(Finding { span: None, place: Place::FILE, fault: Fault::NoSubscription });
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    Ok(read.into_iter().map(|(wanted, _)| wanted).collect())
}

/// Reads one table, and returns the bytes of its heading with it; `None` when something in it, which was reported, is
/// wrong.
fn subscription(section: &mut Section<'_>) -> Option<(Wanted, Range<usize>)> {
    let camera = section.required_string("camera", "the id of a camera such as \"gate\"");
    let model = section.required_string("model", "the id of a model such as \"people\"");
    let rates = "a number above 0 such as 5, 12.5 or \"30000/1001\"";
    let max_fps =
        section.field("max_fps", rates, |value| text_or_number(value)?.parse::<Rate>().ok());
    let strides = "a whole number of frames from 1 to 65535 such as 3";
    let stride = section.field("stride", strides, count).given();
    let active = section.boolean("active").given();
    if let (Field::Absent, Some(stride)) = (&max_fps, &stride) {
        section.report(Some(stride.span()), Fault::StrideAlone);
    }
    let camera = section.convert("camera", camera.given()?, CameraId::new);
    let model = section.convert("model", model.given()?, ModelId::new);
    let limit = match max_fps {
        Field::Absent => Limit::UNLIMITED,
        Field::Given(rate) => Limit::at_most(rate.into_inner()),
        Field::Wrong => return None,
    };
    let limit = stride.map_or(limit, |stride| limit.with_stride(stride.into_inner().into()));
    let active = active.is_none_or(|active| active.into_inner());
    Some((Wanted { camera: camera?, model: model?, limit, active }, section.heading()))
}

fn count(value: &Value<'_>) -> Option<u16> {
    let number = value.as_integer()?;
    u16::from_str_radix(number.as_str(), number.radix()).ok().filter(|number| *number > 0)
}

fn refuse_duplicates(read: &[(Wanted, Range<usize>)], text: &str, findings: &mut Vec<Finding>) {
    let mut firsts = HashMap::new();
    for (Wanted { camera, model, .. }, heading) in read {
        let first = *firsts.entry((camera, model)).or_insert(heading.start);
        if first == heading.start {
            continue;
        }
        let first = Position::of(text.as_bytes(), first).line;
        let fault = Fault::Duplicate { model: model.clone(), camera: camera.clone(), first };
        findings.push(Finding { span: Some(heading.clone()), place: Place::FILE, fault });
    }
}

#[cfg(test)]
mod tests;
