//! What came of a replay, for people and for programs.

use std::fmt::{self, Write as _};

use ruth_core::{CameraId, ModelId, Verdict};
use serde::Serialize;

use crate::recording::Frame;
use crate::tally::Tally;

/// One subscription as a line of JSON. The names of the fields are the keys and part of the interface.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    camera: &'a str,
    model: &'a str,
    max_fps: Option<String>,
    seen: usize,
    allowed: usize,
    skipped: &'a std::collections::BTreeMap<&'static str, u64>,
    mean_fps: Option<f64>,
    highest_in_a_second: usize,
    highest_in_a_second_published: usize,
}

/// One answer as a line of JSON.
#[derive(Debug, Serialize)]
struct Explained<'a> {
    camera: &'a str,
    model: &'a str,
    epoch: u64,
    frame_id: u64,
    gate_ns: u64,
    decision: &'static str,
    reason: &'static str,
}

/// One subscription in words, several lines.
#[derive(Debug)]
pub struct Words<'a>(pub &'a CameraId, pub &'a Tally);

/// One subscription as JSON, without its line feed.
#[must_use]
pub fn json(camera: &CameraId, tally: &Tally) -> String {
    plain(&Summary {
        camera: camera.as_str(),
        model: tally.model.as_str(),
        max_fps: tally.limit.rate().map(|rate| rate.to_string()),
        seen: tally.seen.len(),
        allowed: tally.allowed.len(),
        skipped: &tally.skipped,
        mean_fps: tally.mean_fps(),
        highest_in_a_second: tally.highest_judged(),
        highest_in_a_second_published: tally.highest_published(),
    })
}

/// One answer as JSON, without its line feed.
#[must_use]
pub fn explained_json(frame: &Frame, model: &ModelId, verdict: Verdict) -> String {
    plain(&Explained {
        camera: frame.camera.as_str(),
        model: model.as_str(),
        epoch: frame.stamp.epoch,
        frame_id: frame.stamp.frame_id,
        gate_ns: frame.stamp.gate_ns,
        decision: if verdict.is_allow() { "allow" } else { "skip" },
        reason: verdict.reason(),
    })
}

/// One answer in words, without a line feed.
#[must_use]
pub fn explained(frame: &Frame, model: &ModelId, verdict: Verdict) -> String {
    let Frame { camera, stamp, .. } = frame;
    let seconds = stamp.gate_ns as f64 / 1e9;
    format!("{camera} frame {} at {seconds:.3} s, model {model}: {verdict}", stamp.frame_id)
}

fn plain(line: &impl Serialize) -> String {
    serde_json::to_string(line).expect("plain numbers and strings always become JSON")
}

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(camera, tally) = self;
        write!(f, "camera {camera}, model {}: ", tally.model)?;
        match tally.limit.rate() {
            Some(_) => writeln!(f, "at most {} fps", tally.limit)?,
            None => writeln!(f, "{}", tally.limit)?,
        }
        writeln!(f, "  seen     {}{}", tally.seen.len(), fps(tally.seen_fps()))?;
        write!(f, "  allowed  {}{}", tally.allowed.len(), fps(tally.mean_fps()))?;
        let (judged, published) = (tally.highest_judged(), tally.highest_published());
        writeln!(f, "; {judged} in the fullest second, {published} of publication")?;
        let mut reasons = String::new();
        for (reason, count) in &tally.skipped {
            write!(reasons, " {reason} {count}")?;
        }
        let skipped: u64 = tally.skipped.values().sum();
        writeln!(f, "  skipped  {skipped}{}{reasons}", if skipped > 0 { ":" } else { "" })
    }
}

fn fps(rate: Option<f64>) -> String {
    rate.map_or(String::new(), |rate| format!(", {rate:.2} a second"))
}
