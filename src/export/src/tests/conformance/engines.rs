//! The engines that are checked: the host's pool, a simulated GPU's and a simulated render node's.

use std::sync::Arc;

use vas_frame::{ClaimedSlot, PublishMeta};
use vas_media::{CudaDevice, Frame};
use vas_scale::{ColorInfo, Plan, Request};
use vas_sim_gpu::testing::Simulator;
use vas_sim_vaapi::testing::Simulator as NodeSimulator;
use vas_status::DropReason;

use super::super::nvdec::{Clip, Pictures};
use super::super::{decoded, share};
use super::SIZE;
use crate::copy_queue::CopyQueue;
use crate::cuda::{Completions, CudaCopyQueue};
use crate::download::{Account, Download};
use crate::engines::Engines;
use crate::host::{HostCopyQueue, Pool};
use crate::vaapi::{NodeCopyQueue, NodeEngines};

/// An engine, and what a test needs to drive it.
pub(super) trait UnderTest {
    type CopyQueue: Download;

    fn copy_queue(&mut self, account: Account) -> Self::CopyQueue;
    /// A picture of [`SIZE`].
    fn picture(&mut self) -> Frame;
    /// Holds all copies of this copy queue, or lets them end.
    fn hold(&self, copy_queue: &Self::CopyQueue, held: bool);
    /// A picture whose copy into a slot of [`SIZE`] fails.
    fn bad_picture(&mut self) -> Frame;
    /// Whether driver calls by this thread are reported as misuse.
    fn forbid_driver(&self, forbidden: bool);
    /// Pictures that the decoder has given out and not yet got back.
    fn pictures_out(&self) -> u64;
    /// Finishes what is in flight.
    fn stop(self);
}

/// The host's engine.
pub(super) struct OfHost {
    pool: Pool,
    frame: Frame,
    small: Frame,
}

impl OfHost {
    pub(super) fn start() -> Self {
        let one = |size| decoded(size, 1).1.remove(0);
        Self { pool: Pool::start().unwrap(), frame: one("320x192"), small: one("64x64") }
    }
}

impl UnderTest for OfHost {
    type CopyQueue = HostCopyQueue;

    fn copy_queue(&mut self, account: Account) -> HostCopyQueue {
        HostCopyQueue::new(Arc::new(CopyQueue::new(account)), self.pool.submitter())
    }

    fn picture(&mut self) -> Frame {
        share(&self.frame)
    }

    fn hold(&self, copy_queue: &HostCopyQueue, held: bool) {
        if held {
            copy_queue.copy_queue().schedule();
        } else {
            self.pool.submitter().enter(&copy_queue.copy_queue());
        }
    }

    fn bad_picture(&mut self) -> Frame {
        share(&self.small)
    }

    fn forbid_driver(&self, _: bool) {}

    fn pictures_out(&self) -> u64 {
        0
    }

    fn stop(self) {
        self.pool.stop();
    }
}

/// A simulated GPU's engine.
pub(super) struct OfGpu {
    simulator: Simulator,
    engines: Engines,
    pictures: Pictures,
    /// How pictures are scaled to [`SIZE`].
    plan: Option<Plan>,
    /// What makes a frame fail.
    fault: &'static str,
    _device: Arc<CudaDevice>,
}

/// A copy queue and what pictures are scaled by.
pub(super) struct Planned(CudaCopyQueue, Option<Plan>);

impl Download for Planned {
    type Permit = <CudaCopyQueue as Download>::Permit;

    fn admit(&self) -> Result<Self::Permit, DropReason> {
        self.0.scaling(self.1).admit()
    }

    fn submit(
        &self,
        permit: Self::Permit,
        frame: &mut Frame,
        slot: ClaimedSlot,
        meta: PublishMeta,
    ) {
        self.0.scaling(self.1).submit(permit, frame, slot, meta);
    }

    fn in_flight(&self) -> u32 {
        self.0.in_flight()
    }
}

