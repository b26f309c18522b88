//! Nodes configured for a program, or for the calling test in its own process.

use std::any::type_name_of_val;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use vas_sim_common::control::Control;
use vas_sim_common::testing::{Devices, is_child, prefer_libraries, run_child, test_name};

use super::{CallRecord, Report, Simulator, library_dir};

/// Names the test that a child process runs.
const CHILD: &str = "SIM_VA_CHILD_TEST";
/// The number of the first render node, as the kernel counts them.
const FIRST_NODE: usize = 128;

/// The configuration of simulated nodes: `SIM_VA_*` without the prefix, in lower case.
#[derive(Clone, Debug)]
pub struct SimulatedVaapi {
    nodes: usize,
    settings: Vec<(String, String)>,
    /// Kinds of misuse that the test expects.
    allowed: Vec<&'static str>,
}

/// Simulated nodes in use, with a log, a report and a control file.
#[derive(Debug)]
pub struct Session {
    settings: Vec<(String, String)>,
    control: Control,
    dir: TempDir,
}

/// The results of a test's child process.
#[derive(Debug)]
pub struct ChildRun {
    /// The driver's findings.
    pub report: Report,
    /// The logged calls.
    pub calls: Vec<CallRecord>,
}

impl Default for SimulatedVaapi {
    fn default() -> Self {
        Self { nodes: 1, settings: Vec::new(), allowed: Vec::new() }
    }
}

impl SimulatedVaapi {
    /// One node, seed 1, no delays, no faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes the number of nodes: `renderD128` and the following.
    #[must_use]
    pub fn nodes(mut self, count: usize) -> Self {
        self.nodes = count;
        self
    }

    /// Changes a setting, for example `seed`, `decode_us`, `fault`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.settings.push((format!("SIM_VA_{}", key.to_uppercase()), value.to_string()));
        self
    }

    /// Adds kinds of misuse that [`in_clean_child`](Self::in_clean_child) accepts.
    #[must_use]
    pub fn allowing(mut self, kinds: &[&'static str]) -> Self {
        self.allowed.extend(kinds);
        self
    }

    /// Prepares them for programs.
    ///
    /// # Panics
    /// If the directory for nodes, log and report can't be created.
    pub fn start(self) -> Session {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let control = Control::create(&dir.path().join("control")).expect("a control file");
        let session = Session { settings: self.settings, control, dir };
        std::fs::create_dir(session.nodes_dir()).expect("a directory for the nodes");
        for index in 0..self.nodes {
            File::create(session.node(index)).expect("a file for a node");
        }
        session
    }

    /// Runs `body` in a process of its own, which has these nodes: the calling test, run again.
    ///
    /// In the child the result is None, and the test must return; in the parent it is the child's results.
    /// `body` must be a closure in the test function itself, because its type name contains the test's name.
    ///
    /// # Panics
    /// If the child fails or used no node.
    pub fn in_child<F: FnOnce(&Simulator)>(self, body: F) -> Option<ChildRun> {
        let test = test_name(type_name_of_val(&body));
        if is_child(CHILD, test) {
            body(&Simulator::of_this_process());
            return None;
        }
        let session = self.start();
        let output = run_child(CHILD, test, |command| {
            session.configure(command);
        });
        let report = session.report();
        assert!(report.ran(), "{test} ran without a simulated node\n{output}");
        Some(ChildRun { report, calls: session.calls() })
    }

    /// As [`in_child`](Self::in_child), for a test that asserts all else in `body`: the driver must find no
    /// misuse but the kinds that are [allowed](Self::allowing).
    ///
    /// # Panics
    /// When the child fails, used no node or misused one.
    pub fn in_clean_child<F: FnOnce(&Simulator)>(self, body: F) {
        let allowed = self.allowed.clone();
        if let Some(run) = self.in_child(body) {
            run.report.assert_clean(&allowed);
        }
    }
}

impl Devices for Session {
    fn configure<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        self.configure(command)
    }
}

impl Session {
    /// Configures a program to use these nodes.
    pub fn configure<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let libraries = library_dir();
        prefer_libraries(command, &libraries);
        command
            .env("LIBVA_DRIVERS_PATH", &libraries)
            .env("LIBVA_DRIVER_NAME", "sim")
            .env("SIM_VA_NODES", self.nodes_dir())
            // Where VAS looks for render nodes, and for what the kernel says about them: nothing.
            .env("VAS_TEST_DRI_DIR", self.nodes_dir())
            .env("VAS_TEST_DRM_DIR", self.nodes_dir())
            .env("SIM_VA_LOG", self.dir.path().join("calls"))
            .env("SIM_VA_REPORT", self.dir.path().join("report"))
            .env("SIM_VA_CONTROL", self.dir.path().join("control"))
            .envs(self.settings.iter().map(|(key, value)| (key, value)))
    }

    /// The path of a node, from 0 on.
    pub fn node(&self, index: usize) -> PathBuf {
        node_in(&self.nodes_dir(), index)
    }

    /// The directory of the nodes.
    pub fn nodes_dir(&self) -> PathBuf {
        self.dir.path().join("dri")
    }

    /// Changes settings of running programs, one `key=value` per line, from each program's next
    /// call on.
    ///
    /// # Panics
    /// If the control file can't be written.
    pub fn change(&self, lines: &str) {
        self.control.write(lines).expect("the control file takes the settings");
    }

    /// The driver's findings so far.
    pub fn report(&self) -> Report {
        Report::parse(&read(&self.dir.path().join("report")))
    }

    /// The calls so far, of all programs.
    pub fn calls(&self) -> Vec<CallRecord> {
        let log = read(&self.dir.path().join("calls"));
        log.lines().filter_map(CallRecord::parse).collect()
    }
}

/// The path of a node, from 0 on, in the directory of nodes.
pub(super) fn node_in(dir: &Path, index: usize) -> PathBuf {
    dir.join(format!("renderD{}", FIRST_NODE + index))
}

/// A missing file counts as empty: nothing was written.
fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
