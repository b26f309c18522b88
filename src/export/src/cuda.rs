//! A camera's way through a GPU's engine (`vas-gpu`), for frames whose picture is a surface of NVDEC's.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_queue::ArrayQueue;
use vas_frame::{ClaimedSlot, Stamp};
use vas_gpu::{
    DevicePlane, Engine, Failure, Lane, NoRoom, NotAdmitted, Outcome, Outcomes, Planes, Surface,
};
use vas_media::Frame;

use super::closer::Closing;
use super::download::{Account, Download};
use super::limits::MAX_IN_FLIGHT;
use crate::pipeline::DropReason;

/// A camera's way into the engine of one GPU.
#[derive(Debug)]
pub(super) struct CudaLane {
    device: usize,
    lane: Lane<Picture>,
    home: Arc<Home>,
}

/// Where empty frames wait to be used again, and where the last of a decoder is let go.
#[derive(Debug)]
struct Home {
    shells: ArrayQueue<Frame>,
    closing: Closing,
}

/// A place, and the empty frame that the picture moves into.
pub(super) struct Place {
    shell: Shell,
    place: vas_gpu::Place,
}

/// An empty frame, on loan.
struct Shell {
    frame: Option<Frame>,
    home: Arc<Home>,
}

/// A surface on its way: what keeps NVDEC from reusing it.
pub(super) struct Picture {
    _held: Shell,
    planes: Planes,
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Picture").field(&self.planes).finish()
    }
}

impl CudaLane {
    /// Takes a camera on.
    ///
    /// # Errors
    /// When the engine has as many cameras as it takes.
    pub(super) fn new(
        device: usize,
        engine: &Engine<Picture>,
        closing: Closing,
        told: Arc<Told>,
    ) -> Result<Self, NoRoom> {
        let lane = engine.lane(MAX_IN_FLIGHT, told)?;
        let shells = ArrayQueue::new(MAX_IN_FLIGHT as usize);
        while shells.push(Frame::new()).is_ok() {}
        Ok(Self { device, lane, home: Arc::new(Home { shells, closing }) })
    }

    pub(super) fn device(&self) -> usize {
        self.device
    }

    /// Whether it leads nowhere any more.
    pub(super) fn is_over(&self) -> bool {
        self.lane.is_over()
    }
}

impl Download for CudaLane {
    type Place = Place;

    fn admit(&self) -> Result<Place, DropReason> {
        let place = self.lane.admit().map_err(|why| match why {
            NotAdmitted::InFlight => DropReason::InFlight,
            NotAdmitted::DeviceLost => DropReason::GpuLost,
            NotAdmitted::Stopped => DropReason::NoExport,
        })?;
        // Who has a place finds a shell: it is back before its frame's place is.
        let frame = Some(self.home.shells.pop().ok_or(DropReason::InFlight)?);
        Ok(Place { shell: Shell { frame, home: Arc::clone(&self.home) }, place })
    }

    fn submit(&self, place: Place, frame: &mut Frame, slot: ClaimedSlot, stamp: Stamp) {
        let Place { mut shell, place } = place;
        // Without a surface it fits no slot, and is given up in words.
        let planes = planes_of(frame).unwrap_or(NO_PLANES);
        if let Some(held) = &mut shell.frame {
            held.take_from(frame);
        }
        self.lane.submit(place, Picture { _held: shell, planes }, slot, stamp);
    }

    fn in_flight(&self) -> u32 {
        self.lane.in_flight()
    }
}

impl Surface for Picture {
    fn planes(&self) -> Planes {
        self.planes
    }
}

impl Drop for Shell {
    /// On the reaper, for a picture: unmapping it is short, destroying a decoder is not.
    fn drop(&mut self) {
        let Some(mut frame) = self.frame.take() else { return };
        if frame.is_last_of_decoder() {
            self.home.closing.take(&mut frame);
        } else {
            frame.clear();
        }
        // There are as many places as shells.
        let _ = self.home.shells.push(frame);
    }
}

const NO_PLANES: Planes = {
    let none = DevicePlane { address: 0, pitch: 0 };
    Planes { width: 0, height: 0, luma: none, chroma: none }
};

fn planes_of(frame: &Frame) -> Option<Planes> {
    let surface = frame.surface()?;
    let plane =
        |plane: vas_media::DevicePlane| DevicePlane { address: plane.address, pitch: plane.pitch };
    let (width, height) = surface.size;
    Some(Planes { width, height, luma: plane(surface.luma), chroma: plane(surface.chroma) })
}

/// Is told what became of a camera's frames.
#[derive(Debug)]
pub(super) struct Told {
    account: Account,
    staged: AtomicBool,
}

impl Told {
    pub(super) fn new(account: Account) -> Self {
        Self { account, staged: AtomicBool::new(false) }
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// Whether the last frame came down into memory of the driver's first.
    pub(super) fn staged(&self) -> bool {
        self.staged.load(Ordering::Relaxed)
    }
}

impl Outcomes for Told {
    fn settled(&self, stamp: &Stamp, outcome: Outcome) {
        match outcome {
            Outcome::Published { at_ns, staged } => {
                self.staged.store(staged, Ordering::Relaxed);
                self.account.published(stamp, at_ns);
            }
            // The engine has said so, once for all cameras.
            Outcome::Failed(Failure::DeviceLost) => self.account.dropped(DropReason::GpuLost),
            Outcome::Failed(failure) => self.account.failed(&failure),
        }
    }
}
