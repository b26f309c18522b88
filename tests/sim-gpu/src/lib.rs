//! Test support: a simulated NVIDIA device behind `libcuda.so.1` and `libnvcuvid.so.1`.
//!
//! The shared library of this crate is loaded by FFmpeg 5.1's NVDEC code and by cudarc 0.19 in place of
//! NVIDIA's. It simulates no GPU performance: pictures are noise derived from the bitstream ([`picture`]),
//! delays are set by a test, and measurements on it say nothing about real hardware. It checks that a
//! program calls the driver correctly: it orders work by streams and events exactly as far as the driver's
//! documents guarantee, fails where a test tells it to, logs calls and reports misuse.
//!
//! A test depends on this crate, which builds the library beside the test's binary, and runs itself again
//! in a child process that finds it ([`testing::SimulatedGpu`]). Other programs get the environment from
//! [`testing::Session::configure`]. The README lists the settings.
//!
//! The device is in the private modules: `driver` is libcuda, `nvcuvid` is libnvcuvid, and `sim` is what
//! every call of either passes through.

mod driver;
mod nvcuvid;
mod sim;
pub mod testing;

pub use vas_sim_common::{bitstream, picture};
