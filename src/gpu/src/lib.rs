//! CUDA's download engine: decoded surfaces of an NVIDIA GPU into the slots of frame rings.
//!
//! It has run only on the simulated device of `tests/sim-gpu`, never on a real GPU.
//!
//! - [`Driver::probe`], of `vas-cuda`, reports whether this host has a driver and a device. Anything that is
//!   missing is an answer.
//! - [`Engine`] serves one GPU: one thread queues copies and one publishes finished ones. Context and decode
//!   stream are borrowed from the decoder.
//! - [`GpuCopyQueue`] is one camera's queue: [`GpuCopyQueue::admit`] and [`GpuCopyQueue::submit`] never call the driver,
//!   wait or allocate, and make at most one system call, which wakes the engine.
//! - [`Surface`] is a decoder's picture. If it has 10 bits, or the slot another size, a kernel converts it on the GPU first
//!   ([`Kernels`]), so that only what the slot holds crosses the link.
//!
//! `docs/design/gpu.md` explains what orders what, and why.

mod convert;
mod copy_queue;
mod cuda;
mod engine;
mod guard;
mod job;
mod outcome;
mod permit;
mod reaper;
mod rings;
mod submitter;
mod worker;

pub use copy_queue::GpuCopyQueue;
pub use cudarc::driver::CudaStream;
pub use engine::{Engine, FindKernels, Setup};
pub use guard::OnPanic;
pub use job::{DevicePlane, Planes, Samples, Surface};
pub use outcome::{Failure, Outcome, Outcomes};
pub use permit::{NoPermits, NotAdmitted, Permit};
pub use rings::Status;
pub use vas_cuda::{CudaError, Driver, Kernels, NoKernels, Unavailable};
pub use worker::StartError;