impl OfGpu {
    pub(super) fn start(simulator: &Simulator) -> Self {
        Self::playing(simulator, &Clip::encode(SIZE))
    }

    /// Pictures of 10 bits.
    pub(super) fn in_ten_bits(simulator: &Simulator) -> Self {
        let fault = "cuLaunchKernel:1";
        Self { fault, ..Self::playing(simulator, &Clip::ten_bit(SIZE)) }
    }

    /// Pictures of 10 bits that are scaled.
    pub(super) fn scaled(simulator: &Simulator) -> Self {
        let size = (2 * SIZE.0, 2 * SIZE.1);
        let request = Request { width: Some(SIZE.0 as u32), ..Request::default() };
        let plan = Plan::new((size.0 as u32, size.1 as u32), request, ColorInfo::default());
        Self { plan: plan.ok(), ..Self::playing(simulator, &Clip::ten_bit(size)) }
    }

    fn playing(simulator: &Simulator, clip: &Clip) -> Self {
        let device = CudaDevice::open(0).unwrap();
        let pictures = Pictures::on_gpu(&device, clip);
        Self {
            simulator: *simulator,
            engines: Engines::new(Arc::default()),
            pictures,
            plan: None,
            fault: "cuMemcpy2DAsync_v2:2",
            _device: device,
        }
    }
}

impl UnderTest for OfGpu {
    type CopyQueue = Planned;

    fn copy_queue(&mut self, account: Account) -> Planned {
        let completions = Arc::new(Completions::new(account));
        Planned(self.engines.copy_queue(0, completions).unwrap(), self.plan)
    }

    fn picture(&mut self) -> Frame {
        self.pictures.next()
    }

    fn hold(&self, _: &Planned, held: bool) {
        self.simulator.set(&format!("hold_copies={}", u8::from(held)));
    }

    fn bad_picture(&mut self) -> Frame {
        let frame = self.pictures.next();
        self.simulator.set(&format!("fault={}:CUDA_ERROR_LAUNCH_FAILED", self.fault));
        frame
    }

    fn forbid_driver(&self, forbidden: bool) {
        self.simulator.forbid_this_thread(forbidden);
    }

    fn pictures_out(&self) -> u64 {
        self.simulator.level("maps")
    }

    fn stop(mut self) {
        self.engines.stop();
    }
}

/// A simulated render node's engine.
pub(super) struct OfNode {
    simulator: NodeSimulator,
    engines: NodeEngines,
    pictures: Pictures,
}

impl OfNode {
    pub(super) fn start(simulator: &NodeSimulator) -> Self {
        Self {
            simulator: *simulator,
            engines: NodeEngines::new(Arc::default()),
            pictures: Pictures::on_node(0, &Clip::encode(SIZE)),
        }
    }
}

impl UnderTest for OfNode {
    type CopyQueue = NodeCopyQueue;

    fn copy_queue(&mut self, account: Account) -> NodeCopyQueue {
        self.engines.copy_queue(128, account).unwrap().unwrap()
    }

    fn picture(&mut self) -> Frame {
        self.pictures.next()
    }

    fn hold(&self, _: &NodeCopyQueue, held: bool) {
        self.simulator.set(&format!("hold_pictures={}", u8::from(held)));
    }

    fn bad_picture(&mut self) -> Frame {
        let frame = self.pictures.next();
        self.simulator.set("fault=vaGetImage:1:VA_STATUS_ERROR_OPERATION_FAILED");
        frame
    }

    fn forbid_driver(&self, forbidden: bool) {
        self.simulator.forbid_this_thread(forbidden);
    }

    /// Images that are not released. A surface that did not come back would be missing: there are fewer than a check
    /// decodes.
    fn pictures_out(&self) -> u64 {
        self.simulator.level("images") + self.simulator.level("mapped")
    }

    fn stop(mut self) {
        self.engines.stop();
    }
}
