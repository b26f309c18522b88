//! One camera of a site: a reader that is opened again until there is something to read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use vas_frame::{Frame, OpenError, ReadError, WaitPoint};
use vas_gate::decide;
use vas_tensor::{Plan, PlanError, Request};

use crate::reading::{Options, Reading};

/// How often to look for a camera that is not exported.
const RETRY: Duration = Duration::from_millis(500);

/// A camera that published nothing for this long is quiet, not merely between two frames.
const QUIET: Duration = Duration::from_secs(2);

/// Why a camera has nothing to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It published no current frame, or none for [`QUIET`].
    Quiet,
    /// It is not exported, or the service stopped.
    Gone,
    /// Its newest frame is older than the caller allows.
    TooOld,
    /// Its newest frame was given before.
    Unchanged,
    /// The gate skips its newest frame.
    TooSoon,
    /// The frame was overwritten while it was read.
    Overwritten,
    /// No frame was published near the time that the others share.
    Apart,
    /// The export can't be read: its format, or a system call.
    Unreadable,
}

impl Why {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Gone => "gone",
            Self::TooOld => "too_old",
            Self::Unchanged => "unchanged",
            Self::TooSoon => "too_soon",
            Self::Overwritten => "overwritten",
            Self::Apart => "apart",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A camera of a site.
pub(crate) struct Member {
    pub(crate) options: Options,
    reading: Option<Box<Reading>>,
    /// Why there is no reader, and when it was last tried.
    closed: (Why, Option<Instant>),
    /// The plan of the last batch.
    plan: Option<Arc<Plan>>,
}

impl Member {
    pub(crate) fn new(options: Options) -> Self {
        Self { options, reading: None, closed: (Why::Gone, None), plan: None }
    }

    /// Opens the reader. Fails only for what opening again can't mend: an invalid argument.
    pub(crate) fn open(&mut self) -> Result<(), OpenError> {
        self.closed.1 = Some(Instant::now());
        match self.options.try_open() {
            Ok(reading) => self.reading = Some(reading),
            Err(error @ (OpenError::CameraId(_) | OpenError::MaxFps { .. })) => return Err(error),
            Err(OpenError::NoCamera { .. } | OpenError::NoWriter { .. }) => {
                self.closed.0 = Why::Gone;
            }
            Err(_) => self.closed.0 = Why::Unreadable,
        }
        Ok(())
    }

    /// Drops the reader, to be opened again in this process.
    pub(crate) fn reset(&mut self) {
        self.reading = None;
        self.closed.1 = None;
    }

    fn reading(&mut self) -> Result<&mut Reading, Why> {
        if self.reading.is_none() && self.closed.1.is_none_or(|tried| tried.elapsed() >= RETRY) {
            // Arguments were checked when the site was opened.
            let _ = self.open();
        }
        let why = self.closed.0;
        self.reading.as_deref_mut().ok_or(why)
    }

    /// What to wait for; `None` if there is no reader.
    pub(crate) fn wait_point(&self) -> Option<WaitPoint> {
        self.reading.as_ref().map(|reading| reading.reader.wait_point())
    }

    /// The id of the last frame that was given.
    pub(crate) fn cursor(&self) -> u64 {
        self.reading.as_ref().map_or(0, |reading| reading.reader.cursor())
    }

    /// The newest frame, if it was not given before and the gate allows it. Never waits.
    pub(crate) fn newest_allowed(&mut self) -> Result<Frame, Why> {
        let reading = self.reading()?;
        reading.reader.set_timeout(Duration::ZERO);
        let Reading { reader, limit, gate, .. } = reading;
        let mut skipped = false;
        let newer = reader.newer_if(|meta| {
            let allowed = decide(gate, limit, meta.into()).is_allow();
            skipped |= !allowed;
            allowed
        });
        match newer {
            Ok(frame) => Ok(frame),
            Err(_) if skipped => Err(Why::TooSoon),
            Err(ReadError::TimedOut { .. }) => Err(Why::Unchanged),
            Err(ReadError::NotYet { .. }) => Err(Why::Quiet),
            Err(ReadError::WriterGone { .. }) => Err(Why::Gone),
            Err(_) => Err(Why::Unreadable),
        }
    }

    /// What "unchanged" means for a frame that was given before.
    pub(crate) fn unless_quiet(&mut self, why: Why) -> Why {
        let Some(reading) = self.reading.as_deref_mut().filter(|_| why == Why::Unchanged) else {
            return why;
        };
        match reading.reader.peek() {
            Ok(frame) if published_ago(&frame) < QUIET => Why::Unchanged,
            _ => Why::Quiet,
        }
    }

    /// Records that the frame was given.
    pub(crate) fn given(&mut self, frame: &Frame) {
        if let Some(reading) = &mut self.reading {
            reading.gate.dispatched(frame.meta().into());
        }
    }

    /// Moves the cursor to a frame, unless it is there already or further.
    pub(crate) fn advance(&mut self, frame: &Frame) {
        if let Some(reading) = &mut self.reading
            && reading.reader.cursor() < frame.id()
        {
            reading.reader.seek(frame.id());
        }
    }

    /// Records that a frame was overwritten before it was read.
    pub(crate) fn overwritten(&mut self) {
        if let Some(reading) = &mut self.reading {
            reading.overwritten += 1;
        }
    }

    /// All current frames of the ring, oldest first. Never waits, and gives none of them.
    pub(crate) fn frames(&mut self) -> Result<Vec<Frame>, Why> {
        self.reading()?.reader.held().map_err(|error| match error {
            ReadError::WriterGone { .. } => Why::Gone,
            ReadError::TimedOut { .. } | ReadError::NotYet { .. } => Why::Quiet,
            _ => Why::Unreadable,
        })
    }

    /// The plan for a frame: the last one, if it suits.
    pub(crate) fn plan(
        &mut self,
        frame: &Frame,
        request: &Request,
    ) -> Result<Arc<Plan>, PlanError> {
        if let Some(plan) = &self.plan
            && plan.is_for(frame)
            && plan.request() == request
        {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(Plan::for_frame(frame, request)?);
        self.plan = Some(Arc::clone(&plan));
        Ok(plan)
    }
}

fn published_ago(frame: &Frame) -> Duration {
    let meta = frame.meta();
    // The age counts from the arrival, which precedes the publication.
    let delay = Duration::from_nanos(meta.published_ns.saturating_sub(meta.arrival_ns));
    meta.age().saturating_sub(delay)
}
