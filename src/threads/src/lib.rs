//! The service's threads: each has an owner and a name, is woken by at most one system call, and is
//! stopped and joined.
//!
//! - [`OwnedThread`] is a thread that ends with its owner.
//! - [`EventCount`] lets workers sleep until there is work.
//! - [`caught`] keeps a panic from ending a thread.

#![forbid(unsafe_code)]

mod event_count;
mod owned;
mod panics;

pub use event_count::EventCount;
pub use owned::{OwnedThread, StopRequest};
pub use panics::caught;
