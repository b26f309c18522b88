//! The status of a shard's cameras while the shard can't report it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use vas_frame::CameraId;
use vas_status::{CameraReport, InputState, ShardReport};

use super::crash_tracker::CrashTracker;
use super::process::Process;
use super::shard::Shard;

/// A shard's last report, with what only the supervisor knows.
pub(super) fn report_of(shard: &Shard, crash_tracker: &CrashTracker, now: Instant) -> ShardReport {
    let up = shard.process.as_ref().is_some_and(Process::is_up);
    let ShardReport { shard: number, pid, memory, frame_path_panics, ref gpus, ref cameras } =
        shard.report;
    let reported: HashMap<_, _> =
        cameras.iter().map(|camera| (camera.id.as_str(), camera)).collect();
    let camera = |id: &CameraId| {
        let known = reported.get(id.as_str()).copied();
        let mut report = known.cloned().unwrap_or_default();
        report.id = id.to_string();
        report.shard = shard.number;
        match crash_tracker.quarantine(id) {
            Some(quarantine) => {
                let since = now.saturating_duration_since(quarantine.since);
                set(&mut report, InputState::SetApart, quarantine.words(now), Some(since));
            }
            None if up && known.is_some() => {}
            None if up => set(&mut report, InputState::Connecting, String::new(), None),
            None if shard.reason().is_empty() => {
                set(&mut report, InputState::Connecting, "its shard is starting".into(), None);
            }
            None => set(&mut report, InputState::Waiting, shard.reason().into(), None),
        }
        report
    };
    let cameras = shard.ids.iter().map(camera).collect();
    let gpus = gpus.clone();
    ShardReport { shard: number, pid, memory, frame_path_panics, gpus, cameras }
}

fn set(report: &mut CameraReport, state: InputState, reason: String, since: Option<Duration>) {
    let inputs = report.inputs.iter_mut().map(|input| &mut input.status);
    for status in inputs.chain([&mut report.input]) {
        status.state = state;
        status.reason.clone_from(&reason);
        status.since_s = since.map(|since| since.as_secs());
    }
    report.decoder = None;
}
