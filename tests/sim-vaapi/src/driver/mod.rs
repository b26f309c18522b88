//! What the driver does, behind the functions of libva's table.

pub(crate) mod buffer;
pub(crate) mod caps;
pub(crate) mod context;
pub(crate) mod display;
pub(crate) mod format;
pub(crate) mod image;
pub(crate) mod memory;
pub(crate) mod stubs;
pub(crate) mod surface;
