//! How long simulated work takes, and waiting for it.
//!
//! Waits look every half millisecond: settings arrive from other processes, which can't wake a thread here.

use std::time::{Duration, Instant};

use vas_sim_common::thread_name;

use super::config::config;
use super::control;
use super::misuse::remark;
use super::node::Node;
use super::status::Result;

const STEP: Duration = Duration::from_micros(500);

/// A delay of about `us`.
pub(crate) fn jittered(us: u64, node: &str) -> Duration {
    vas_sim_common::jittered(us, config().number("jitter_percent", node), config().seed)
}

/// Waits until a test releases the calls that hang. The report says when this one begins to.
pub(crate) fn until_released(function: &str) {
    let before = config().releases();
    remark(format_args!("{function} hangs on thread {}", thread_name()));
    while config().releases() == before {
        std::thread::sleep(STEP);
        control::poll();
    }
}

/// Waits until `is_done`.
///
/// # Errors
/// The node's status, once it is lost.
pub(crate) fn until(node: &Node, is_done: impl Fn() -> bool) -> Result {
    loop {
        node.health()?;
        if is_done() {
            return Ok(());
        }
        std::thread::sleep(STEP);
        control::poll();
    }
}

/// Lets a node work for a time.
///
/// # Errors
/// The node's status, once it is lost.
pub(crate) fn pause(node: &Node, time: Duration) -> Result {
    let end = Instant::now() + time;
    until(node, || Instant::now() >= end)
}
