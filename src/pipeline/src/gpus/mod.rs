//! The GPUs of this host: looked up when a camera may use one, shared by all that do.
//!
//! Nothing is loaded before the first camera that may decode on a GPU opens its decoder, whether or
//! not frames are exported.

mod load;
mod nodes;
mod report;
mod table;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vas_config::GpuChoice;
use vas_media::{CudaDevice, GpuError};
use vas_status::GpuReport;

pub(crate) use load::Load;
pub(crate) use nodes::{NodeAssignment, NodeTurn, Nodes};
use table::Table;

/// All GPUs, and the cameras on them.
#[derive(Debug, Default)]
pub struct Gpus {
    /// `None`: no camera has needed one, or there was no driver.
    table: Mutex<Option<Table>>,
    preferred: Option<usize>,
    /// Processes that divide every GPU with this one, itself included; 0 counts as 1.
    sharers: u32,
    said_absent: AtomicBool,
    nodes: Arc<Nodes>,
}

/// Counts a camera on a GPU as long as this lives.
#[derive(Debug)]
pub struct GpuAssignment {
    gpus: Arc<Gpus>,
    gpu: usize,
}

/// Counts the load of a camera on a GPU as long as this lives.
#[derive(Debug)]
pub(crate) struct LoadShare {
    gpus: Arc<Gpus>,
    gpu: usize,
    engines: f64,
}

/// The right of one camera to retry a GPU: no other may as long as this lives.
#[derive(Debug)]
pub struct Turn {
    gpus: Arc<Gpus>,
    gpu: usize,
}

impl Gpus {
    /// Cameras that name no GPU get `preferred` while it is usable. Without it, this process and the `sharers - 1`
    /// others divide each GPU; with it, each has a GPU of its own.
    pub fn new(preferred: Option<usize>, sharers: u32) -> Self {
        let sharers = if preferred.is_some() { 1 } else { sharers };
        Self { preferred, sharers, ..Self::default() }
    }

    /// So many GPUs, and render nodes of these drivers.
    #[cfg(test)]
    pub(crate) fn simulated(gpus: usize, nodes: &[&str]) -> Arc<Self> {
        let table = Mutex::new(Some(Table::new(gpus, None)));
        Arc::new(Self { table, nodes: Nodes::simulated(nodes), ..Self::default() })
    }

    /// A camera on a GPU, whose context is not opened.
    #[cfg(test)]
    pub(crate) fn assign_simulated(self: &Arc<Self>, gpu: usize) -> GpuAssignment {
        self.change(|table| table.add(gpu));
        GpuAssignment { gpus: Arc::clone(self), gpu }
    }

    /// How many cameras each GPU and each render node has.
    #[cfg(test)]
    pub(crate) fn cameras(&self) -> (Vec<u32>, Vec<u32>) {
        let gpus = self.lock().as_ref().map(Table::cameras).unwrap_or_default();
        (gpus, self.nodes.cameras())
    }

    /// Assigns a GPU to a camera, which keeps it: none of `refused`, which can't take the camera. The first camera of
    /// a GPU creates its context.
    ///
    /// # Errors
    /// Why none can be assigned.
    pub fn assign(
        self: &Arc<Self>,
        choice: GpuChoice,
        refused: &[usize],
        now_ns: u64,
    ) -> Result<(GpuAssignment, Arc<CudaDevice>), GpuError> {
        let mut refused = refused.to_vec();
        let mut why = None;
        loop {
            // Chosen and counted under one lock; opened without it, since that takes long.
            let assignment = self.with_table(|table| {
                let gpu = table.choose(choice, &refused, now_ns)?;
                table.add(gpu);
                Ok(GpuAssignment { gpus: Arc::clone(self), gpu })
            });
            let assignment = assignment.map_err(|none| why.take().unwrap_or(none))?;
            match assignment.device(now_ns) {
                Ok(device) => return Ok((assignment, device)),
                Err(error) => {
                    refused.push(assignment.gpu);
                    why = Some(error);
                }
            }
        }
    }

    /// The turn to retry the GPU that [`Gpus::assign`] would assign; `None` while another camera has it.
    ///
    /// # Errors
    /// Why there is no such GPU.
    pub fn turn(
        self: &Arc<Self>,
        choice: GpuChoice,
        now_ns: u64,
    ) -> Result<Option<Turn>, GpuError> {
        self.with_table(|table| {
            let gpu = table.choose(choice, &[], now_ns)?;
            Ok(table.take_turn(gpu).then(|| Turn { gpus: Arc::clone(self), gpu }))
        })
    }

    /// The GPUs that have been opened, for the status. Makes no driver call.
    pub fn report(&self) -> Vec<GpuReport> {
        self.lock().as_ref().map(Table::report).unwrap_or_default()
    }

    /// The render nodes, for VA-API.
    pub(crate) fn nodes(&self) -> Arc<Nodes> {
        Arc::clone(&self.nodes)
    }

    /// Whether this is the first report of a missing GPU.
    pub fn first_to_miss_one(&self) -> bool {
        !self.said_absent.swap(true, Ordering::Relaxed)
    }

    fn with_table<T>(
        &self,
        work: impl FnOnce(&mut Table) -> Result<T, GpuError>,
    ) -> Result<T, GpuError> {
        let mut table = self.lock();
        if table.is_none() {
            *table = Some(Table::new(CudaDevice::count()?, self.preferred));
        }
        work(table.get_or_insert_with(|| Table::new(0, None)))
    }

    /// For what was counted before: an assignment or a turn exists, so the table does.
    fn change(&self, change: impl FnOnce(&mut Table)) {
        if let Some(table) = self.lock().as_mut() {
            change(table);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Table>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GpuAssignment {
    pub fn gpu(&self) -> usize {
        self.gpu
    }

    /// The GPU, initialised unless it is in use already.
    ///
    /// # Errors
    /// Why it can't be used. All cameras then avoid it for a while.
    pub fn device(&self, now_ns: u64) -> Result<Arc<CudaDevice>, GpuError> {
        let device = CudaDevice::open(self.gpu).inspect_err(|error| self.failed(error, now_ns))?;
        self.gpus.change(|table| table.opened(self.gpu, &device));
        Ok(device)
    }

    /// Processes that divide this GPU.
    pub(crate) fn sharers(&self) -> u32 {
        self.gpus.sharers
    }

    /// Counts a load on the GPU, if it fits.
    ///
    /// # Errors
    /// [`GpuError::Busy`].
    pub(crate) fn take_load(&self, load: &Load) -> Result<LoadShare, GpuError> {
        let taken = self.gpus.with_table(|table| table.take_load(self.gpu, load));
        taken.map(|()| LoadShare {
            gpus: Arc::clone(&self.gpus),
            gpu: self.gpu,
            engines: load.engines,
        })
    }

    /// The GPU is unusable for now.
    pub fn failed(&self, why: &GpuError, now_ns: u64) {
        self.gpus.change(|table| table.failed(self.gpu, why, now_ns));
    }

    /// The GPU decodes.
    pub fn works(&self) {
        self.gpus.change(|table| table.works(self.gpu));
    }
}

impl Drop for GpuAssignment {
    fn drop(&mut self) {
        self.gpus.change(|table| table.remove(self.gpu));
    }
}

impl Drop for LoadShare {
    fn drop(&mut self) {
        self.gpus.change(|table| table.give_load_back(self.gpu, self.engines));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.gpus.change(|table| table.give_turn_back(self.gpu));
    }
}
