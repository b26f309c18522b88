//! One shard: its cameras, and the processes that run them one after another.

use std::time::{Duration, Instant};

use vas_frame::CameraId;
use vas_status::{ShardHealth, ShardReport, ShardState};

use super::process::{Ended, Launch, NotStarted, Process};
use super::restarts::{Beginning, Restarts};

/// An event of a shard.
#[derive(Debug)]
pub(super) enum Event {
    /// Its process ended without being asked to.
    Ended(Ended),
    /// It is time to start a process.
    Due,
}

/// One shard.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) number: u32,
    /// Its preferred GPU.
    pub(super) preferred_gpu: Option<usize>,
    /// Its cameras, including those in quarantine.
    pub(super) ids: Vec<CameraId>,
    pub(super) process: Option<Process>,
    /// Its newest report, perhaps from an earlier process.
    pub(super) report: ShardReport,
    restarts: Restarts,
    started: u64,
    start_at: Option<Instant>,
    reason: String,
    /// Whether one of its processes has ever reported.
    pub(super) was_up: bool,
    /// Whether its first process reported that it can't work, or could not be loaded or started.
    pub(super) failed_at_start: bool,
    /// Whether one of its processes has ended without cleaning up.
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
            failed_at_start: false,
            left_files: false,
        }
    }

    /// Requests a process at `at`, if there is none.
    pub(super) fn want_process(&mut self, at: Instant) {
        if self.process.is_none() {
            self.start_at = Some(self.start_at.map_or(at, |before| before.min(at)));
        }
    }

    /// Requests that there be no process.
    pub(super) fn want_none(&mut self) {
        self.start_at = None;
    }

    /// Starts a process, now or after a wait. The error is for a program that can't be run, now or later.
    pub(super) fn start(&mut self, launch: Launch<'_>, now: Instant) -> Result<(), NotStarted> {
        self.start_at = None;
        match Process::start(launch) {
            Ok(process) => {
                self.started += 1;
                self.process = Some(process);
                Ok(())
            }
            Err(error) => {
                let wait = self.restarts.ended(Duration::ZERO).max(Duration::from_secs(1));
                self.reason = error.to_string();
                tracing::error!("shard {}: {}", self.number, self.reason);
                self.start_at = Some(now + wait);
                if error.is_lasting() { Err(error) } else { Ok(()) }
            }
        }
    }

    /// Reads its process's messages and checks whether it has ended.
    pub(super) fn advance(&mut self, now: Instant) -> Option<Event> {
        if let Some(process) = &mut self.process {
            if let Some(report) = process.receive(now) {
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

    /// Schedules the restart of its process; returns the wait.
    pub(super) fn again(&mut self, ended: &Ended, reason: String, now: Instant) -> Duration {
        let wait = self.restarts.ended(ended.ran);
        self.reason = reason;
        self.start_at = Some(now + wait);
        wait
    }

    /// When to check again, if its process sends nothing.
    pub(super) fn next(&self) -> Option<Instant> {
        self.start_at
    }

    /// Its health, for the status.
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

    /// Whether it is as it should be: a process that reports, or none for a reason.
    pub(super) fn answers(&self, now: Instant) -> bool {
        self.process.as_ref().is_none_or(|process| !process.is_stuck(now))
    }

    /// The result of its first process.
    pub(super) fn beginning(&self) -> Beginning {
        match self {
            Self { was_up: true, .. } => Beginning::Up,
            _ if self.ids.is_empty() => Beginning::NotWanted,
            Self { failed_at_start: true, .. } => Beginning::Failed,
            _ => Beginning::Open,
        }
    }

    /// Whether one of its processes has ended, or could not be started.
    pub(super) fn has_ended(&self) -> bool {
        self.restarts.any()
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }
}
