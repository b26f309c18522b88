//! Ruth AI Core, phases 3.1 and 3.2: which models may have which frames of which cameras.
//!
//! - [`Registry`] holds exactly one [`StreamAgent`] for each camera. An agent is an entry, not a
//!   worker: it is Created, Running or Stopped, in this order only.
//! - An agent keeps one [`Subscription`] per model, each with its [`Limit`], and a
//!   [`FrameBinding`], which describes the camera's frame export and opens nothing.
//! - [`StreamAgent::decide`] returns a [`Verdict`] for one subscription and one frame, by metadata
//!   alone. It runs the checks that only an agent can make, then [`vas_gate::decide`].
//!
//! Nothing here reads a frame, dispatches one, runs a model, waits, retries or remembers a skip. There
//! is no I/O, thread or clock, and no means to get one: the crate has no `std`. Callers report failures
//! ([`StreamAgent::poison`], [`StreamAgent::poison_subscription`]); a failure stops one subscription or
//! one agent for good. `docs/ref/agent-events.md` lists the effect of each event in each state.
//!
//! ```
//! use ruth_core::{CameraId, FrameBinding, ModelId, Registry, Stamp};
//!
//! let (gate, people) = (CameraId::new("gate")?, ModelId::new("people")?);
//! let mut registry = Registry::default();
//! let agent = registry.create(gate)?;
//! agent.subscribe(people.clone(), "5".parse()?)?;
//! agent.bind(FrameBinding { path: "/dev/shm/vas/gate".into(), epoch: 1, width: 1920, height: 1080 })?;
//! agent.start()?;
//!
//! let frame = Stamp { epoch: 1, frame_id: 7, gate_ns: 0, published_ns: 0 };
//! assert!(agent.decide(&people, frame).is_allow());
//! // The frame is with the model now.
//! agent.record_dispatch(&people, frame)?;
//! assert_eq!(agent.decide(&people, frame).to_string(), "skip same_frame");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod agent;
mod binding;
mod id;
mod refusal;
mod registry;
mod state;
mod subscription;
mod verdict;

pub use agent::StreamAgent;
pub use binding::FrameBinding;
pub use id::{CameraId, InvalidId, ModelId};
pub use refusal::Refusal;
pub use registry::{Registry, RegistryError};
pub use state::AgentState;
pub use subscription::Subscription;
pub use vas_gate::{Limit, Stamp};
pub use verdict::{SkipReason, Verdict};
