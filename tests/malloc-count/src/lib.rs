//! Test support: counts the C allocations of a thread, or of a process, FFmpeg's included.
//!
//! A program that links this gets a `malloc` family that counts and calls glibc's own. The executable's
//! symbols precede those of its shared libraries, so FFmpeg's calls are counted too. Rust's own
//! allocations go through `malloc` as well.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    // Constant and without a destructor: reading it allocates nothing.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// Of all threads.
static IN_PROCESS: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(old: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_memalign(align: usize, size: usize) -> *mut c_void;
}

/// Runs `run`; returns how often this thread allocated meanwhile.
pub fn count<R>(run: impl FnOnce() -> R) -> (R, u64) {
    let before = COUNT.get();
    let result = run();
    (result, COUNT.get() - before)
}

/// As [`count`], of all threads. Tests that run beside it count, too.
pub fn count_in_process<R>(run: impl FnOnce() -> R) -> (R, u64) {
    let before = IN_PROCESS.load(Ordering::SeqCst);
    let result = run();
    (result, IN_PROCESS.load(Ordering::SeqCst) - before)
}

fn note() {
    IN_PROCESS.fetch_add(1, Ordering::SeqCst);
    COUNT.set(COUNT.get() + 1);
}

/// C's `malloc`.
#[unsafe(no_mangle)]
pub extern "C" fn malloc(size: usize) -> *mut c_void {
    note();
    // SAFETY: glibc's malloc under its other name takes any size.
    unsafe { __libc_malloc(size) }
}

/// C's `calloc`.
#[unsafe(no_mangle)]
pub extern "C" fn calloc(number: usize, size: usize) -> *mut c_void {
    note();
    // SAFETY: glibc's calloc under its other name takes any sizes.
    unsafe { __libc_calloc(number, size) }
}

/// C's `realloc`.
///
/// # Safety
/// As C's: `old` is null or came from this family.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(old: *mut c_void, size: usize) -> *mut c_void {
    note();
    // SAFETY: guaranteed by the caller; the whole family uses glibc's heap.
    unsafe { __libc_realloc(old, size) }
}

/// C's `aligned_alloc`.
#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    memalign(align, size)
}

/// C's `memalign`.
#[unsafe(no_mangle)]
pub extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    note();
    // SAFETY: glibc's memalign under its other name checks its arguments itself.
    unsafe { __libc_memalign(align, size) }
}

/// C's `posix_memalign`.
///
/// # Safety
/// As C's: `to` points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(to: *mut *mut c_void, align: usize, size: usize) -> c_int {
    if !align.is_power_of_two() || align < size_of::<usize>() {
        return libc::EINVAL;
    }
    let memory = memalign(align, size);
    if memory.is_null() && size != 0 {
        return libc::ENOMEM;
    }
    // SAFETY: guaranteed by the caller.
    unsafe { *to = memory };
    0
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_threads_allocations_are_counted() {
        let (_, none) = super::count(|| 1 + 1);
        assert_eq!(none, 0);
        let (kept, some) = super::count(|| (Box::new([0u8; 100]), vec![1u8; 1000]));
        assert_eq!(some, 2);
        drop(kept);
    }

    #[test]
    fn other_threads_allocations_are_counted_in_the_process() {
        let (kept, some) = super::count_in_process(|| {
            std::thread::scope(|scope| scope.spawn(|| Box::new([0u8; 100])).join())
        });
        assert!(some > 0);
        drop(kept);
    }
}
