//! A device's library, as this process has loaded it.
//!
//! House rules. A device exports `PREFIX_set`, `PREFIX_report` and so on with the types that the methods here state.

use std::ffi::{CStr, CString, c_char, c_int, c_void};

use super::Report;

/// The library, and the functions for tests that it exports in addition to the driver's.
#[derive(Clone, Copy, Debug)]
pub struct Library {
    handle: *mut c_void,
    prefix: &'static str,
}

// SAFETY: a library's handle may be used by any thread; the library is never unloaded.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

impl Library {
    /// The library of this name, whose functions for tests begin with `prefix`.
    ///
    /// # Panics
    /// If it is not found or is not the simulated one.
    pub fn of_this_process(name: &CStr, prefix: &'static str) -> Self {
        // SAFETY: loading it runs no code that matters; the name is a C string.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
        assert!(!handle.is_null(), "no {name:?}: run within in_child");
        let library = Self { handle, prefix };
        let set = library.symbol(&library.name("set"));
        assert!(!set.is_null(), "{name:?} is not the simulated one");
        library
    }

    /// A function of the library, including the driver's; null if there is none.
    pub fn symbol(&self, name: &CStr) -> *mut c_void {
        // SAFETY: the handle is of a loaded library, the name is a C string.
        unsafe { libc::dlsym(self.handle, name.as_ptr()) }
    }

    fn name(&self, function: &str) -> CString {
        text(&format!("{}{function}", self.prefix))
    }

    /// A function for tests.
    ///
    /// # Panics
    /// If the library has none of this name.
    pub fn function(&self, name: &str) -> *mut c_void {
        let symbol = self.symbol(&self.name(name));
        assert!(!symbol.is_null(), "the library has no {}{name}", self.prefix);
        symbol
    }

    /// Changes a setting of the running device: `key=value`.
    ///
    /// # Panics
    /// If the device does not know the setting.
    pub fn set(&self, line: &str) {
        // SAFETY: the house rules.
        let set: extern "C" fn(*const c_char) -> c_int =
            unsafe { std::mem::transmute(self.function("set")) };
        assert_eq!(set(text(line).as_ptr()), 0, "{line}");
    }

    /// Makes later calls of the calling thread misuse, or ends that.
    pub fn forbid_this_thread(&self, forbidden: bool) {
        // SAFETY: the house rules.
        let forbid: extern "C" fn(bool) =
            unsafe { std::mem::transmute(self.function("forbid_this_thread")) };
        forbid(forbidden);
    }

    /// The misuses found so far.
    pub fn report(&self) -> Report {
        // SAFETY: the house rules.
        let report: extern "C" fn(*mut u8, usize) -> usize =
            unsafe { std::mem::transmute(self.function("report")) };
        // Further ones may be found between the two calls.
        let mut text = vec![0; report(std::ptr::null_mut(), 0) + 4096];
        report(text.as_mut_ptr(), text.len());
        let len = text.iter().position(|byte| *byte == 0).unwrap_or(0);
        Report::parse(&String::from_utf8_lossy(&text[..len]))
    }

    /// Discards the misuses found so far; the report's file keeps them.
    pub fn clear_report(&self) {
        // SAFETY: the house rules.
        let clear: extern "C" fn() = unsafe { std::mem::transmute(self.function("clear_report")) };
        clear();
    }

    /// How often a function of the driver was called in this process; `*` is all functions.
    pub fn calls(&self, function: &str) -> u64 {
        // SAFETY: the house rules.
        let calls: extern "C" fn(*const c_char) -> u64 =
            unsafe { std::mem::transmute(self.function("calls")) };
        calls(text(function).as_ptr())
    }

    /// The current value of a level of the device; with the prefix `peak_` the highest value.
    ///
    /// # Panics
    /// For an unknown name.
    pub fn level(&self, name: &str) -> u64 {
        // SAFETY: the house rules.
        let level: extern "C" fn(*const c_char) -> i64 =
            unsafe { std::mem::transmute(self.function("level")) };
        let value = level(text(name).as_ptr());
        u64::try_from(value).unwrap_or_else(|_| panic!("no level {name}"))
    }
}

fn text(text: &str) -> CString {
    CString::new(text).expect("a setting or name has no zero byte")
}
