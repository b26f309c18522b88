//! A reader and its gate, and how to open them again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use vas_frame::{OpenError, ReadError, Reader};
use vas_gate::{Limit, State, decide};

use crate::errors;
use crate::rate::MaxRate;

/// How a camera was opened, so that another process can open it again.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) name: Arc<str>,
    pub(crate) dir: PathBuf,
    pub(crate) max_fps: MaxRate,
    pub(crate) every: bool,
    pub(crate) follow: bool,
    pub(crate) timeout: Option<Duration>,
    /// What the reader calls itself in the status.
    pub(crate) label: Arc<str>,
}

/// A reader and what the gate remembers.
pub(crate) struct Reading {
    pub(crate) reader: Reader,
    pub(crate) limit: Limit,
    pub(crate) gate: State,
    /// Whether the end of the writer was reported, and no frame has come since.
    pub(crate) gone: bool,
    /// Frames that were overwritten before they were copied.
    pub(crate) overwritten: u64,
    /// The process that opened the reader.
    pub(crate) pid: u32,
}

impl Options {
    pub(crate) fn open(&self, py: Python<'_>) -> PyResult<Box<Reading>> {
        self.try_open().map_err(|error| errors::open_error(py, error))
    }

    pub(crate) fn try_open(&self) -> Result<Box<Reading>, OpenError> {
        let mut options = Reader::options().dir(&self.dir).name(&*self.label);
        if let Some(rate) = self.max_fps.demand() {
            options = options.max_rate(rate);
        }
        let reader = options.open(&*self.name)?;
        Ok(Box::new(Reading {
            reader,
            limit: self.max_fps.limit(),
            gate: State::default(),
            gone: false,
            overwritten: 0,
            pid: std::process::id(),
        }))
    }
}

impl Reading {
    /// The next frame that the gate allows: the oldest one (`every`) or the newest.
    pub(crate) fn next_allowed(&mut self, every: bool) -> Result<vas_frame::Frame, ReadError> {
        let Self { reader, limit, gate, .. } = self;
        if !every {
            return reader.newer_if(|meta| decide(gate, limit, meta.into()).is_allow());
        }
        // Each call waits for as long as the reader's timeout: together they must not.
        let (start, timeout) = (Instant::now(), reader.timeout());
        loop {
            let frame = reader.next()?;
            if decide(gate, limit, frame.meta().into()).is_allow() {
                return Ok(frame);
            }
            if start.elapsed() >= timeout {
                return Err(ReadError::TimedOut { camera: reader.camera().clone(), timeout });
            }
        }
    }

    /// The newest frame. Waits, up to the reader's timeout, only if there is none.
    pub(crate) fn newest(&mut self) -> Result<vas_frame::Frame, ReadError> {
        match self.reader.latest() {
            Err(ReadError::NotYet { .. } | ReadError::TimedOut { .. }) => self.reader.newer(),
            Err(ReadError::WriterGone { .. }) if self.gone => self.reader.newer(),
            other => other,
        }
    }
}
