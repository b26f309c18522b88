//! Pictures that a kernel converts before they are copied: 10-bit ones, and those whose slot has another size.
//!
//! A ring has device memory for one picture, in the layout of its slots. One serves all of its frames in flight: launches
//! and copies follow one another on the one copy stream, so a picture has been copied before the next one is written.

use std::sync::Arc;

use vas_cuda::{CudaError, NoKernels};
use vas_frame::Geometry;
use vas_scale::launch::{Addresses, Kernel, Launch, Pitches};
use vas_scale::{ColorInfo, Plan, Request};

use crate::cuda::{Gpu, Scratch, Stream};
use crate::engine::FindKernels;
use crate::job::{DevicePlane, Planes, Samples};
use crate::outcome::Failure;

/// Device memory for a converted picture of this geometry.
pub(crate) fn scratch_bytes(geometry: &Geometry) -> usize {
    geometry.picture_bytes() as usize
}

/// The conversion of a ring's frames.
pub(crate) struct Conversion {
    scratch: Scratch,
    /// The parameter of the last launch, and what it was made for. It is the same for all frames of an epoch.
    last: Option<(Key, Launch)>,
}

/// What a launch's parameter depends on, addresses aside.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    plan: Plan,
    pitches: Pitches,
}

/// How a picture is converted.
#[derive(Clone, Copy)]
pub(crate) struct Converted {
    plan: Plan,
    words: bool,
}

impl Converted {
    /// `None`: the picture is copied as it is.
    pub(crate) fn of(planes: &Planes, plan: Option<Plan>) -> Result<Option<Self>, Failure> {
        let words = planes.samples == Samples::Words;
        let plan = match plan {
            Some(plan) => plan,
            None if !words => return Ok(None),
            None => {
                let size = (planes.width, planes.height);
                let plan = Plan::new(size, Request::default(), ColorInfo::default());
                plan.map_err(|_| Failure::Size(size.0, size.1, size.0, size.1))?
            }
        };
        Ok(Some(Self { plan, words }))
    }
}

impl Conversion {
    /// Allocates device memory, and loads the kernels if that has not been done.
    pub(crate) fn new(
        gpu: &Arc<Gpu>,
        kernels: &FindKernels,
        bytes: usize,
    ) -> Result<Self, NoKernels> {
        let kernels = kernels()?;
        Ok(Self { scratch: Scratch::new(gpu, &kernels, bytes)?, last: None })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.scratch.len()
    }

    /// Queues the conversion of a picture; returns the planes of what comes of it. It has the slot's layout.
    pub(crate) fn queue(
        &mut self,
        stream: &Stream,
        from: &Planes,
        converted: Converted,
        geometry: &Geometry,
    ) -> Result<[DevicePlane; 2], CudaError> {
        let Converted { plan, words } = converted;
        let pitch = geometry.stride();
        let pitches = Pitches {
            source_luma: from.luma.pitch as u32,
            source_chroma: from.chroma.pitch as u32,
            output_luma: pitch,
            output_chroma: pitch,
        };
        let key = Key { plan, pitches };
        let mut launch = match self.last {
            Some((last, launch)) if last == key => launch,
            _ => Launch::new(&plan, pitches),
        };
        self.last = Some((key, launch));
        let luma = self.scratch.address();
        let chroma = luma + u64::from(geometry.uv_offset());
        launch.addresses = Addresses {
            source_luma: from.luma.address,
            source_chroma: from.chroma.address,
            output_luma: luma,
            output_chroma: chroma,
        };
        // SAFETY: the surface belongs to the job until the reaper has settled it, behind all that was queued for it, and
        // has the size of the plan (`Job::planes`). The scratch memory holds a picture of this geometry
        // (`Rings::prepare`), is freed only when no frame is in flight to the ring, and is used by this stream alone.
        unsafe { stream.launch(self.scratch.kernels(), Kernel::of(&plan, words), &launch)? };
        let plane = |address| DevicePlane { address, pitch: pitch as usize };
        Ok([plane(luma), plane(chroma)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_have_the_same_numbers_on_both_sides() {
        for kernel in Kernel::ALL {
            assert_eq!(vas_cuda::Kernels::NAMES[kernel as usize], kernel.name());
        }
    }
}
