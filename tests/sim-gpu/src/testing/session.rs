//! Devices configured for a program, or for the calling test in its own process.

use std::any::type_name_of_val;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use vas_sim_common::control::Control;
use vas_sim_common::testing::{Devices, is_child, prefer_libraries, run_child, test_name};

use super::{CallRecord, Report, Simulator, library_dir};

/// Names the test that a child process runs.
const CHILD: &str = "SIM_GPU_CHILD_TEST";

/// The configuration of simulated devices: `SIM_GPU_*` without the prefix, in lower case.
#[derive(Clone, Debug, Default)]
pub struct SimulatedGpu {
    settings: Vec<(String, String)>,
    /// Kinds of misuse that the test expects.
    allowed: Vec<&'static str>,
}

/// Simulated devices in use, with a log, a report and a control file.
#[derive(Debug)]
pub struct Session {
    settings: Vec<(String, String)>,
    control: Control,
    dir: TempDir,
}

/// The results of a test's child process.
#[derive(Debug)]
pub struct ChildRun {
    /// The device's findings.
    pub report: Report,
    /// The logged calls.
    pub calls: Vec<CallRecord>,
}

impl SimulatedGpu {
    /// One device, seed 1, no delays, no faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes a setting, for example `devices`, `seed`, `decode_us`, `fault`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.settings.push((format!("SIM_GPU_{}", key.to_uppercase()), value.to_string()));
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
    /// If the directory for log and report can't be created.
    pub fn start(self) -> Session {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let control = Control::create(&dir.path().join("control")).expect("a control file");
        Session { settings: self.settings, control, dir }
    }

    /// Runs `body` in a process of its own, which has these devices: the calling test, run again.
    ///
    /// In the child the result is None, and the test must return; in the parent it is the child's results.
    /// `body` must be a closure in the test function itself, because its type name contains the test's name.
    ///
    /// # Panics
    /// If the child fails or used no device.
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
        assert!(report.ran(), "{test} ran without a simulated device\n{output}");
        Some(ChildRun { report, calls: session.calls() })
    }

    /// As [`in_child`](Self::in_child), for a test that asserts all else in `body`: the devices must find no
    /// misuse but the kinds that are [allowed](Self::allowing).
    ///
    /// # Panics
    /// When the child fails, used no device or misused one.
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
    /// Configures a program to use these devices.
    pub fn configure<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        prefer_libraries(command, &library_dir());
        command
            .env("SIM_GPU_LOG", self.dir.path().join("calls"))
            .env("SIM_GPU_REPORT", self.dir.path().join("report"))
            .env("SIM_GPU_CONTROL", self.dir.path().join("control"))
            .envs(self.settings.iter().map(|(key, value)| (key, value)))
    }

    /// Changes settings of running programs, one `key=value` per line, from each program's next
    /// call on.
    ///
    /// # Panics
    /// If the control file can't be written.
    pub fn change(&self, lines: &str) {
        self.control.write(lines).expect("the control file takes the settings");
    }

    /// The devices' findings so far.
    pub fn report(&self) -> Report {
        Report::parse(&read(&self.dir.path().join("report")))
    }

    /// The calls so far, of all programs.
    pub fn calls(&self) -> Vec<CallRecord> {
        let log = read(&self.dir.path().join("calls"));
        log.lines().filter_map(CallRecord::parse).collect()
    }
}

/// A missing file counts as empty: nothing was written.
fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
