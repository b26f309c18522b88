//! The test's side: where the libraries are, the child process of a test, what a device reported.

use std::process::Command;

mod child;
mod install;
mod library;
mod report;

pub use child::{is_child, run_child, test_name};
pub use install::{install, library, prefer_libraries};
pub use library::Library;
pub use report::{Misuse, Report};

/// Simulated devices in use: a program can be configured to have them.
pub trait Devices {
    /// Configures a program to use these devices.
    fn configure<'a>(&self, command: &'a mut Command) -> &'a mut Command;
}
