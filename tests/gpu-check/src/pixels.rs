//! Readers get the pictures of FFmpeg's own NVDEC, whatever has to be done to them on the GPU.

use std::process::Child;
use std::time::Duration;

use serde_json::Value;
use vas_scale::Fit;

use crate::Failure;
use crate::clips::{CASES, Case};
use crate::report::Findings;
use crate::service::{Programs, Service, camera};

/// Frames that a reader takes of each camera.
const FRAMES: usize = 8;

pub(crate) fn check(programs: &Programs, gpu: u32, findings: &mut Findings) -> Result<(), Failure> {
    // Before the clips play.
    let judged: Result<Vec<_>, _> = CASES
        .iter()
        .map(|case| Ok((case, case.expected(&programs.ffmpeg, &programs.clips, gpu)?)))
        .collect();
    let judged = judged?;
    let tables: Vec<_> = CASES.iter().map(|case| case.table(&programs.clips, gpu)).collect();
    let mut service = Service::start(programs, &tables.concat(), &[])?;
    let readers: Vec<_> = CASES.iter().map(|case| service.read(case.id, FRAMES)).collect();
    let mut wrong = Vec::new();
    for ((case, expected), reader) in judged.iter().zip(readers) {
        let compared = reader.and_then(|reader| compare(case, expected, reader, findings));
        if let Err(error) = compared {
            let status = service.until("a status", Duration::ZERO, |_| true).unwrap_or_default();
            let decoder = camera(&status, case.id).map(|camera| camera["decoder"].to_string());
            wrong.push(format!("{error}; its decoder: {}", decoder.unwrap_or_default()));
        }
    }
    wrong.extend(service.stop().err().map(|error| error.to_string()));
    if wrong.is_empty() { Ok(()) } else { Err(Failure::Wrong(wrong.join("; "))) }
}

fn compare(
    case: &Case,
    expected: &[String],
    reader: Child,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let Case { id, clip, export } = case;
    let seen = reader.wait_with_output();
    let seen = seen.map_err(|error| Failure::Program(format!("a reader of {id}: {error}")))?;
    let text = String::from_utf8_lossy(&seen.stdout);
    let frames: Vec<Value> = text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    let right = |frame: &&Value| {
        frame["decoder"] == "nvdec"
            && frame["md5"].as_str().is_some_and(|md5| expected.iter().any(|one| one == md5))
    };
    let rights = frames.iter().filter(right).count();
    if rights < FRAMES || rights < frames.len() {
        let first = frames.iter().find(|frame| !right(frame));
        let first =
            first.map_or_else(String::new, |frame| format!("; the first other one: {frame}"));
        let said = String::from_utf8_lossy(&seen.stderr);
        return Err(Failure::Wrong(format!(
            "{id}: {rights} of {} frames, of {FRAMES} expected, are FFmpeg's pictures{first}; {}",
            frames.len(),
            said.trim()
        )));
    }
    let how = export.map_or_else(String::new, |(width, height, fit)| words(width, height, fit));
    findings.note(format!("{id}: {rights} frames of {}{how} equal, byte for byte", clip.name));
    Ok(())
}

fn words(width: u32, height: u32, fit: Fit) -> String {
    format!(" at {width}x{height}, {fit},")
}
