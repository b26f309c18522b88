//! The handler of fatal signals.
//!
//! House rules. The handler contains only calls that signal-safety(7) lists, and loads and stores
//! of atomics and of the thread's own memory: no allocation, no lock, no panic. It runs on the
//! alternate stack that Rust gives its threads, so a stack overflow does not affect it. The
//! previous handler (Rust's own, which reports stack overflows) is called after it. It never
//! returns to the program with the signal ignored: at its end the signal's action is the default
//! one and the signal is raised again.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{IntoRawFd as _, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

use libc::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, c_int, c_void, siginfo_t};

use crate::last_words::{LEN, encode};
use crate::name;

const SIGNALS: [c_int; 5] = [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV];

static FILE: AtomicI32 = AtomicI32::new(-1);
/// Whether words were written: a second signal, met while dying of the first, writes none.
static SAID: AtomicBool = AtomicBool::new(false);
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// The previous handler of each signal.
struct Before {
    handler: AtomicUsize,
    flags: AtomicI32,
}

static BEFORE: [Before; SIGNALS.len()] =
    [const { Before { handler: AtomicUsize::new(libc::SIG_DFL), flags: AtomicI32::new(0) } };
        SIGNALS.len()];

/// From now on, writes the name of a thread that dies of SIGABRT, SIGBUS, SIGFPE, SIGILL or SIGSEGV
/// to the beginning of `file`, for [`LastWords::read`](crate::LastWords::read). The file stays open
/// until the process ends. Install once a process: a second call only changes the file.
///
/// # Errors
/// A handler can't be installed.
pub fn install(file: OwnedFd) -> io::Result<()> {
    // The previous file, if any, is leaked: a handler may be writing to it.
    FILE.store(file.into_raw_fd(), Ordering::SeqCst);
    if INSTALLED.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    for (signal, before) in SIGNALS.iter().zip(&BEFORE) {
        let old = action(*signal, None)?;
        before.flags.store(old.sa_flags, Ordering::SeqCst);
        before.handler.store(old.sa_sigaction, Ordering::SeqCst);
        let own: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = on_signal;
        action(*signal, Some((own as usize, libc::SA_SIGINFO | libc::SA_ONSTACK)))?;
    }
    Ok(())
}

/// Sets a signal's handler and flags, if given; returns the previous ones. Async-signal-safe.
fn action(signal: c_int, new: Option<(libc::sighandler_t, c_int)>) -> io::Result<libc::sigaction> {
    // SAFETY: all-zero bytes are a valid `sigaction`: no handler, no flag, an empty mask.
    let (mut given, mut old) = unsafe {
        (
            MaybeUninit::<libc::sigaction>::zeroed().assume_init(),
            MaybeUninit::zeroed().assume_init(),
        )
    };
    let given = match new {
        Some((handler, flags)) => {
            given.sa_sigaction = handler;
            given.sa_flags = flags;
            &raw const given
        }
        None => ptr::null(),
    };
    // SAFETY: both pointers are to live values, or null, which the call allows; a handler is either
    // SIG_DFL or `on_signal`, which has the signature that SA_SIGINFO asks for and keeps to what a handler may.
    match unsafe { libc::sigaction(signal, given, &raw mut old) } {
        0 => Ok(old),
        _ => Err(io::Error::last_os_error()),
    }
}

extern "C" fn on_signal(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    if !SAID.swap(true, Ordering::SeqCst) {
        let (name, len) = name::current();
        // SAFETY: gettid has no conditions.
        let thread = unsafe { libc::gettid() };
        let words = encode(signal, thread, &name, len);
        // SAFETY: the pointer is to `LEN` bytes of ours; a file number that is closed by now is an
        // error.
        let _ = unsafe { libc::pwrite(FILE.load(Ordering::SeqCst), words.as_ptr().cast(), LEN, 0) };
    }
    if let Some(at) = SIGNALS.iter().position(|one| *one == signal) {
        call_before(&BEFORE[at], signal, info, context);
    }
    // Whatever the previous handler did: a signal sent by a process would otherwise be ignored.
    let _ = action(signal, Some((libc::SIG_DFL, 0)));
    // SAFETY: raise is async-signal-safe. The signal is blocked until this handler returns, and then ends the
    // process, unless the instruction that caused it does so first.
    unsafe { libc::raise(signal) };
}

fn call_before(before: &Before, signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let handler = before.handler.load(Ordering::SeqCst);
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        return;
    }
    if before.flags.load(Ordering::SeqCst) & libc::SA_SIGINFO == 0 {
        // SAFETY: without SA_SIGINFO what was installed is a function of this signature (sigaction(2)).
        let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
        handler(signal);
    } else {
        // SAFETY: with SA_SIGINFO it is a function of this one; the arguments are those that we were called with.
        let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
            unsafe { std::mem::transmute(handler) };
        handler(signal, info, context);
    }
}
