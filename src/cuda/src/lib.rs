//! The NVIDIA driver's library: whether this host has it, and the functions that are called.
//!
//! One probe for all users of the driver. It knows none of them: decoding, downloading.
//!
//! - [`Driver::probe`] reports whether there is a driver with all functions that are called, and a device.
//!   What is missing is an answer, never a panic; cudarc's own look-ups panic.
//! - [`Kernels`] are those of `cuda/nv12.cu`, loaded into a context from their PTX. What prevents that is an answer, too.
//! - [`Functions`] return results as numbers ([`CudaError::code`]): a driver may return errors that are newer
//!   than this build, and cudarc's enum must not hold them.
//! - [`NvdecCaps::ask`] reports what a GPU's NVDEC decodes.

mod error;
mod functions;
mod kernels;
mod nvdec;
mod probe;

pub use error::{CudaError, Unavailable, code};
pub use functions::{Functions, KernelFunctions};
pub use kernels::{Kernels, NoKernels};
pub use nvdec::{CapsUnknown, Chroma, Format, Limits, NotDecoded, NvdecCaps, VideoCodec, Wanted};
pub use probe::Driver;
