//! The driver API, `libcuda.so.1`, as far as FFmpeg 5.1 and cudarc 0.19 use it.

pub(crate) mod context;
pub(crate) mod copy;
pub(crate) mod device;
pub(crate) mod event;
pub(crate) mod host;
pub(crate) mod kernels;
pub(crate) mod memory;
pub(crate) mod module;
pub(crate) mod order;
pub(crate) mod primary;
pub(crate) mod stream;
mod stubs;
pub(crate) use stubs::not_supported;
