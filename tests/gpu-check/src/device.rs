//! The GPU itself, without the service.

use std::ffi::{CStr, c_void};
use std::time::Instant;

use cudarc::driver::CudaContext;
use cudarc::driver::sys;

use crate::Failure;
use crate::report::Findings;

/// Bytes of a copy, and copies of a round.
const COPY: usize = 64 << 20;
const COPIES: usize = 32;
const ROUNDS: usize = 3;

/// Whether the driver's library is here, and whether it is the simulator's.
pub(crate) fn is_simulated() -> Result<bool, Failure> {
    // SAFETY: only loads the library by its names.
    if !unsafe { sys::is_culib_present() } {
        return Err(Failure::NoDriver);
    }
    // SAFETY: the library is present; looks a name up, and calls nothing.
    let found = unsafe { sys::culib().get::<*const c_void>(b"sim_gpu_is_simulated\0") };
    Ok(found.is_ok())
}

/// The GPU's context.
pub(crate) fn open(gpu: u32) -> Result<std::sync::Arc<CudaContext>, Failure> {
    CudaContext::new(gpu as usize).map_err(|error| Failure::Wrong(format!("GPU {gpu}: {error}")))
}

/// Facts about the GPU, for the report.
pub(crate) fn facts(gpu: u32) -> Result<Vec<(String, String)>, Failure> {
    let wrong = |error| Failure::Wrong(format!("GPU {gpu}: {error}"));
    let context = open(gpu)?;
    let name = context.name().map_err(wrong)?;
    let (major, minor) = context.compute_capability().map_err(wrong)?;
    let memory = context.total_mem().map_err(wrong)?;
    let mut version = 0;
    // SAFETY: writes one integer.
    let _ = unsafe { sys::cuDriverGetVersion(&mut version) };
    let kernel_module = std::fs::read_to_string("/proc/driver/nvidia/version").unwrap_or_default();
    let module = kernel_module.lines().next().unwrap_or("unknown").trim().to_owned();
    Ok(vec![
        ("GPU".into(), format!("{gpu}, {name}")),
        ("compute capability".into(), format!("{major}.{minor}")),
        ("device memory".into(), format!("{} MiB", memory >> 20)),
        ("CUDA of the driver".into(), format!("{}.{}", version / 1000, version % 1000 / 10)),
        ("driver".into(), module),
    ])
}

/// Bytes a second of plain copies from the GPU into the driver's own pinned memory: the best of a few rounds.
pub(crate) fn pinned_peak(gpu: u32, findings: &mut Findings) -> Result<f64, Failure> {
    let wrong = |error| Failure::Wrong(format!("GPU {gpu}: {error}"));
    let context = open(gpu)?;
    let stream = context.new_stream().map_err(wrong)?;
    let source = stream.alloc_zeros::<u8>(COPY).map_err(wrong)?;
    // SAFETY: plain bytes, which are written by the first copy before anything reads them.
    let mut host = unsafe { context.alloc_pinned::<u8>(COPY) }.map_err(wrong)?;
    let mut best = 0.0_f64;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..COPIES {
            stream.memcpy_dtoh(&source, &mut host).map_err(wrong)?;
        }
        stream.synchronize().map_err(wrong)?;
        best = best.max((COPY * COPIES) as f64 / start.elapsed().as_secs_f64());
    }
    findings.figure("pinned copies to the host, peak", best / 1e9, "GB/s");
    Ok(best)
}

/// The processor's name and the system's.
pub(crate) fn host() -> Vec<(String, String)> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown", |(_, name)| name);
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let system = rustix::system::uname();
    let text = |part: &CStr| part.to_string_lossy().into_owned();
    vec![
        ("processors".into(), format!("{processors}, {model}")),
        ("system".into(), format!("{} {}", text(system.sysname()), text(system.release()))),
    ]
}
