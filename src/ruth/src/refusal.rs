//! Why an agent refused an event.

use alloc::string::String;
use core::fmt;

use crate::id::{CameraId, ModelId};
use crate::state::AgentState;

/// Why an agent refused an event. The agent is unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The agent's state does not allow the event.
    State {
        /// The camera.
        camera: CameraId,
        /// The agent's state.
        state: AgentState,
        /// The refused event, as a verb.
        event: &'static str,
    },
    /// The agent was poisoned before.
    AgentPoisoned {
        /// The camera.
        camera: CameraId,
        /// The reason given then.
        why: String,
    },
    /// The subscription was poisoned before.
    SubscriptionPoisoned {
        /// The camera.
        camera: CameraId,
        /// The model.
        model: ModelId,
        /// The reason given then.
        why: String,
    },
    /// The model is already subscribed to this camera.
    DuplicateSubscription {
        /// The camera.
        camera: CameraId,
        /// The model.
        model: ModelId,
    },
    /// The model is not subscribed to this camera.
    UnknownSubscription {
        /// The camera.
        camera: CameraId,
        /// The model.
        model: ModelId,
    },
    /// The binding belongs to another camera.
    OtherCamera {
        /// The camera.
        camera: CameraId,
        /// The path of the binding.
        path: String,
    },
    /// The binding's epoch is not after the bound one.
    OldEpoch {
        /// The camera.
        camera: CameraId,
        /// The epoch that the agent is bound to.
        bound: u64,
        /// The epoch of the refused binding.
        offered: u64,
    },
}

impl Refusal {
    /// The reason in a word or two, as in the table of events.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::State { state: AgentState::Created, .. } => "is Created",
            Self::State { state: AgentState::Running, .. } => "is Running",
            Self::State { state: AgentState::Stopped, .. } => "is Stopped",
            Self::AgentPoisoned { .. } => "agent poisoned",
            Self::SubscriptionPoisoned { .. } => "subscription poisoned",
            Self::DuplicateSubscription { .. } => "duplicate",
            Self::UnknownSubscription { .. } => "unknown",
            Self::OtherCamera { .. } => "other camera",
            Self::OldEpoch { .. } => "old epoch",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State { camera, state, event } => {
                write!(f, "can't {event}: the agent of camera {camera} is {state}")
            }
            Self::AgentPoisoned { camera, why } => {
                write!(f, "the agent of camera {camera} is poisoned: {why}")
            }
            Self::SubscriptionPoisoned { camera, model, why } => {
                write!(f, "the subscription of model {model} to camera {camera} is poisoned: {why}")
            }
            Self::DuplicateSubscription { camera, model } => {
                write!(f, "model {model} is already subscribed to camera {camera}")
            }
            Self::UnknownSubscription { camera, model } => {
                write!(f, "model {model} is not subscribed to camera {camera}")
            }
            Self::OtherCamera { camera, path } => {
                write!(
                    f,
                    "{path} is not the export of camera {camera}: expected a path that ends in its id"
                )
            }
            Self::OldEpoch { camera, bound, offered } => {
                write!(
                    f,
                    "camera {camera} is bound to epoch {bound}; epoch {offered} is not after it"
                )
            }
        }
    }
}

impl core::error::Error for Refusal {}
