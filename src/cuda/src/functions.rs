//! The table of the driver's functions, looked up together.
//!
//! House rules. Functions have the types that `cuda.h` gives them, with results as numbers: a Rust
//! enum must never hold a code that it does not know. cudarc loads the library once and never
//! unloads it, so function pointers stay valid.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

use cudarc::driver::sys::{CUDA_MEMCPY2D, CUcontext, CUevent, CUstream};

use crate::error::CudaError;
use crate::error::Unavailable;
use crate::error::code::SUCCESS;

/// Declares the functions that are called; each method makes one call.
macro_rules! functions {
    ($($name:ident($($arg:ident: $ty:ty),*);)*) => {
        /// The driver's functions, each under its own name and in its own version.
        ///
        /// Each method's preconditions are those of the driver's documentation.
        #[allow(non_snake_case, reason = "the driver's own names")]
        #[derive(Debug)]
        pub struct Functions {
            $($name: unsafe extern "C" fn($($ty),*) -> c_uint,)*
        }

        #[allow(non_snake_case, reason = "the driver's own names")]
        #[allow(dead_code, reason = "`check` itself calls one without checking it")]
        impl Functions {
            pub(crate) fn load(
                find: impl Fn(&'static CStr) -> Result<*mut c_void, Unavailable>,
            ) -> Result<Self, Unavailable> {
                const fn c_name(name: &'static [u8]) -> &'static CStr {
                    match CStr::from_bytes_with_nul(name) {
                        Ok(name) => name,
                        Err(_) => panic!("a name with a zero at its end alone"),
                    }
                }
                Ok(Self {
                    $($name: {
                        let found = find(const {
                            c_name(concat!(stringify!($name), "\0").as_bytes())
                        })?;
                        // SAFETY: by the house rules, the symbol of this name has this type.
                        unsafe {
                            std::mem::transmute::<
                                *mut c_void,
                                unsafe extern "C" fn($($ty),*) -> c_uint,
                            >(found)
                        }
                    },)*
                })
            }

            $(
                #[doc = concat!("Calls `", stringify!($name), "`.")]
                ///
                /// # Safety
                /// As the driver's documentation requires.
                ///
                /// # Errors
                /// Each answer except `CUDA_SUCCESS`.
                pub unsafe fn $name(&self, $($arg: $ty),*) -> Result<(), CudaError> {
                    // SAFETY: the caller's.
                    let code = unsafe { (self.$name)($($arg),*) };
                    self.check(stringify!($name), code)
                }
            )*
        }
    };
}

functions! {
    cuInit(flags: c_uint);
    cuGetErrorName(code: c_uint, name: *mut *const c_char);
    cuDeviceGetCount(count: *mut c_int);
    cuDeviceGet(device: *mut c_int, ordinal: c_int);
    cuDevicePrimaryCtxSetFlags_v2(device: c_int, flags: c_uint);
    cuCtxSetCurrent(context: CUcontext);
    cuCtxPushCurrent_v2(context: CUcontext);
    cuCtxPopCurrent_v2(context: *mut CUcontext);
    cuMemGetInfo_v2(free: *mut usize, total: *mut usize);
    cuStreamCreate(stream: *mut CUstream, flags: c_uint);
    cuStreamDestroy_v2(stream: CUstream);
    cuStreamQuery(stream: CUstream);
    cuStreamWaitEvent(stream: CUstream, event: CUevent, flags: c_uint);
    cuEventCreate(event: *mut CUevent, flags: c_uint);
    cuEventDestroy_v2(event: CUevent);
    cuEventRecord(event: CUevent, stream: CUstream);
    cuEventSynchronize(event: CUevent);
    cuMemcpy2DAsync_v2(copy: *const CUDA_MEMCPY2D, stream: CUstream);
    cuMemHostRegister_v2(memory: *mut c_void, bytes: usize, flags: c_uint);
    cuMemHostUnregister(memory: *mut c_void);
    cuMemAllocHost_v2(memory: *mut *mut c_void, bytes: usize);
    cuMemFreeHost(memory: *mut c_void);
}

impl Functions {
    fn check(&self, function: &'static str, code: c_uint) -> Result<(), CudaError> {
        if code == SUCCESS { Ok(()) } else { Err(self.error(function, code)) }
    }

    /// The meaning of a function's answer, whether the function is in this table or not.
    #[must_use]
    pub fn error(&self, function: &'static str, code: c_uint) -> CudaError {
        let mut name = std::ptr::null();
        // SAFETY: any time, any code; an unknown one leaves null. The text is the driver's own, for good.
        let name = unsafe {
            let known = (self.cuGetErrorName)(code, &mut name) == SUCCESS && !name.is_null();
            known.then(|| CStr::from_ptr(name))
        };
        CudaError::new(function, code, name)
    }
}
