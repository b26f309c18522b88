//! The decoder API, `libnvcuvid.so.1`, as far as FFmpeg 5.1 uses it: the parser and the source are not.

pub(crate) mod abi;
mod caps;
pub(crate) mod decoder;
pub(crate) mod lock;
mod map;
mod picture;
mod stubs;
