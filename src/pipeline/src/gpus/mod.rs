//! The GPUs of this host: looked up when a camera may use one, shared by all that do.
//!
//! Nothing is loaded before the first camera that may decode on a GPU opens its decoder, whether or
//! not frames are exported.

mod table;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vas_config::GpuChoice;
use vas_media::{CudaDevice, GpuError};

use table::Table;

/// All GPUs, and the cameras on them.
#[derive(Debug, Default)]
pub struct Gpus {
    /// `None`: no camera has needed one, or there was no driver.
    table: Mutex<Option<Table>>,
    preferred: Option<usize>,
    said_absent: AtomicBool,
}

/// Counts a camera on a GPU as long as this lives.
#[derive(Debug)]
pub struct GpuAssignment {
    gpus: Arc<Gpus>,
    gpu: usize,
}

/// The right of one camera to retry a GPU: no other may as long as this lives.
#[derive(Debug)]
pub struct Turn {
    gpus: Arc<Gpus>,
    gpu: usize,
}

impl Gpus {
    /// Cameras that name no GPU get `preferred` while it is usable.
    pub fn preferring(preferred: Option<usize>) -> Self {
        Self { preferred, ..Self::default() }
    }

    /// Assigns a GPU to a camera, which keeps it. The first camera of a GPU creates its context.
    ///
    /// # Errors
    /// Why none can be assigned.
    pub fn assign(
        self: &Arc<Self>,
        choice: GpuChoice,
        now_ns: u64,
    ) -> Result<(GpuAssignment, Arc<CudaDevice>), GpuError> {
        let mut refused = Vec::new();
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
        CudaDevice::open(self.gpu).inspect_err(|error| self.failed(error, now_ns))
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

impl Drop for Turn {
    fn drop(&mut self) {
        self.gpus.change(|table| table.give_turn_back(self.gpu));
    }
}
