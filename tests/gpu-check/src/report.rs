//! What was found, as JSON and as Markdown.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

/// The whole report.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Whether the driver is `tests/sim-gpu`: the figures then say nothing of a GPU.
    pub(crate) simulated: bool,
    /// The version of `vas`.
    pub(crate) vas: String,
    /// Facts about the host, in order.
    pub(crate) host: Vec<(String, String)>,
    /// What was checked, in order.
    pub(crate) checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    /// What is claimed.
    pub(crate) name: &'static str,
    pub(crate) outcome: Outcome,
    /// Seconds that it took.
    pub(crate) took_s: f64,
    /// The finding, as the report prints it.
    pub(crate) notes: Vec<String>,
    /// What was measured.
    pub(crate) figures: Vec<Figure>,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// The notes say why.
    NotRun,
}

/// One measured figure.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

/// What a check found so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) notes: Vec<String>,
    pub(crate) figures: Vec<Figure>,
}

impl Findings {
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(crate) fn figure(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.figures.push(Figure { name: name.into(), value, unit });
    }
}

impl Report {
    pub(crate) fn has_failed(&self) -> bool {
        self.checks.iter().any(|check| check.outcome == Outcome::Failed)
    }

    /// Writes `gpu-check.json` and `gpu-check.md`.
    pub(crate) fn write(&self, dir: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(dir)?;
        std::fs::write(dir.join("gpu-check.json"), serde_json::to_string_pretty(self)? + "\n")?;
        std::fs::write(dir.join("gpu-check.md"), self.to_markdown())
    }

    fn to_markdown(&self) -> String {
        let mut text = String::from("# GPU check\n\n");
        if self.simulated {
            text +=
                "**Simulated**: the driver is tests/sim-gpu. No figure says anything of a GPU.\n\n";
        }
        text += "| | |\n|---|---|\n";
        for (name, value) in &self.host {
            writeln!(text, "| {name} | {value} |").expect("a string");
        }
        writeln!(text, "| vas | {} |", self.vas).expect("a string");
        let mark = if self.simulated { "simulated: " } else { "" };
        text += "\n| check | outcome | seconds |\n|---|---|---|\n";
        for Check { name, outcome, took_s, .. } in &self.checks {
            writeln!(text, "| {name} | {mark}{} | {took_s:.1} |", outcome.words())
                .expect("a string");
        }
        for Check { name, notes, figures, .. } in &self.checks {
            if notes.is_empty() && figures.is_empty() {
                continue;
            }
            writeln!(text, "\n## {name}\n").expect("a string");
            for note in notes {
                writeln!(text, "- {note}").expect("a string");
            }
            for Figure { name, value, unit } in figures {
                writeln!(text, "- {mark}{name}: {value:.3} {unit}").expect("a string");
            }
        }
        text
    }
}

impl Outcome {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "**failed**",
            Self::NotRun => "not run",
        }
    }
}
