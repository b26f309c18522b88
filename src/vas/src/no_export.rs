//! In place of the frame path, in a build without the feature `frame-export`: no value of its types can be, and all
//! that only the tap needs is left out. `vas run` is then what it is with the flag off, and refuses the flag.
//!
//! Such a build is what "off" is measured against (contract F2).

#[path = "export/ages.rs"]
mod ages;
#[path = "export/facts.rs"]
mod facts;
#[path = "export/limits.rs"]
mod limits;

use std::sync::Arc;
use std::time::Instant;

use vas_frame::CameraId;
use vas_media::{DecoderKind, Frame, StreamInfo};

pub(crate) use ages::{AgeCounts, Ages};
pub(crate) use facts::ExportFacts;
pub(crate) use limits::EXTRA_SURFACES;

use crate::config::{Camera, Export};
use crate::pipeline::{Demand, Shown, Taker};

/// What can't be started.
#[derive(Debug)]
pub(crate) enum FramePath {}

/// The tap of no camera: nobody makes one.
#[derive(Debug)]
pub(crate) struct Tap;

impl FramePath {
    pub(crate) fn new(_: &Export) -> Self {
        unreachable!("`vas run` of a build without the feature `frame-export` refuses the flag")
    }

    pub(crate) fn look_after(&mut self, _: Instant) {
        match *self {}
    }

    pub(crate) fn refuse(&mut self, _: &str) {
        match *self {}
    }

    pub(crate) fn panics(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn add(
        &self,
        _: &Camera,
        _: &Arc<Shown>,
        _: &Arc<Demand>,
    ) -> (Tap, Arc<ExportFacts>) {
        match *self {}
    }

    pub(crate) fn remove(&self, _: &CameraId) {
        match *self {}
    }

    pub(crate) fn stop(self) {
        match self {}
    }
}

impl Taker for Tap {
    fn begin(&mut self, _: &StreamInfo, _: DecoderKind) {}

    fn take(&mut self, _: &mut Frame) {}
}

/// Removes nothing: nothing was exported.
pub(crate) fn sweep<'a>(_: &Export, _: impl IntoIterator<Item = &'a CameraId>) {}
