//! What the benches of the frame path share: measuring in turns, and a ring to measure on.
//!
//! The machines that these run on are small and noisy. Times of one run mean little on them; ratios of
//! times that were taken in turns, moments apart, mean something. [`Contest`] takes them so, and hands
//! them to criterion as well.

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
