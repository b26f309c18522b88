//! No core files: passwords and pictures stand in them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Forbids them to this process and to those that it starts. Also, readers learn of a crash when the kernel drops
/// the locks of the dead, which it does only after it has written a core file: 0.8 s for 600 MiB.
///
/// A limit of one byte forbids the file as a limit of none does, and the pipe to a program, such as
/// systemd-coredump, which no other limit does (`do_coredump` of Linux's fs/coredump.c).
pub(crate) fn forbid() {
    let maximum = getrlimit(Resource::Core).maximum;
    let least = Rlimit { current: Some(maximum.map_or(1, |most| most.min(1))), maximum };
    if let Err(error) = setrlimit(Resource::Core, least) {
        tracing::warn!("can't forbid core files: {error}; they hold passwords and pictures");
    }
}
