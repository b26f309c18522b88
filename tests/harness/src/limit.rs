//! How long a test may wait for one thing, in words.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

/// Longest wait for one thing. No figure of the product: far beyond what a busy machine takes.
pub const LIMIT: Duration = Duration::from_secs(180);
/// How long a wait has to end once the thread's child processes are killed.
const END_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(200);

static WAITS: Mutex<Vec<Wait>> = Mutex::new(Vec::new());
static WATCHDOG: Once = Once::new();

struct Wait {
    number: u64,
    what: String,
    test: String,
    /// `/proc/PID/task/TID` of who waits.
    task: PathBuf,
    until: Instant,
    limit: Duration,
    expired: bool,
}

/// Something that a thread waits for, until this is dropped.
#[derive(Debug)]
#[must_use = "the wait lasts as long as this"]
pub struct Waiting {
    number: u64,
}

/// Puts a limit on what follows, up to the drop of what is returned: a read from a child, its end, a message.
///
/// Past [`LIMIT`] the child processes that this thread has started are killed, which ends such waits, and the
/// drop panics with these words. A wait that goes on all the same ends the whole test program, in words.
pub fn waiting(what: impl Into<String>) -> Waiting {
    waiting_at_most(LIMIT, what)
}

/// The same with another limit, for what is many things in one.
pub fn waiting_at_most(limit: Duration, what: impl Into<String>) -> Waiting {
    let what = what.into();
    WATCHDOG.call_once(|| {
        let watchdog = std::thread::Builder::new().name("vas-limit".into());
        watchdog.spawn(watch).expect("a test needs its limit");
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
            // Past the capture of the test program's output, which is lost when the program is ended.
            let Wait { test, limit, what, .. } = &*wait;
            let mut stderr = std::io::stderr();
            let _ = writeln!(stderr, "LIMIT: {test} has waited {limit:?} for {what}");
            if std::mem::replace(&mut wait.expired, true) {
                let _ =
                    writeln!(stderr, "LIMIT: it goes on without its children: the tests end here");
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
    fn what_takes_too_long_is_ended_and_named() {
        let ended = std::panic::catch_unwind(|| {
            let mut child = Command::new("sleep").arg("3600").spawn().unwrap();
            let _wait = waiting_at_most(Duration::from_millis(1), "sleep to end");
            assert!(!child.wait().unwrap().success());
        });
        let words = ended.unwrap_err();
        assert_eq!(words.downcast_ref::<String>().unwrap(), "waited 1ms for sleep to end");
        // One that ends in time says nothing.
        drop(waiting("nothing at all"));
    }
}
