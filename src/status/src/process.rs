//! Identifies a process by its id and start time, since ids are reused.

use std::fs;

use serde::{Deserialize, Serialize};

/// A process of this host, for as long as it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its process id.
    pub pid: u32,
    /// Its start, in clock ticks since boot (`/proc/PID/stat`); `None` if `/proc` does not state
    /// it.
    pub start_ticks: Option<u64>,
}

impl ProcessId {
    /// This process.
    pub fn own() -> Self {
        let pid = std::process::id();
        Self { pid, start_ticks: start_ticks(pid) }
    }

    /// Whether it still runs, as far as this process can see. One in another container is
    /// invisible.
    pub fn runs(self) -> bool {
        match start_ticks(self.pid) {
            Some(now) => self.start_ticks.is_none_or(|then| then == now),
            None => false,
        }
    }
}

fn start_ticks(pid: u32) -> Option<u64> {
    start_ticks_in(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The 22nd field (proc_pid_stat(5)). The second, the name, may hold spaces and brackets.
fn start_ticks_in(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_and_one_of_another_start_does_not() {
        let own = ProcessId::own();
        assert!(own.start_ticks.is_some());
        assert!(own.runs());
        assert!(!ProcessId { start_ticks: own.start_ticks.map(|ticks| ticks + 1), ..own }.runs());
        assert!(!ProcessId { pid: u32::MAX, ..own }.runs());
    }

    #[test]
    fn a_name_may_hold_anything() {
        let fields: Vec<_> = (3..=52).map(|n| n.to_string()).collect();
        assert_eq!(start_ticks_in(&format!("7 (a) b) c) {}", fields.join(" "))), Some(22));
        assert_eq!(start_ticks_in("7 (a"), None);
    }
}
