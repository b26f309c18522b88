//! Disables core files, which would contain passwords and pictures.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Disables them for this process and those that it starts. Besides, readers learn of a crash when
/// the kernel drops a dead process's locks, which it does only after writing a core file: 0.8 s for
/// 600 MiB.
///
/// A limit of one byte prevents the file as a limit of zero does, and also the pipe to a program
/// such as systemd-coredump, which no other limit prevents (`do_coredump` of Linux's
/// fs/coredump.c).
pub(crate) fn forbid() {
    let maximum = getrlimit(Resource::Core).maximum;
    let least = Rlimit { current: Some(maximum.map_or(1, |most| most.min(1))), maximum };
    if let Err(error) = setrlimit(Resource::Core, least) {
        tracing::warn!("can't disable core files, which contain passwords and pictures: {error}");
    }
}
