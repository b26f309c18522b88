//! What a host has.

use std::path::{Path, PathBuf};
use std::thread;

use rustix::process::{Resource, getrlimit};
use serde::Serialize;
use vas_frame::{ExportError, MemoryLimit, memory_limits};

use crate::gpu::Gpu;

/// The memory that rings may take, and what else a plan is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The export directory, or the nearest folder above it that exists.
    pub dir: PathBuf,
    /// What limits the memory of rings, as admission asks for it.
    pub limits: Vec<MemoryLimit>,
    /// Processors that this process may run on.
    pub processors: Option<u32>,
    /// The most descriptors that a process may have, once it has raised its limit.
    pub descriptors: Option<u64>,
    /// Its GPU, or several of the same model.
    pub gpu: Option<Gpu>,
}

/// A limit as in the JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// What the memory is charged to.
    pub scope: String,
    /// Bytes left.
    pub free_bytes: u64,
}

impl Host {
    /// Asks this host. `dir` is the export directory, `nvidia` the folder of NVIDIA's driver in `/proc`, and
    /// `ring_bytes` what the rings of a running service hold, which counts as free.
    ///
    /// # Errors
    /// The system does not say how much memory is free.
    pub fn ask(dir: &Path, nvidia: &Path, ring_bytes: u64) -> Result<Self, ExportError> {
        let dir = dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(dir).to_owned();
        let mut limits = memory_limits(&dir)?;
        limits.iter_mut().for_each(|limit| limit.free = limit.free.saturating_add(ring_bytes));
        let processors = thread::available_parallelism().ok();
        Ok(Self {
            limits,
            dir,
            processors: processors.and_then(|count| u32::try_from(count.get()).ok()),
            descriptors: getrlimit(Resource::Nofile).maximum,
            gpu: gpu(nvidia),
        })
    }
}

/// The GPU that the driver lists. CUDA is not asked: that would create a context with threads and memory.
fn gpu(driver: &Path) -> Option<Gpu> {
    let cards = std::fs::read_dir(driver.join("gpus")).ok()?.flatten();
    let models: Vec<_> = cards
        .map(|card| {
            let text = std::fs::read_to_string(card.path().join("information")).unwrap_or_default();
            let model = text.lines().find_map(|line| line.strip_prefix("Model:"));
            Gpu::of_model(model.unwrap_or("unknown").trim())
        })
        .collect();
    let first = models.first()?;
    if models.iter().all(|gpu| gpu == first) {
        return Some(Gpu {
            count: u32::try_from(models.len()).unwrap_or(u32::MAX),
            ..first.clone()
        });
    }
    // Cameras are divided by count and not by what a GPU can do, so that a sum over different ones would mislead.
    let count = u32::try_from(models.len()).unwrap_or(u32::MAX);
    Some(Gpu { count, ..Gpu::of_model("different models") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_drivers_folder_names_the_gpus() {
        let driver = tempfile::tempdir().unwrap();
        assert_eq!(gpu(driver.path()), None);
        let card = |name: &str, model: &str| {
            let folder = driver.path().join("gpus").join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("information"), format!("Model: \t\t {model}\nIRQ: 1\n"))
                .unwrap();
        };
        card("0000:01:00.0", "NVIDIA L4");
        card("0000:02:00.0", "NVIDIA L4");
        let two = gpu(driver.path()).unwrap();
        assert_eq!((two.model.as_str(), two.count, two.engines), ("l4", 2, Some(4)));
        card("0000:03:00.0", "Tesla T4");
        let mixed = gpu(driver.path()).unwrap();
        assert_eq!((mixed.count, mixed.engines), (3, None));
    }

    #[test]
    fn a_folder_that_does_not_exist_yet_is_asked_by_the_one_above() {
        let dir = Path::new("/dev/shm/none/vas");
        let host = Host::ask(dir, Path::new("/none"), 0).unwrap();
        assert_eq!(host.dir, Path::new("/dev/shm"));
        assert!(host.limits.len() >= 2 && host.processors.is_some());
    }
}
