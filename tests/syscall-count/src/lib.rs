//! Test support: lists the system calls of a thread (x86-64).
//!
//! House rules. Linux's Syscall User Dispatch (5.11, `Documentation/admin-guide/syscall-user-dispatch.rst`)
//! turns each system call of a thread into a SIGSYS while a selector byte is set. The handler records the
//! call, makes it itself, and stores its result where the caller expects it. The handler neither allocates
//! nor locks. Its own return is a system call too: it is made from code in this crate that the kernel
//! exempts.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::arch::{asm, global_asm};
use std::ffi::{c_int, c_long, c_void};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// The most calls that are recorded; further ones are only counted.
const MAX: usize = 4096;

// `linux/prctl.h`.
const PR_SET_SYSCALL_USER_DISPATCH: c_int = 59;
const DISPATCH_OFF: u64 = 0;
const DISPATCH_ON: u64 = 1;
const ALLOW: u8 = 0;
const BLOCK: u8 = 1;

static SELECTOR: AtomicU8 = AtomicU8::new(ALLOW);
static COUNT: AtomicUsize = AtomicUsize::new(0);
static NUMBERS: [AtomicU64; MAX] = [const { AtomicU64::new(0) }; MAX];

global_asm!(
    ".globl vas_syscall_count_return",
    "vas_syscall_count_return:",
    "mov eax, 15", // rt_sigreturn
    "syscall",
    "ud2",
    ".globl vas_syscall_count_return_end",
    "vas_syscall_count_return_end:",
);

unsafe extern "C" {
    fn vas_syscall_count_return();
    fn vas_syscall_count_return_end();
}

/// The kernel's own `struct sigaction`: the C library's hides the return code, which must be this
/// crate's.
#[repr(C)]
struct KernelSigaction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// Runs `run`; lists the numbers of the system calls that this thread made meanwhile.
///
/// # Panics
/// If the kernel has no Syscall User Dispatch.
pub fn list(run: impl FnOnce()) -> Vec<c_long> {
    // One selector, one list: one thread at a time.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    install_handler();
    COUNT.store(0, Ordering::SeqCst);
    dispatch(DISPATCH_ON);
    SELECTOR.store(BLOCK, Ordering::SeqCst);
    run();
    SELECTOR.store(ALLOW, Ordering::SeqCst);
    dispatch(DISPATCH_OFF);
    let count = COUNT.load(Ordering::SeqCst);
    assert!(count <= MAX, "{count} system calls are more than can be recorded");
    NUMBERS[..count].iter().map(|number| number.load(Ordering::SeqCst) as c_long).collect()
}

fn dispatch(mode: u64) {
    let (start, end) = (
        vas_syscall_count_return as *const () as usize,
        vas_syscall_count_return_end as *const () as usize,
    );
    let (start, len, selector) = match mode {
        DISPATCH_ON => (start, end - start, SELECTOR.as_ptr()),
        _ => (0, 0, std::ptr::null_mut()),
    };
    // SAFETY: the selector is a static byte; the exempted range is code of this crate.
    let result = unsafe { libc::prctl(PR_SET_SYSCALL_USER_DISPATCH, mode, start, len, selector) };
    assert_eq!(result, 0, "prctl: {}", std::io::Error::last_os_error());
}

fn install_handler() {
    const SA_RESTORER: u64 = 0x0400_0000;
    let action = KernelSigaction {
        handler: on_sigsys as *const () as usize,
        flags: (libc::SA_SIGINFO | libc::SA_NODEFER) as u64 | SA_RESTORER,
        restorer: vas_syscall_count_return as *const () as usize,
        mask: 0,
    };
    let nothing = std::ptr::null_mut::<c_void>();
    // SAFETY: `action` is laid out as the kernel's structure with a mask of 8 bytes; the handler has the
    // signature that SA_SIGINFO requires and is async-signal-safe.
    let result = unsafe {
        libc::syscall(libc::SYS_rt_sigaction, libc::SIGSYS, &raw const action, nothing, 8_usize)
    };
    assert_eq!(result, 0, "rt_sigaction: {}", std::io::Error::last_os_error());
}

extern "C" fn on_sigsys(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    SELECTOR.store(ALLOW, Ordering::SeqCst);
    // SAFETY: with SA_SIGINFO the third argument is the interrupted context, which the handler may
    // change.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let at = |register: c_int| registers[register as usize];
    let number = at(libc::REG_RAX);
    let index = COUNT.fetch_add(1, Ordering::SeqCst);
    if let Some(slot) = NUMBERS.get(index) {
        slot.store(number as u64, Ordering::SeqCst);
    }
    let result: i64;
    // SAFETY: the same call that the interrupted code was about to make, with its arguments.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") at(libc::REG_RDI), in("rsi") at(libc::REG_RSI), in("rdx") at(libc::REG_RDX),
            in("r10") at(libc::REG_R10), in("r8") at(libc::REG_R8), in("r9") at(libc::REG_R9),
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    registers[libc::REG_RAX as usize] = result;
    SELECTOR.store(BLOCK, Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_listed_and_made() {
        let mut pid = 0;
        let calls = list(|| {
            // SAFETY: takes no arguments and can't fail.
            pid = unsafe { libc::syscall(libc::SYS_getpid) };
            std::thread::yield_now();
        });
        assert_eq!(calls, [libc::SYS_getpid, libc::SYS_sched_yield]);
        assert_eq!(u32::try_from(pid), Ok(std::process::id()));
        assert_eq!(list(|| ()), []);
    }
}
