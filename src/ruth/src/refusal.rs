//! Why an agent did not do what it was told.

use alloc::string::String;
use core::fmt;

use crate::id::{CameraId, ModelId};
use crate::state::AgentState;

/// Why an agent refused an event. It is then as it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The agent's state has no such event.
    State {
        /// The camera.
        camera: CameraId,
        /// The state that it is in.
        state: AgentState,
        /// What was to be done: a verb.
        event: &'static str,
    },
    /// Something went wrong with the agent before.
    AgentPoisoned {
        /// The camera.
        camera: CameraId,
        /// What.
        why: String,
    },
    /// Something went wrong with the subscription before.
    SubscriptionPoisoned {
        /// The camera.
        camera: CameraId,
        /// The model.
        model: ModelId,
        /// What.
        why: String,
    },
    /// The model is subscribed to this camera already.
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
    /// The binding is about another camera.
    OtherCamera {
        /// The camera.
        camera: CameraId,
        /// The path of the binding.
        path: String,
    },
    /// The binding is about an epoch that is over.
    OldEpoch {
        /// The camera.
        camera: CameraId,
        /// The epoch that it is bound to.
        bound: u64,
        /// That of the binding.
        offered: u64,
    },
}

impl Refusal {
    /// The reason in a word or two, as the table of events has it.
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
                write!(f, "the agent of camera {camera} was given up: {why}")
            }
            Self::SubscriptionPoisoned { camera, model, why } => {
                write!(
                    f,
                    "the subscription of model {model} to camera {camera} was given up: {why}"
                )
            }
            Self::DuplicateSubscription { camera, model } => {
                write!(f, "model {model} is subscribed to camera {camera} already")
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
