//! Which GPU a camera gets, and which camera may retry one. Knows no driver.

use vas_config::GpuChoice;
use vas_media::{CudaDevice, GpuError};
use vas_status::GpuReport;

use vas_backoff::Cooldown;

use super::load::Load;
use super::report::Opened;

/// The GPUs of this host, by number.
#[derive(Debug)]
pub(super) struct Table {
    gpus: Vec<Gpu>,
    /// Chosen before all others.
    preferred: Option<usize>,
}

#[derive(Debug, Default)]
struct Gpu {
    cameras: u32,
    /// While it lasts no camera gets this GPU.
    cooldown: Cooldown,
    /// The error that started the cooldown.
    why: Option<GpuError>,
    /// Whether a camera is retrying this GPU; one at a time may.
    taken: bool,
    /// Engines that cameras with a decoder keep busy, and how many cameras that is.
    busy: f64,
    loads: u32,
    opened: Option<Opened>,
}

impl Table {
    pub(super) fn new(count: usize, preferred: Option<usize>) -> Self {
        Self { gpus: (0..count).map(|_| Gpu::default()).collect(), preferred }
    }

    /// The GPU for one more camera: the preferred one while it is usable, otherwise the usable one
    /// with the fewest cameras, the first of several.
    ///
    /// # Errors
    /// Why there is none; the GPUs in `refused` have rejected this camera already.
    pub(super) fn choose(
        &self,
        choice: GpuChoice,
        refused: &[usize],
        now_ns: u64,
    ) -> Result<usize, GpuError> {
        if let GpuChoice::Number(ordinal) = choice
            && ordinal >= self.gpus.len()
        {
            return Err(GpuError::NoSuchDevice { ordinal, count: self.gpus.len() });
        }
        let wanted = |gpu: usize| match choice {
            GpuChoice::Auto => true,
            GpuChoice::Number(number) => gpu == number,
            // Names none of them.
            GpuChoice::Node(_) => false,
        };
        let all = || self.gpus.iter().enumerate().filter(|(gpu, _)| wanted(*gpu));
        let well =
            all().filter(|(gpu, one)| one.cooldown.is_over(now_ns) && !refused.contains(gpu));
        let away = |gpu: usize| Some(gpu) != self.preferred;
        well.min_by_key(|(gpu, one)| (away(*gpu), one.cameras, *gpu))
            .map(|(gpu, _)| gpu)
            .ok_or_else(|| {
                let why = all().find_map(|(_, one)| one.why.clone());
                why.unwrap_or_else(|| GpuError::NoDevice { cause: "none is left to try".into() })
            })
    }

    pub(super) fn add(&mut self, gpu: usize) {
        self.gpus[gpu].cameras += 1;
    }

    pub(super) fn remove(&mut self, gpu: usize) {
        self.gpus[gpu].cameras = self.gpus[gpu].cameras.saturating_sub(1);
    }

    /// A GPU was opened, or still is open.
    pub(super) fn opened(&mut self, gpu: usize, device: &CudaDevice) {
        let opened = &mut self.gpus[gpu].opened;
        if !opened.as_ref().is_some_and(|opened| opened.is_of(device)) {
            *opened = Some(Opened::new(device));
        }
    }

    /// Counts a load, if it fits.
    pub(super) fn take_load(&mut self, gpu: usize, load: &Load) -> Result<(), GpuError> {
        let one = &mut self.gpus[gpu];
        load.check(gpu, one.busy, one.loads)?;
        one.busy += load.engines;
        one.loads += 1;
        Ok(())
    }

    pub(super) fn give_load_back(&mut self, gpu: usize, engines: f64) {
        let one = &mut self.gpus[gpu];
        one.loads = one.loads.saturating_sub(1);
        // Without what adding and subtracting leaves.
        one.busy = if one.loads == 0 { 0.0 } else { one.busy - engines };
    }

    /// The GPUs that have been opened.
    pub(super) fn report(&self) -> Vec<GpuReport> {
        let report = |gpu: &Gpu| Some(gpu.opened.as_ref()?.report(gpu.cameras, gpu.busy));
        self.gpus.iter().filter_map(report).collect()
    }

    #[cfg(test)]
    pub(super) fn cameras(&self) -> Vec<u32> {
        self.gpus.iter().map(|gpu| gpu.cameras).collect()
    }

