//! Waits for processes to end, with a limit.

use std::process::{Child, Command, Output};

use crate::waiting;

/// A process whose end can be awaited.
pub trait Outcome {
    /// Waits for the end; returns the output and the exit status.
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
