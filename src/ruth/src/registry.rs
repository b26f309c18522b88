//! All agents.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use core::fmt;

use crate::agent::StreamAgent;
use crate::id::CameraId;
use crate::state::AgentState;

/// The agents, at most one per camera, independent of each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Registry {
    agents: BTreeMap<CameraId, StreamAgent>,
}

/// Why the registry refused a request. The registry is unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryError {
    /// The camera already has its agent, in whatever state.
    DuplicateAgent {
        /// The camera.
        camera: CameraId,
    },
    /// The camera has no agent.
    UnknownAgent {
        /// The camera.
        camera: CameraId,
    },
    /// The agent is Running: stop it before you remove it.
    StillRunning {
        /// The camera.
        camera: CameraId,
    },
}

impl Registry {
    /// Adds the agent of a camera, in the state Created.
    ///
    /// # Errors
    /// [`RegistryError::DuplicateAgent`].
    pub fn create(&mut self, camera: CameraId) -> Result<&mut StreamAgent, RegistryError> {
        match self.agents.entry(camera) {
            Entry::Vacant(place) => {
                let agent = StreamAgent::new(place.key().clone());
                Ok(place.insert(agent))
            }
            Entry::Occupied(there) => {
                Err(RegistryError::DuplicateAgent { camera: there.key().clone() })
            }
        }
    }

    /// Removes and returns the agent of a camera, which can then get a new one.
    ///
    /// # Errors
    /// [`RegistryError::UnknownAgent`], [`RegistryError::StillRunning`].
    pub fn remove(&mut self, camera: &CameraId) -> Result<StreamAgent, RegistryError> {
        if let Some(agent) = self.agents.get(camera)
            && agent.state() == AgentState::Running
        {
            return Err(RegistryError::StillRunning { camera: camera.clone() });
        }
        self.agents
            .remove(camera)
            .ok_or_else(|| RegistryError::UnknownAgent { camera: camera.clone() })
    }

    /// The agent of a camera.
    #[must_use]
    pub fn agent(&self, camera: &CameraId) -> Option<&StreamAgent> {
        self.agents.get(camera)
    }

    /// The agent of a camera, to send it an event.
    #[must_use]
    pub fn agent_mut(&mut self, camera: &CameraId) -> Option<&mut StreamAgent> {
        self.agents.get_mut(camera)
    }

    /// All agents, by camera.
    pub fn agents(&self) -> impl Iterator<Item = &StreamAgent> {
        self.agents.values()
    }
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateAgent { camera } => {
                write!(
                    f,
                    "camera {camera} already has its stream agent; each camera has exactly one"
                )
            }
            Self::UnknownAgent { camera } => write!(f, "camera {camera} has no stream agent"),
            Self::StillRunning { camera } => {
                write!(f, "the agent of camera {camera} is Running; stop it before you remove it")
            }
        }
    }
}

impl core::error::Error for RegistryError {}
