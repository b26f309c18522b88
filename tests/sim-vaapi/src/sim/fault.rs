//! Faults at the n-th call of a function, and the loss of a node, in the grammar of `vas_sim_common::fault`.
//!
//! `WHAT` is
//!
//! - `VA_STATUS_ERROR_...`: the call returns this; it does nothing, unless it releases something;
//! - `slow=US`: the call takes this many microseconds longer;
//! - `hang`: the call waits until a test sets `release`, then goes on.

use vas_sim_common::fault::{self, Faults};

use super::status::Status;

/// What a fault does to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Fail(Status),
    SlowBy(u64),
    Hang,
    LoseNode(Status),
}

/// The faults of this process.
pub(crate) static FAULTS: Faults<Effect> = Faults::new();

impl fault::Effect for Effect {
    type Device = String;
    const LOST: &'static str = "node_lost";

    fn parse(what: &str) -> Option<Self> {
        match what.split_once('=') {
            Some(("slow", us)) => us.parse().ok().map(Self::SlowBy),
            Some(_) => None,
            None if what == "hang" => Some(Self::Hang),
            None => Status::from_name(what).map(Self::Fail),
        }
    }

    fn lost(status: Option<&str>) -> Option<Self> {
        let status = status.map_or(Some(Status::OPERATION_FAILED), Status::from_name);
        status.map(Self::LoseNode)
    }
}
