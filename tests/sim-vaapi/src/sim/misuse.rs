//! Misuse: what VA-API's documents, or this project, forbid.
//!
//! Each finding is one line `KIND: words`, kept in memory and, with `SIM_VA_REPORT`, appended to a file at
//! once, so that a killed process leaves its findings.

use std::fmt;

use vas_sim_common::Findings;

use super::config::config;

/// The kinds of misuse that are detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A call on a thread, or in a section, that was marked as free of VA-API.
    ForbiddenThread,
    /// A second display opened for a node.
    SecondDisplay,
    /// An object used after its destruction.
    UseAfterDestroy,
    /// An object destroyed again.
    DoubleDestroy,
    /// An object used with another display.
    ForeignObject,
    /// A surface read before `vaSyncSurface` waited for its picture.
    UnsynchronisedRead,
    /// A surface decoded into while it is being read.
    OverwrittenWhileRead,
    /// A surface or image destroyed while it is being read.
    DestroyInUse,
    /// A buffer mapped while it is mapped.
    MappedTwice,
    /// A buffer unmapped that is not mapped.
    NotMapped,
    /// An image filled while it is mapped.
    FilledWhileMapped,
    /// A region beyond the surface or the image.
    OutOfBounds,
    /// Pictures begun, rendered and ended in the wrong order.
    WrongOrder,
    /// Never released.
    Leak,
}

impl Kind {
    /// Its name in a report.
    fn name(self) -> &'static str {
        match self {
            Self::ForbiddenThread => "forbidden_thread",
            Self::SecondDisplay => "second_display",
            Self::UseAfterDestroy => "use_after_destroy",
            Self::DoubleDestroy => "double_destroy",
            Self::ForeignObject => "foreign_object",
            Self::UnsynchronisedRead => "unsynchronised_read",
            Self::OverwrittenWhileRead => "overwritten_while_read",
            Self::DestroyInUse => "destroy_in_use",
            Self::MappedTwice => "mapped_twice",
            Self::NotMapped => "not_mapped",
            Self::FilledWhileMapped => "filled_while_mapped",
            Self::OutOfBounds => "out_of_bounds",
            Self::WrongOrder => "wrong_order",
            Self::Leak => "leak",
        }
    }
}

static FINDINGS: Findings = Findings::new(|| config().report.clone());

/// Notes a misuse.
pub(crate) fn report(kind: Kind, words: fmt::Arguments<'_>) {
    FINDINGS.report(kind.name(), words);
}

/// Writes a line to the file only, to show that the device was in use: `# ...`.
pub(crate) fn remark(words: fmt::Arguments<'_>) {
    FINDINGS.remark(words);
}

/// The findings since the last [`clear`].
pub(crate) fn found() -> Vec<String> {
    FINDINGS.found()
}

/// Discards the findings; the file keeps them.
pub(crate) fn clear() {
    FINDINGS.clear();
}
