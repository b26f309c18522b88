//! Test support: a simulated NVIDIA device behind `libcuda.so.1` and `libnvcuvid.so.1`.
//!
//! The shared library of this crate is loaded by FFmpeg 5.1's NVDEC code and by cudarc 0.19 in place of
//! NVIDIA's. Nothing of a GPU is in it: pictures are noise that follows from the bitstream
//! ([`picture`]), delays are what a test asks for, and no figure taken on it says anything of real hardware.
//! It is there to show that a program calls the driver rightly: it orders work by streams and events as the
//! driver's documents promise and no more, fails where a test tells it to, logs calls and reports misuse.
//!
//! A test depends on this crate, which builds the library beside the test's binary, and runs itself anew in
//! a child process that finds it ([`testing::SimulatedGpu`]). Programs of their own are given its
//! environment ([`testing::Session::configure`]). The README says what the settings are.
//!
//! The device itself is in the private modules: `driver` is libcuda, `nvcuvid` is libnvcuvid, and `sim` what
//! each call of either goes through.

pub mod bitstream;
mod driver;
mod nvcuvid;
pub mod picture;
mod sim;
pub mod testing;
