//! Faults at the n-th call of a function, and the loss of a device, in the grammar of `vas_sim_common::fault`.
//!
//! `WHAT` is
//!
//! - `CUDA_ERROR_...`: the call does nothing and returns this;
//! - `async=CUDA_ERROR_...`: the call succeeds, its work fails on the stream and makes the context fail;
//! - `slow=US`: the call's work takes this many microseconds longer, or the call itself if it queues none.

use vas_sim_common::fault::{self, Faults};

use super::status::Status;

/// What a fault does to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Fail(Status),
    FailLater(Status),
    SlowBy(u64),
    LoseDevice(Status),
}

/// The faults of this process.
pub(crate) static FAULTS: Faults<Effect> = Faults::new();

impl fault::Effect for Effect {
    type Device = usize;
    const LOST: &'static str = "device_lost";

    fn parse(what: &str) -> Option<Self> {
        match what.split_once('=') {
            Some(("slow", us)) => us.parse().ok().map(Self::SlowBy),
            Some(("async", name)) => Status::from_name(name).map(Self::FailLater),
            Some(_) => None,
            None => Status::from_name(what).map(Self::Fail),
        }
    }

    fn lost(status: Option<&str>) -> Option<Self> {
        status.map_or(Some(Status::UNKNOWN), Status::from_name).map(Self::LoseDevice)
    }
}
