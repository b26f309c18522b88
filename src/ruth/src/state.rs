//! The states of an agent.

/// Where an agent is in its life. It goes on from each state to the next, and never back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AgentState {
    /// It can be prepared, and allows nothing.
    Created,
    /// It decides.
    Running,
    /// It allows nothing any more.
    Stopped,
}
