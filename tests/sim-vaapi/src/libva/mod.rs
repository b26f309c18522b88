//! The interface between libva and its driver: structures, display, entry point.

pub(crate) mod abi;
mod display;
mod init;
