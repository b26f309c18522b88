//! Misuse: what the driver's documents, or this project, forbid.
//!
//! Each finding is one line `KIND: words`, kept in memory and, with `SIM_GPU_REPORT`, appended to a file at
//! once, so that a killed process leaves its findings.

use std::fmt;

use vas_sim_common::Findings;

use super::config::config;

/// The kinds of misuse that are detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A call from within a host function or stream callback.
    HostFunctionCall,
    /// A call on a thread, or in a section, that was marked as free of CUDA.
    ForbiddenThread,
    /// A decoder's surface used after its unmapping.
    UseAfterUnmap,
    /// Device memory used after it was freed.
    UseAfterFree,
    /// A handle used after its destruction.
    UseAfterDestroy,
    /// Work on a surface whose picture its stream does not wait for.
    UnorderedCopy,
    /// An access beyond the end of an allocation.
    OutOfBounds,
    /// An asynchronous copy to or from host memory that is not pinned.
    Pageable,
    /// A range pinned while part of it is.
    OverlappingRegistration,
    /// A range unpinned or freed while copies use it.
    UnregisterInUse,
    /// A range unpinned after its pages were returned to the system.
    UnregisterUnmapped,
    /// A surface unmapped while another stream's work reads it.
    UnmapInUse,
    /// A decoder or context destroyed while part of it is in use.
    DestroyInUse,
    /// PTX with our kernels that is not the checked-in one.
    OtherKernels,
    /// A kernel is given an address that is no device memory.
    IllegalAddress,
    /// A kernel is given 16-bit words at an odd address or pitch.
    Misaligned,
    /// A kernel is given a parameter or a grid that it does not allow.
    BadLaunch,
    /// Never released.
    Leak,
    /// No error: pinning or unpinning, which may stall the device, while copies run.
    PinDuringCopies,
}

impl Kind {
    /// Its name in a report.
    fn name(self) -> &'static str {
        match self {
            Self::HostFunctionCall => "host_function_call",
            Self::ForbiddenThread => "forbidden_thread",
            Self::UseAfterUnmap => "use_after_unmap",
            Self::UseAfterFree => "use_after_free",
            Self::UseAfterDestroy => "use_after_destroy",
            Self::UnorderedCopy => "unordered_copy",
            Self::OutOfBounds => "out_of_bounds",
            Self::Pageable => "pageable",
            Self::OverlappingRegistration => "overlapping_registration",
            Self::UnregisterInUse => "unregister_in_use",
            Self::UnregisterUnmapped => "unregister_unmapped",
            Self::UnmapInUse => "unmap_in_use",
            Self::DestroyInUse => "destroy_in_use",
            Self::OtherKernels => "other_kernels",
            Self::IllegalAddress => "illegal_address",
            Self::Misaligned => "misaligned",
            Self::BadLaunch => "bad_launch",
            Self::Leak => "leak",
            Self::PinDuringCopies => "pin_during_copies",
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
