//! The NVIDIA driver's library: whether this host has it, and the functions of it that are called.
//!
//! It is one probe for all who use the driver, and knows none of them: decoding, downloading.
//!
//! - [`Driver::probe`] says whether there is a driver with all that is called, and a device. What is missing
//!   is an answer, never a panic; cudarc's own look-ups panic.
//! - [`Functions`] are called with results as numbers ([`CudaError::code`]): a driver may know errors that were
//!   not there when this was built, and cudarc's enum must not hold them.

mod error;
mod functions;
mod probe;

pub use error::{CudaError, Unavailable, code};
pub use functions::Functions;
pub use probe::Driver;
