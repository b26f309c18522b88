//! Shared by the benches of the frame path: measuring in turns, and a ring to measure on.
//!
//! The machines that run these benches are small and noisy. Times of one run mean little on them;
//! ratios of times taken in turns, moments apart, are meaningful. [`Contest`] measures them that way,
//! and passes them to criterion too.

#![forbid(unsafe_code)]

mod contest;
mod distribution;
mod machine;
mod options;
mod pace;
mod pages;
mod peaks;
mod pictures;
mod rig;
mod service;
pub mod sightings;
pub mod stamp;
mod turns;
mod waiters;

pub use contest::{Contest, measure};
pub use distribution::Distribution;
pub use machine::{
    asleep, cpu_time_of, own_cpu_time, pin_to, thread_id, threads_named, with_tunables,
};
pub use options::Options;
pub use pace::{CAMERAS, PERIOD, Pace};
pub use pages::{DECODER_POOL, HUGE_MALLOC, PagedCamera, Pages, huge_pages};
pub use peaks::Peaks;
pub use pictures::{Memory, Pictures};
pub use rig::Rig;
pub use service::Service;
pub use turns::{Shuffle, Turns};
pub use waiters::{Waiters, Woken, WokenWaiter, wait_for_frame};
