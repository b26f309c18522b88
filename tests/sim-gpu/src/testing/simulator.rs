//! The device in this process, beside the driver's own functions: `sim_gpu_*`.
//!
//! House rules. Each function is looked up by name in the loaded library and has the type that `sim::api` and
//! `driver::module` give it; both are of this crate.

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
    /// When `libcuda.so.1` is not found or is not the simulated one.
    pub fn of_this_process() -> Self {
        // SAFETY: loading it runs nothing of ours; the name is a C string.
        let library = unsafe { libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_NOW) };
        assert!(!library.is_null(), "no libcuda.so.1: run within SimulatedGpu::in_child");
        let simulator = Self { library };
        assert!(
            !simulator.symbol(c"sim_gpu_is_simulated").is_null(),
            "libcuda.so.1 is not the simulated one"
        );
        simulator
    }

    /// A function of the library, or null: the driver's own, too.
    pub fn symbol(&self, name: &CStr) -> *mut c_void {
        // SAFETY: the handle is of a loaded library, the name is a C string.
        unsafe { libc::dlsym(self.library, name.as_ptr()) }
    }

    /// Changes a setting of the running device: `decode_us=20000`, `fault=...`, `clear_faults=`.
    ///
    /// # Panics
    /// When the device does not know it.
    pub fn set(&self, line: &str) {
        let text = CString::new(line).expect("a setting has no zero byte");
        // SAFETY: the house rules.
        let set: extern "C" fn(*const c_char) -> c_int =
            unsafe { std::mem::transmute(self.symbol(c"sim_gpu_set")) };
        assert_eq!(set(text.as_ptr()), 0, "{line}");
    }

    /// From now on a call of the calling thread is misuse, or no longer.
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
        // Others may be found between asking for the length and for the text.
        let mut text = vec![0; report(std::ptr::null_mut(), 0) + 4096];
        report(text.as_mut_ptr(), text.len());
        let len = text.iter().position(|byte| *byte == 0).unwrap_or(0);
        super::Report::parse(&String::from_utf8_lossy(&text[..len]))
    }

    /// Forgets the misuses found so far; the report's file keeps them.
    pub fn clear_report(&self) {
        // SAFETY: the house rules.
        let clear: extern "C" fn() =
            unsafe { std::mem::transmute(self.symbol(c"sim_gpu_clear_report")) };
        clear();
    }

    /// Reports as leaks what is alive now; how many.
    pub fn report_leaks(&self) -> usize {
        // SAFETY: the house rules.
        let report: extern "C" fn() -> usize =
            unsafe { std::mem::transmute(self.symbol(c"sim_gpu_report_leaks")) };
        report()
    }

    /// How often a function was called in this process, `*` for all.
    pub fn calls(&self, function: &str) -> u64 {
        let name = CString::new(function).expect("a name has no zero byte");
        // SAFETY: the house rules.
        let calls: extern "C" fn(*const c_char) -> u64 =
            unsafe { std::mem::transmute(self.symbol(c"sim_gpu_calls")) };
        calls(name.as_ptr())
    }

    /// A level now: `contexts`, `streams`, `events`, `decoders`, `maps`, `pinned_bytes`, `copied_bytes`,
    /// `pending_copies`, `device_bytes`; with `peak_` before it the highest ever.
    ///
    /// # Panics
    /// For another name.
    pub fn level(&self, name: &str) -> u64 {
        let text = CString::new(name).expect("a name has no zero byte");
        // SAFETY: the house rules.
        let level: extern "C" fn(*const c_char) -> i64 =
            unsafe { std::mem::transmute(self.symbol(c"sim_gpu_level")) };
        u64::try_from(level(text.as_ptr())).unwrap_or_else(|_| panic!("no level {name}"))
    }

    /// Gives a kernel host code, which runs on the stream's thread for each launch.
    ///
    /// # Panics
    /// When the name is none.
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
