//! The reader in C (`src/c`): its layout against golden bytes, and its behavior against a live writer.
//!
//! Everything is built and run four ways: by gcc, by clang, with sanitizers, and for aarch64 under QEMU.
//! Tests fail if one of them is missing: `scripts/setup.sh test` installs them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod build;
mod conformance;
mod driver;
mod epochs;
mod example;
mod forged;
mod golden;
mod hostile;
mod rig;
mod telemetry;
