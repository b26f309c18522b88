//! Test support: a simulated VA-API driver behind libva's own loader, and its render nodes.
//!
//! The shared library of this crate is both the driver (`sim_drv_video.so`) that libva loads, and a
//! replacement for `libva-drm.so.2` whose `vaGetDisplayDRM` takes an ordinary file for a render node. It
//! simulates no performance: pictures are noise derived from the bitstream ([`picture`]), delays are set by
//! a test, and measurements on it say nothing about real hardware. It checks that a program calls VA-API
//! correctly, fails where a test tells it to, logs calls and reports misuse.
//!
//! A test depends on this crate, which builds the library beside the test's binary, and runs itself again
//! in a child process that finds it ([`testing::SimulatedVaapi`]). Other programs get the environment from
//! [`testing::Session::configure`]. The README lists the settings.
//!
//! The driver is in the private modules: `libva` is the interface to libva, `driver` is what the driver
//! does, and `sim` is what every call passes through.

mod driver;
mod libva;
mod sim;
pub mod testing;

pub use vas_sim_common::{bitstream, picture};
