//! CUDA's download engine: decoded surfaces of an NVIDIA GPU into the slots of frame rings.
//!
//! It was run on the simulated device of `tests/sim-gpu` only, never on a real GPU.
//!
//! - [`Driver::probe`], of `vas-cuda`, says whether this host has a driver and a device. All that is missing is
//!   an answer.
//! - [`Engine`] is one GPU's: a thread that queues copies and one that publishes what has come down. Context
//!   and decode stream are borrowed from whoever decodes.
//! - [`CopyQueue`] is one camera's way in: [`CopyQueue::admit`] and [`CopyQueue::submit`] make no call of the driver, wait
//!   for nothing, allocate nothing, and make at most one system call, which wakes the engine.
//! - [`Surface`] is what a decoder gives out.
//!
//! `docs/design/gpu.md` says what orders what, and why.

mod copy_queue;
mod cuda;
mod engine;
mod error;
mod guard;
mod job;
mod outcome;
mod permit;
mod reaper;
mod rings;
mod status;
mod submitter;
mod worker;

pub use copy_queue::CopyQueue;
pub use cudarc::driver::CudaStream;
pub use engine::{Engine, Setup};
pub use error::StartError;
pub use guard::OnPanic;
pub use job::{DevicePlane, Planes, Surface};
pub use outcome::{Failure, Outcome, Outcomes};
pub use permit::{NoPermits, NotAdmitted, Permit};
pub use status::Status;
pub use vas_cuda::{CudaError, Driver, Unavailable};
