//! The device in this process: the functions `sim_gpu_*`, in addition to the driver's.
//!
//! House rules. Each function is looked up by name in the loaded library, with the type from `sim::api` or
//! `driver::module` of this crate.

use std::ffi::{CStr, CString, c_char, c_int, c_void};

pub use crate::driver::module::{Launch, RunKernel as Kernel};

/// The simulated device that this process has loaded.
#[derive(Clone, Copy, Debug)]
pub struct Simulator {
    library: *mut c_void,
}

// SAFETY: a library's handle may be used by any thread; the library is never unloaded.
unsafe impl Send for Simulator {}
// SAFETY: as above.
unsafe impl Sync for Simulator {}

impl Simulator {
    /// The device of this process.
    ///
    /// # Panics
    /// If `libcuda.so.1` is not found or is not the simulated one.
    pub fn of_this_process() -> Self {
        // SAFETY: loading it runs no code of this crate; the name is a C string.
        let library = unsafe { libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_NOW) };
        assert!(!library.is_null(), "no libcuda.so.1: run within SimulatedGpu::in_child");
        let simulator = Self { library };
        assert!(
            !simulator.symbol(c"sim_gpu_is_simulated").is_null(),
            "libcuda.so.1 is not the simulated one"
        );
        simulator
    }

    /// A function of the library, including the driver's; null if there is none.
    pub fn symbol(&self, name: &CStr) -> *mut c_void {
        // SAFETY: the handle is of a loaded library, the name is a C string.
        unsafe { libc::dlsym(self.library, name.as_ptr()) }
    }

    /// Changes a setting of the running device: `decode_us=20000`, `fault=...`, `clear_faults=`.
    ///
    /// # Panics
    /// If the device does not know the setting.
    pub fn set(&self, line: &str) {
        let text = CString::new(line).expect("a setting has no zero byte");
        // SAFETY: the house rules.
        let set: extern "C" fn(*const c_char) -> c_int =
            unsafe { std::mem::transmute(self.symbol(c"sim_gpu_set")) };
        assert_eq!(set(text.as_ptr()), 0, "{line}");
    }

    /// Makes later calls of the calling thread misuse, or ends that.
    pub fn forbid_this_thread(&self, forbidden: bool) {
        // SAFETY: the house rules.
        let forbid: extern "C" fn(bool) =
            unsafe { std::mem::transmute(self.symbol(c"sim_gpu_forbid_this_thread")) };
        forbid(forbidden);
    }

    /// The misuses found so far.
    pub fn report(&self) -> super::Report {
        // SAFETY: the house rules.
        let report: extern "C" fn(*mut u8, usize) -> usize =
            unsafe { std::mem::transmute(self.symbol(c"sim_gpu_report")) };
        // Further ones may be found between the two calls.
        let mut text = vec![0; report(std::ptr::null_mut(), 0) + 4096];
        report(text.as_mut_ptr(), text.len());
        let len = text.iter().position(|byte| *byte == 0).unwrap_or(0);
        super::Report::parse(&String::from_utf8_lossy(&text[..len]))
    }

    /// Discards the misuses found so far; the report's file keeps them.
    pub fn clear_report(&self) {
        // SAFETY: the house rules.
        let clear: extern "C" fn() =
            unsafe { std::mem::transmute(self.symbol(c"sim_gpu_clear_report")) };
        clear();
    }

    /// Reports everything alive as leaks; returns the number.
    pub fn report_leaks(&self) -> usize {
        // SAFETY: the house rules.
        let report: extern "C" fn() -> usize =
            unsafe { std::mem::transmute(self.symbol(c"sim_gpu_report_leaks")) };
        report()
    }

    /// How often a function was called in this process; `*` is all functions.
    pub fn calls(&self, function: &str) -> u64 {
        let name = CString::new(function).expect("a name has no zero byte");
        // SAFETY: the house rules.
        let calls: extern "C" fn(*const c_char) -> u64 =
            unsafe { std::mem::transmute(self.symbol(c"sim_gpu_calls")) };
        calls(name.as_ptr())
    }

    /// The current value of a level: `contexts`, `streams`, `events`, `decoders`, `maps`,
    /// `pinned_bytes`, `copied_bytes`, `pending_copies`, `device_bytes`; with the prefix `peak_`
    /// the highest value.
    ///
    /// # Panics
    /// For an unknown name.
    pub fn level(&self, name: &str) -> u64 {
        let text = CString::new(name).expect("a name has no zero byte");
        // SAFETY: the house rules.
        let level: extern "C" fn(*const c_char) -> i64 =
            unsafe { std::mem::transmute(self.symbol(c"sim_gpu_level")) };
        u64::try_from(level(text.as_ptr())).unwrap_or_else(|_| panic!("no level {name}"))
    }

    /// Registers host code for a kernel, which runs on the stream's thread for each launch.
    ///
    /// # Panics
    /// If the name is invalid.
    pub fn register_kernel(&self, name: &str, parameter_sizes: &[usize], run: Kernel) {
        let text = CString::new(name).expect("a name has no zero byte");
        // SAFETY: the house rules.
        let register: extern "C" fn(*const c_char, *const usize, usize, Kernel) -> c_int =
            unsafe { std::mem::transmute(self.symbol(c"sim_gpu_register_kernel")) };
        let (sizes, count) = (parameter_sizes.as_ptr(), parameter_sizes.len());
        assert_eq!(register(text.as_ptr(), sizes, count, run), 0, "{name}");
    }

    /// The host's view of device memory, for host code of a kernel while it runs; null for a bad range.
    pub fn memory(&self, address: u64, len: usize) -> *mut u8 {
        // SAFETY: the house rules.
        let memory: extern "C" fn(u64, usize) -> *mut u8 =
            unsafe { std::mem::transmute(self.symbol(c"sim_gpu_memory")) };
        memory(address, len)
    }
}
