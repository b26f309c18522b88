//! The frame path, attacked: each promise of P1 and P2 against whoever would gain by breaking it.
//!
//! Parts of an attack that need a process of their own (to be killed, to be another user, to have little
//! memory) are played by this binary, see [`part`]. Most attacks need Linux as root has it in CI; where one
//! can't be made, it says so and fails rather than pass for nothing.

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
