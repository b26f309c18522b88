//! The process and its threads, from the kernel.

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use rustix::thread::{CpuSet, Pid};

/// Pins the calling thread to one processor.
pub fn pin_to(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    rustix::thread::sched_setaffinity(None, &set).expect("a thread may choose its processor");
}

/// The calling thread's id.
#[must_use]
pub fn thread_id() -> Pid {
    rustix::thread::gettid()
}

/// Whether a thread of this process sleeps in the kernel.
#[must_use]
pub fn asleep(thread: Pid) -> bool {
    let path = format!("/proc/self/task/{}/stat", thread.as_raw_nonzero());
    // The state follows the name, which is in brackets and may contain anything.
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
}

/// The threads of this process with this name, of which the kernel keeps 15 bytes.
#[must_use]
pub fn threads_named(name: &str) -> Vec<Pid> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("a process has threads");
    let named = tasks.flatten().filter(|task| {
        let comm = std::fs::read_to_string(task.path().join("comm"));
        comm.is_ok_and(|comm| comm.trim_end() == name)
    });
    let ids = named.filter_map(|task| task.file_name().to_str()?.parse().ok());
    ids.filter_map(Pid::from_raw).collect()
}

/// The processor time so far of this process's threads with this name.
#[must_use]
pub fn cpu_time_of(name: &str) -> Duration {
    let spent = threads_named(name).into_iter().map(|thread| {
        let path = format!("/proc/self/task/{}/schedstat", thread.as_raw_nonzero());
        let schedstat = std::fs::read_to_string(path).unwrap_or_default();
        // The first number is nanoseconds on a processor.
        schedstat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
    });
    Duration::from_nanos(spent.sum())
}

/// The processor time so far of the calling thread, without time spent preempted.
#[must_use]
pub fn own_cpu_time() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), u32::try_from(spent.tv_nsec).unwrap_or(0))
}

/// Restarts this process with these tunables, unless glibc already has them: it reads them once.
pub fn with_tunables(tunables: &str) {
    const NAME: &str = "GLIBC_TUNABLES";
    if std::env::var(NAME).is_ok_and(|set| set == tunables) {
        return;
    }
    let this = std::env::current_exe().expect("a process knows its own file");
    let error = Command::new(this).args(std::env::args_os().skip(1)).env(NAME, tunables).exec();
    panic!("can't start with {NAME}={tunables}: {error}");
}
