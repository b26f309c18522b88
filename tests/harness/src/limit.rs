//! Limits on the waits of tests, with messages.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

/// Longest wait for one event. Not a figure of the product: far beyond what a busy machine takes.
pub const LIMIT: Duration = Duration::from_secs(180);
/// How long a wait may continue after the thread's child processes are killed.
const END_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(200);

static WAITS: Mutex<Vec<Wait>> = Mutex::new(Vec::new());
static WATCHDOG: Once = Once::new();

struct Wait {
    number: u64,
    what: String,
    test: String,
    /// `/proc/PID/task/TID` of the waiting thread.
    task: PathBuf,
    until: Instant,
    limit: Duration,
    expired: bool,
}

/// A limited wait, until this is dropped.
#[derive(Debug)]
#[must_use = "the wait lasts as long as this"]
pub struct Waiting {
    number: u64,
}

/// Limits the time until the returned value is dropped: for a read from a child, its end, a message.
///
/// After [`LIMIT`] the child processes that this thread has started are killed, which ends such waits, and
/// the drop panics with `what` in its message. If the wait still continues, the whole test program is aborted
/// with a message.
pub fn waiting(what: impl Into<String>) -> Waiting {
    waiting_at_most(LIMIT, what)
}

/// The same with another limit, for a wait that covers many events.
pub fn waiting_at_most(limit: Duration, what: impl Into<String>) -> Waiting {
    let what = what.into();
    WATCHDOG.call_once(|| {
        let watchdog = std::thread::Builder::new().name("vas-limit".into());
        watchdog.spawn(watch).expect("a test can't run without its watchdog");
    });
    let thread = std::fs::read_link("/proc/thread-self").unwrap();
    let test = std::thread::current().name().unwrap_or("a thread").to_owned();
    let mut waits = waits();
    let number = waits.iter().map(|wait| wait.number + 1).max().unwrap_or(0);
    let (task, until) = (PathBuf::from("/proc").join(thread), Instant::now() + limit);
    waits.push(Wait { number, what, test, task, until, limit, expired: false });
    Waiting { number }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waits = waits();
        let Some(at) = waits.iter().position(|wait| wait.number == self.number) else { return };
        let wait = waits.swap_remove(at);
        drop(waits);
        if wait.expired && !std::thread::panicking() {
            panic!("waited {:?} for {}", wait.limit, wait.what);
        }
    }
}

fn waits() -> MutexGuard<'static, Vec<Wait>> {
    WAITS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch() {
    loop {
        std::thread::sleep(LOOK_EVERY);
        let now = Instant::now();
        let mut over = Vec::new();
        for wait in waits().iter_mut().filter(|wait| now >= wait.until) {
            // Bypasses the capture of the test program's output, which is lost when the program is
            // aborted.
            let Wait { test, limit, what, .. } = &*wait;
            let mut stderr = std::io::stderr();
            let _ = writeln!(stderr, "LIMIT: {test} has waited {limit:?} for {what}");
            if std::mem::replace(&mut wait.expired, true) {
                let _ = writeln!(
                    stderr,
                    "LIMIT: it still waits without its children; aborting the tests"
                );
                std::process::abort();
            }
            wait.until = now + END_WITHIN;
            over.push(wait.task.clone());
        }
        over.iter().for_each(|task| kill_children(task));
    }
}

fn kill_children(task: &Path) {
    let children = std::fs::read_to_string(task.join("children")).unwrap_or_default();
    for pid in children.split_whitespace() {
        let _ = Command::new("kill").args(["-KILL", pid]).status();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_beyond_its_limit_is_ended_and_named() {
        let ended = std::panic::catch_unwind(|| {
            let mut child = Command::new("sleep").arg("3600").spawn().unwrap();
            let _wait = waiting_at_most(Duration::from_millis(1), "sleep to end");
            assert!(!child.wait().unwrap().success());
        });
        let words = ended.unwrap_err();
        assert_eq!(words.downcast_ref::<String>().unwrap(), "waited 1ms for sleep to end");
        // A wait that ends in time does not panic.
        drop(waiting("nothing at all"));
    }
}
