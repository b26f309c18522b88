//! The states of an agent.

/// An agent's state. States follow in this order, with no way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AgentState {
    /// Can be prepared; allows nothing.
    Created,
    /// Decides on frames.
    Running,
    /// Allows nothing, for good.
    Stopped,
}
