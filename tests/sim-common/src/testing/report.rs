//! The misuse report, read back.

/// Findings that break no rule of any driver.
const NOTES: [&str; 1] = ["pin_during_copies"];

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misuse {
    /// For example `use_after_unmap`.
    pub kind: String,
    /// The details.
    pub words: String,
}

/// The findings of the simulated device.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Findings that break a rule.
    pub misuses: Vec<Misuse>,
    /// Findings that break none, but may stall a real device.
    pub notes: Vec<Misuse>,
    /// The device's own remarks: its start, losses, the totals at the end.
    pub remarks: Vec<String>,
}

impl Report {
    /// Reads a report.
    pub fn parse(text: &str) -> Self {
        let mut report = Self::default();
        for line in text.lines() {
            if let Some(remark) = line.strip_prefix("# ") {
                report.remarks.push(remark.into());
            } else if let Some((kind, words)) = line.split_once(": ") {
                let misuse = Misuse { kind: kind.into(), words: words.into() };
                let is_note = NOTES.contains(&kind);
                if is_note { &mut report.notes } else { &mut report.misuses }.push(misuse);
            }
        }
        report
    }

    /// Whether a simulated device was used at all; otherwise the report proves nothing.
    pub fn ran(&self) -> bool {
        self.remarks.iter().any(|remark| is_start(remark))
    }

    /// Whether every process that used one exited normally, so that leaks were checked.
    pub fn ended(&self) -> bool {
        let started = self.remarks.iter().filter(|remark| is_start(remark)).count();
        let ended = self.remarks.iter().filter(|remark| remark.starts_with("end of pid")).count();
        started == ended
    }

    /// How often a kind was found.
    pub fn count(&self, kind: &str) -> usize {
        self.misuses.iter().chain(&self.notes).filter(|misuse| misuse.kind == kind).count()
    }

    /// Asserts that the device ran to its end and found only the kinds in `allowed`.
    ///
    /// # Panics
    /// Otherwise, with the report.
    pub fn assert_clean(&self, allowed: &[&str]) {
        assert!(self.ran(), "no simulated device was used");
        assert!(self.ended(), "a process did not exit normally: {:#?}", self.remarks);
        let found = self.misuses.iter().filter(|m| !allowed.contains(&m.kind.as_str()));
        let found: Vec<_> = found.collect();
        assert!(found.is_empty(), "misuse of the simulated device: {found:#?}");
    }
}

/// `simulated GPU in pid 12: ...`
fn is_start(remark: &str) -> bool {
    remark.starts_with("simulated ") && remark.contains(" in pid ")
}
