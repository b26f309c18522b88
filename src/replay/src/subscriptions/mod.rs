//! The subscriptions file: read, judged as a whole, all problems told at once with their lines.
//!
//! It is checked as the service checks its config: unknown keys are refused, with the one that was
//! probably meant.

mod problem;
mod section;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use ruth_core::{CameraId, Limit, ModelId};
use toml::de::DeTable;

use problem::Finding;
pub use problem::{Problems, SubscriptionsError};
use section::{Maximum, Section, Spanned};

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
/// The file can't be read, or something in it is wrong; then all that is wrong.
pub fn read_subscriptions(path: &Path) -> Result<Vec<Wanted>, SubscriptionsError> {
    let read = fs::read_to_string(path);
    let text = read.map_err(|source| SubscriptionsError::Read { path: path.to_owned(), source })?;
    understand(&text).map_err(|findings| Problems::new(path, &text, findings).into())
}

fn understand(text: &str) -> Result<Vec<Wanted>, Vec<Finding>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let syntax = |error: toml::de::Error| {
            Finding::new(error.span(), format!("no valid TOML: {}", error.message()))
        };
        return Err(errors.into_iter().map(syntax).collect());
    }
    let mut findings = Vec::new();
    let mut root = Section::new(root.get_ref(), String::new(), 0..0, &mut findings);
    let read = root.tables("subscription", subscription);
    root.finish();
    refuse_duplicates(&read, text, &mut findings);
    let wanted: Vec<_> = read.into_iter().flatten().map(|(wanted, _)| wanted).collect();
    if wanted.is_empty() && findings.is_empty() {
        findings.push(Finding::new(
            None,
            "no subscription; add a [[subscription]] table with `camera`, `model` and `max_fps`",
        ));
    }
    if findings.is_empty() { Ok(wanted) } else { Err(findings) }
}

/// Reads one table; `None` when something in it, which was reported, is wrong.
fn subscription(section: &mut Section<'_>) -> Option<(Wanted, Spanned<()>)> {
    let camera = section.string("camera", "the id of a camera such as \"gate\"");
    let model = section.string("model", "the id of a model such as \"people\"");
    let max_fps = section.maximum("max_fps");
    let stride = section.count("stride", "a whole number of frames from 1 to 65535 such as 3");
    let active = section.boolean("active");
    if let (Maximum::Absent, Some(stride)) = (&max_fps, &stride) {
        section.report(
            Some(stride.span.clone()),
            "`stride` counts frames, which is no maximum by itself; add `max_fps`",
        );
    }
    let camera = section.convert("camera", camera?, CameraId::new);
    let model = section.convert("model", model?, ModelId::new);
    let limit = match max_fps {
        Maximum::Absent => Limit::UNLIMITED,
        Maximum::Rate(rate) => Limit::at_most(rate),
        Maximum::Wrong => return None,
    };
    let limit = stride.map_or(limit, |stride| limit.with_stride(stride.value.into()));
    let active = active.is_none_or(|active| active.value);
    Some((Wanted { camera: camera?, model: model?, limit, active }, section.heading()))
}

fn refuse_duplicates(
    read: &[Option<(Wanted, Spanned<()>)>],
    text: &str,
    findings: &mut Vec<Finding>,
) {
    let mut first = HashMap::new();
    for (wanted, heading) in read.iter().flatten() {
        let key = (&wanted.camera, &wanted.model);
        let Some(there) = first.insert(key, heading) else { continue };
        first.insert(key, there);
        let line = problem::position_in(text, there.span.start).line;
        let Wanted { camera, model, .. } = wanted;
        findings.push(Finding::new(
            Some(heading.span.clone()),
            format!("model {model} is subscribed to camera {camera} at line {line} already"),
        ));
    }
}

#[cfg(test)]
mod tests;
