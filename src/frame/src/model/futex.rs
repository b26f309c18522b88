//! A futex that the model checker can follow. It models the kernel's one guarantee: the word is compared
//! and the waiter queued under the lock that a waker takes.
//!
//! No wait times out: a lost wake-up is a deadlock, which the checker reports.

use std::time::Duration;

use loom::sync::{Condvar, Mutex};

use crate::sync::{ModelU32, Ordering};

const NO_PANIC: &str = "a panic ends the run";

loom::lazy_static! {
    static ref QUEUE: (Mutex<u32>, Condvar) = (Mutex::new(0), Condvar::new());
}

pub(crate) fn wait(word: &ModelU32, seen: u32, _timeout: Duration) {
    let (waiters, woken) = &*QUEUE;
    let mut waiters = waiters.lock().expect(NO_PANIC);
    if word.load(Ordering::Relaxed) == seen {
        *waiters += 1;
        drop(woken.wait(waiters).expect(NO_PANIC));
    }
}

pub(crate) fn wake(_word: &ModelU32, count: u32) -> usize {
    let (waiters, woken) = &*QUEUE;
    let mut waiters = waiters.lock().expect(NO_PANIC);
    let wakes = count.min(*waiters);
    *waiters -= wakes;
    (0..wakes).for_each(|_| woken.notify_one());
    wakes as usize
}
