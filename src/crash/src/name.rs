//! The name that a thread sets for the handler.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering, compiler_fence};

/// Longest name that is kept, in bytes: that of a camera's id.
pub(crate) const MAX_NAME: usize = 63;

/// Read by a handler that may have interrupted its writing on the same thread, which is why the length is zero
/// meanwhile. Initialised at compile time and without a destructor, so that reading it is one load from the
/// thread's own memory: the handler may do nothing else.
struct Name {
    len: AtomicUsize,
    bytes: [AtomicU8; MAX_NAME],
}

thread_local! {
    static NAME: Name =
        const { Name { len: AtomicUsize::new(0), bytes: [const { AtomicU8::new(0) }; MAX_NAME] } };
}

/// Names what this thread works for, until the guard is dropped. A longer name is cut.
pub fn name_thread(name: &str) -> ThreadName {
    let previous = current();
    set(name.as_bytes());
    ThreadName { previous }
}

/// Restores the thread's previous name; see [`name_thread`].
#[must_use = "the name is removed when the guard is dropped"]
#[derive(Debug)]
pub struct ThreadName {
    previous: ([u8; MAX_NAME], usize),
}

impl Drop for ThreadName {
    fn drop(&mut self) {
        let (bytes, len) = self.previous;
        set(&bytes[..len]);
    }
}

fn set(name: &[u8]) {
    let len = name.len().min(MAX_NAME);
    // Fails only while the thread ends, when there is nothing left to name.
    let _ = NAME.try_with(|own| {
        own.len.store(0, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        for (to, from) in own.bytes.iter().zip(&name[..len]) {
            to.store(*from, Ordering::Relaxed);
        }
        compiler_fence(Ordering::SeqCst);
        own.len.store(len, Ordering::Relaxed);
    });
}

/// The calling thread's name, and its length. Async-signal-safe.
pub(crate) fn current() -> ([u8; MAX_NAME], usize) {
    let mut name = [0; MAX_NAME];
    let len = NAME.try_with(|own| {
        let len = own.len.load(Ordering::Relaxed).min(MAX_NAME);
        compiler_fence(Ordering::SeqCst);
        for (to, from) in name.iter_mut().zip(&own.bytes[..len]) {
            *to = from.load(Ordering::Relaxed);
        }
        len
    });
    (name, len.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named() -> String {
        let (bytes, len) = current();
        String::from_utf8(bytes[..len].to_vec()).unwrap()
    }

    #[test]
    fn a_name_is_the_threads_own_and_taken_off_again() {
        assert_eq!(named(), "");
        let outer = name_thread("front");
        let inner = name_thread(&"x".repeat(70));
        assert_eq!(named(), "x".repeat(63));
        std::thread::spawn(|| assert_eq!(named(), "")).join().unwrap();
        drop(inner);
        assert_eq!(named(), "front");
        drop(outer);
        assert_eq!(named(), "");
    }
}
