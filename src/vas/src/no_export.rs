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

/// There is no frame path. `vas run` has refused the flag before.
#[derive(Debug, thiserror::Error)]
#[error("this program was built without the feature `frame-export`")]
pub(crate) struct FramePathError;

impl FramePath {
    pub(crate) fn start(_: &Export) -> Result<Self, FramePathError> {
        Err(FramePathError)
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
