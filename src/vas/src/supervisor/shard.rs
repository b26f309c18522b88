//! One shard: its cameras, and the process that has them, again and again.

use std::time::{Duration, Instant};

use vas_frame::CameraId;

use super::process::{Ended, Launch, Process};
use super::restarts::{Beginning, Restarts};
use vas_status::{ShardHealth, ShardReport, ShardState};

/// What happens to a shard between two looks.
#[derive(Debug)]
pub(super) enum Event {
    /// Its process ended, though nobody asked it to.
    Ended(Ended),
    /// It was time to start a process.
    Due,
}

/// One shard.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) number: u32,
    /// The GPU that it is at preferred_gpu on.
    pub(super) preferred_gpu: Option<usize>,
    /// Its cameras, those that are set apart among them.
    pub(super) ids: Vec<CameraId>,
    pub(super) process: Option<Process>,
    /// The newest report of it, or of the process before.
    pub(super) report: ShardReport,
    restarts: Restarts,
    started: u64,
    start_at: Option<Instant>,
    reason: String,
    /// Whether a process of it has ever been up.
    pub(super) was_up: bool,
    /// Whether its first process said that it can't do its work.
    pub(super) begun_in_vain: bool,
    /// Whether a process of it has ended without cleaning up.
    pub(super) left_files: bool,
}

impl Shard {
    pub(super) fn new(number: u32, preferred_gpu: Option<usize>) -> Self {
        Self {
            number,
            preferred_gpu,
            ids: Vec::new(),
            process: None,
            report: ShardReport { shard: number, ..ShardReport::default() },
            restarts: Restarts::default(),
            started: 0,
            start_at: None,
            reason: String::new(),
            was_up: false,
            begun_in_vain: false,
            left_files: false,
        }
    }

    /// Asks for a process at `at`, if there is none.
    pub(super) fn want_process(&mut self, at: Instant) {
        if self.process.is_none() {
            self.start_at = Some(self.start_at.map_or(at, |before| before.min(at)));
        }
    }

    /// Asks for no process.
    pub(super) fn want_none(&mut self) {
        self.start_at = None;
    }

    /// Starts a process.
    pub(super) fn start(&mut self, launch: Launch<'_>, now: Instant) {
        self.start_at = None;
        match Process::start(launch) {
            Ok(process) => {
                self.started += 1;
                self.process = Some(process);
            }
            Err(error) => {
                let wait = self.restarts.ended(Duration::ZERO).max(Duration::from_secs(1));
                self.reason = format!("can't start its process: {error}");
                tracing::error!("shard {}: {}", self.number, self.reason);
                self.start_at = Some(now + wait);
            }
        }
    }

    /// Hears what its process says, and whether it has ended.
    pub(super) fn advance(&mut self, now: Instant) -> Option<Event> {
        if let Some(process) = &mut self.process {
            if let Some(report) = process.hear(now) {
                self.report = report;
                self.was_up = true;
                self.reason.clear();
            }
            process.watch(now);
            let ended = process.ended(now)?;
            self.process = None;
            self.left_files |= !ended.orderly;
            return Some(Event::Ended(ended));
        }
        self.start_at.is_some_and(|at| now >= at).then_some(Event::Due)
    }

    /// Its process is to come again; how long that is to take.
    pub(super) fn again(&mut self, ended: &Ended, reason: String, now: Instant) -> Duration {
        let wait = self.restarts.ended(ended.ran);
        self.reason = reason;
        self.start_at = Some(now + wait);
        wait
    }

    /// When to look again, apart from when its process speaks.
    pub(super) fn next(&self) -> Option<Instant> {
        self.start_at
    }

    /// What the status says of it.
    pub(super) fn health(&self) -> ShardHealth {
        let state = match &self.process {
            Some(process) if process.is_up() => ShardState::Running,
            Some(_) => ShardState::Starting,
            None if self.start_at.is_some() => ShardState::Waiting,
            None => ShardState::Starting,
        };
        ShardHealth {
            pid: self.process.as_ref().map(Process::pid),
            state,
            reason: if state == ShardState::Running { String::new() } else { self.reason.clone() },
            restarts: self.started.saturating_sub(1),
        }
    }

    /// Whether all that should be there is: a process that speaks, or none for a reason.
    pub(super) fn answers(&self, now: Instant) -> bool {
        self.process.as_ref().is_none_or(|process| !process.is_stuck(now))
    }

    /// What came of its first process.
    pub(super) fn beginning(&self) -> Beginning {
        match self {
            Self { was_up: true, .. } => Beginning::Up,
            _ if self.ids.is_empty() => Beginning::NotWanted,
            Self { begun_in_vain: true, .. } => Beginning::InVain,
            _ => Beginning::Open,
        }
    }

    /// Whether a process of it has ended, or could not be started.
    pub(super) fn has_ended(&self) -> bool {
        self.restarts.any()
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }
}
