//! Attacks on the frame path: each rule of P1 and P2 against a process that tries to break it.
//!
//! Parts of an attack that need a process of their own (to be killed, to be another user, to have little
//! memory) run in this same binary, see [`part`]. Most attacks need root on Linux, as in CI; without it
//! they fail with a message instead of passing untested.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash;
mod epochs;
mod lease;
mod locks;
mod memory;
mod part;
mod planted;
mod rig;
mod second_writer;
mod sizes;
mod syscalls;
mod users;
