//! Misuse: what the driver's documents, or this project, forbid.
//!
//! Each finding is one line `KIND: words`, kept in memory and, with `SIM_GPU_REPORT`, appended to a file at
//! once, so that a killed process leaves its findings.

use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::sync::{LazyLock, Mutex};

use super::config::config;
use super::lock;

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
            Self::Leak => "leak",
            Self::PinDuringCopies => "pin_during_copies",
        }
    }
}

static FOUND: Mutex<Vec<String>> = Mutex::new(Vec::new());

static FILE: LazyLock<Option<File>> = LazyLock::new(|| {
    let path = config().report.as_ref()?;
    let open = File::options().create(true).append(true).open(path);
    Some(open.unwrap_or_else(|error| panic!("SIM_GPU_REPORT {}: {error}", path.display())))
});

/// Notes a misuse.
pub(crate) fn report(kind: Kind, words: fmt::Arguments<'_>) {
    let line = format!("{}: {words}", kind.name());
    write_line(&line);
    lock(&FOUND).push(line);
}

/// Writes a line to the file only, to show that the device was in use: `# ...`.
pub(crate) fn remark(words: fmt::Arguments<'_>) {
    write_line(&format!("# {words}"));
}

/// The findings since the last [`clear`].
pub(crate) fn found() -> Vec<String> {
    lock(&FOUND).clone()
}

/// Discards the findings; the file keeps them.
pub(crate) fn clear() {
    lock(&FOUND).clear();
}

fn write_line(line: &str) {
    if let Some(mut file) = FILE.as_ref() {
        // One write per line, so that appends of several processes do not mix.
        if let Err(error) = file.write_all(format!("{line}\n").as_bytes()) {
            eprintln!("simulated GPU: the report can't be written: {error}");
        }
    }
}
