//! Processes that end, within the limit.

use std::process::{Child, Command, Output};

use crate::waiting;

/// What has an outcome once it has ended.
pub trait Outcome {
    /// Waits for the end; what was printed, and how it ended.
    fn outcome(self) -> Output;
}

impl Outcome for &mut Command {
    fn outcome(self) -> Output {
        let _wait = waiting(format!("{self:?} to end"));
        self.output().unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }
}

impl Outcome for Child {
    fn outcome(self) -> Output {
        let _wait = waiting(format!("process {} to end", self.id()));
        self.wait_with_output().unwrap()
    }
}
