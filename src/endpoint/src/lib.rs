//! A producer's endpoint: its sockets and the state of its stream, which outlive the process that sends.
//!
//! The supervisor creates and keeps it, and passes it to each shard that is to send through it. Nothing here
//! sends by itself or has a thread.

#![forbid(unsafe_code)]

mod endpoint;
mod sockets;
mod stream_state;

pub use endpoint::{EndpointSlot, RtpEndpoint};
pub use sockets::{NotSent, Peer, Received, RtpSockets};
pub use stream_state::StreamState;
