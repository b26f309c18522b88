//! The device in this process: the functions `sim_gpu_*`, in addition to the driver's.
//!
//! House rules. Each function is looked up by name in the loaded library, with the type from `sim::api` or
//! `driver::module` of this crate.

use std::ffi::{CString, c_char, c_int};
use std::ops::Deref;

use vas_sim_common::testing::Library;

pub use crate::driver::module::{Launch, RunKernel as Kernel};

/// The simulated device that this process has loaded, with what [`Library`] offers.
///
/// Its settings are those of the README. Its levels are `contexts`, `modules`, `streams`, `events`, `decoders`, `maps`,
/// `pinned_bytes`, `copied_bytes`, `pending_copies` and `device_bytes`.
#[derive(Clone, Copy, Debug)]
pub struct Simulator(Library);

impl Deref for Simulator {
    type Target = Library;

    fn deref(&self) -> &Library {
        &self.0
    }
}

impl Simulator {
    /// The device of this process.
    ///
    /// # Panics
    /// If `libcuda.so.1` is not found or is not the simulated one.
    pub fn of_this_process() -> Self {
        Self(Library::of_this_process(c"libcuda.so.1", "sim_gpu_"))
    }

    /// Reports everything alive as leaks; returns the number.
    pub fn report_leaks(&self) -> usize {
        // SAFETY: the house rules.
        let report: extern "C" fn() -> usize =
            unsafe { std::mem::transmute(self.function("report_leaks")) };
        report()
    }

    /// Registers host code for a kernel, which runs on the stream's thread for each launch.
    ///
    /// # Panics
    /// If the name is invalid.
    pub fn register_kernel(&self, name: &str, parameter_sizes: &[usize], run: Kernel) {
        let text = CString::new(name).expect("a name has no zero byte");
        // SAFETY: the house rules.
        let register: extern "C" fn(*const c_char, *const usize, usize, Kernel) -> c_int =
            unsafe { std::mem::transmute(self.function("register_kernel")) };
        let (sizes, count) = (parameter_sizes.as_ptr(), parameter_sizes.len());
        assert_eq!(register(text.as_ptr(), sizes, count, run), 0, "{name}");
    }

    /// The host's view of device memory, for host code of a kernel while it runs; null for a bad range.
    pub fn memory(&self, address: u64, len: usize) -> *mut u8 {
        // SAFETY: the house rules.
        let memory: extern "C" fn(u64, usize) -> *mut u8 =
            unsafe { std::mem::transmute(self.function("memory")) };
        memory(address, len)
    }
}