    /// A GPU is unusable for now. The same error from several cameras counts once.
    pub(super) fn failed(&mut self, gpu: usize, why: &GpuError, now_ns: u64) {
        let gpu = &mut self.gpus[gpu];
        if gpu.cooldown.is_over(now_ns) {
            gpu.cooldown.failed(now_ns);
        }
        gpu.why = Some(why.clone());
    }

    /// A GPU decodes.
    pub(super) fn works(&mut self, gpu: usize) {
        self.gpus[gpu].cooldown.reset();
        self.gpus[gpu].why = None;
    }

    /// Takes a GPU's turn, unless another camera has it.
    pub(super) fn take_turn(&mut self, gpu: usize) -> bool {
        !std::mem::replace(&mut self.gpus[gpu].taken, true)
    }

    pub(super) fn give_turn_back(&mut self, gpu: usize) {
        self.gpus[gpu].taken = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use GpuChoice::{Auto, Number};

    fn lost(ordinal: usize) -> GpuError {
        GpuError::DeviceLost { ordinal, cause: "cuStreamQuery".into() }
    }

    #[test]
    fn the_gpu_with_the_fewest_cameras_is_given() {
        let mut table = Table::new(3, None);
        table.add(0);
        for expected in [1, 2, 0, 1, 2] {
            let gpu = table.choose(Auto, &[], 0).unwrap();
            assert_eq!(gpu, expected);
            table.add(gpu);
        }
        table.remove(2);
        assert_eq!(table.cameras(), [2, 2, 1]);
        assert_eq!(table.choose(Auto, &[], 0), Ok(2));
        assert_eq!(table.choose(Auto, &[2], 0), Ok(0));
        // A GPU that is named is given, however full.
        assert_eq!(table.choose(Number(1), &[], 0), Ok(1));
    }

    #[test]
    fn the_preferred_gpu_is_given_while_it_works() {
        let mut table = Table::new(3, Some(1));
        for _ in 0..4 {
            assert_eq!(table.choose(Auto, &[], 0), Ok(1));
            table.add(1);
        }
        assert_eq!(table.choose(Number(2), &[], 0), Ok(2));
        table.add(0);
        table.failed(1, &lost(1), 0);
        assert_eq!(table.choose(Auto, &[], 1), Ok(2));
    }

    #[test]
    fn a_gpu_number_out_of_range_is_reported() {
        let refused = Table::new(2, None).choose(Number(2), &[], 0);
        assert_eq!(refused, Err(GpuError::NoSuchDevice { ordinal: 2, count: 2 }));
        assert!(Table::new(0, None).choose(Auto, &[], 0).is_err());
    }

    #[test]
    fn a_lost_gpu_is_left_alone_however_many_cameras_tell() {
        let mut table = Table::new(2, None);
        for _ in 0..16 {
            table.failed(0, &lost(0), 0);
        }
        assert_eq!(table.choose(Auto, &[], 1), Ok(1));
        assert_eq!(table.choose(Number(0), &[], 1), Err(lost(0)));
        // The first wait is over; it fails again and waits longer.
        let after = 5_000_000_000;
        assert_eq!(table.choose(Number(0), &[], after), Ok(0));
        table.failed(0, &lost(0), after);
        assert!(table.choose(Number(0), &[], after + 9_000_000_000).is_err());
        table.works(0);
        assert_eq!(table.choose(Number(0), &[], after), Ok(0));
    }

    #[test]
    fn a_load_counts_while_it_is_held() {
        let mut table = Table::new(2, None);
        let load = Load { engines: 0.4, may: 1.0, words: String::new() };
        for _ in 0..2 {
            assert_eq!(table.take_load(0, &load), Ok(()));
        }
        assert!(matches!(table.take_load(0, &load), Err(GpuError::Busy { ordinal: 0, .. })));
        assert_eq!(table.take_load(1, &load), Ok(()));
        table.give_load_back(0, 0.4);
        assert_eq!(table.take_load(0, &load), Ok(()));
    }

    #[test]
    fn a_turn_is_one_cameras() {
        let mut table = Table::new(2, None);
        assert!(table.take_turn(0) && table.take_turn(1));
        assert!(!table.take_turn(0));
        table.give_turn_back(0);
        assert!(table.take_turn(0));
    }
}
