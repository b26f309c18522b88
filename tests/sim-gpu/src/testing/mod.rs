//! The test's side: configures the device, changes it at run time, reads its findings.
//!
//! ```no_run
//! # use vas_sim_gpu::testing::SimulatedGpu;
//! #[test]
//! fn a_launch_failure_is_counted() {
//!     let gpu = SimulatedGpu::new().set("fault", "cuMemcpy2DAsync_v2:3:CUDA_ERROR_LAUNCH_FAILED");
//!     let Some(run) = gpu.in_child(|simulator| {
//!         // The program under test; libcuda and libnvcuvid are the simulated ones here.
//!         assert_eq!(simulator.level("contexts"), 0);
//!     }) else {
//!         return;
//!     };
//!     run.report.assert_clean(&[]);
//! }
//! ```

mod calls;
mod install;
mod session;
mod simulator;

pub use calls::CallRecord;
pub use install::{library, library_dir};
pub use session::{ChildRun, Session, SimulatedGpu};
pub use simulator::{Kernel, Launch, Simulator};
pub use vas_sim_common::testing::{Devices, Misuse, Report};
