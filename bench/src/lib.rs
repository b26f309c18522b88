//! Shared by the benches of the frame path: measuring in turns, and a ring to measure on.
//!
//! The machines that run these benches are small and noisy. Times of one run mean little on them;
//! ratios of times taken in turns, moments apart, are meaningful. [`Contest`] measures them that way,
//! and passes them to criterion too.

#![forbid(unsafe_code)]

mod contest;
mod distribution;
mod machine;
mod pictures;
mod rig;
mod service;
mod waiters;

pub use contest::{Contest, measure};
pub use distribution::Distribution;
pub use machine::{
    asleep, cpu_time_of, own_cpu_time, pin_to, thread_id, threads_named, with_tunables,
};
pub use pictures::{Memory, Pictures};
pub use rig::Rig;
pub use service::Service;
pub use waiters::{Waiters, wait_for_frame};
