//! The table of the driver's functions, looked up together.
//!
//! House rules. Functions have the types that `cuda.h` gives them, with results as numbers: a Rust
//! enum must never hold a code that it does not know. cudarc loads the library once and never
//! unloads it, so function pointers stay valid.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

use cudarc::driver::sys::{CUDA_MEMCPY2D, CUcontext, CUevent, CUfunction, CUmodule, CUstream};

use crate::error::CudaError;
use crate::error::Unavailable;
use crate::error::code::SUCCESS;

/// Declares a table of functions that are called; each method makes one call.
macro_rules! functions {
    (
        $(#[$doc:meta])*
        $table:ident { $($name:ident($($arg:ident: $ty:ty),* $(,)?);)* }
    ) => {
        $(#[$doc])*
        ///
        /// Each function has its own name and version. Each method's preconditions are those of the driver's
        /// documentation.
        #[allow(non_snake_case, reason = "the driver's own names")]
        #[derive(Debug)]
        pub struct $table {
            $($name: unsafe extern "C" fn($($ty),*) -> c_uint,)*
        }

        #[allow(non_snake_case, reason = "the driver's own names")]
        #[allow(dead_code, reason = "`error` itself calls one without checking it")]
        #[allow(clippy::too_many_arguments, reason = "the driver's own functions")]
        impl $table {
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
    /// The functions without which no GPU is used.
    Functions {
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
}

functions! {
    /// The functions that launch kernels. Only pictures that a kernel converts need them, so a driver may lack them.
    KernelFunctions {
        cuGetErrorName(code: c_uint, name: *mut *const c_char);
        cuModuleLoadData(module: *mut CUmodule, image: *const c_void);
        cuModuleUnload(module: CUmodule);
        cuModuleGetFunction(function: *mut CUfunction, module: CUmodule, name: *const c_char);
        cuLaunchKernel(
            function: CUfunction,
            grid_x: c_uint,
            grid_y: c_uint,
            grid_z: c_uint,
            block_x: c_uint,
            block_y: c_uint,
            block_z: c_uint,
            shared_bytes: c_uint,
            stream: CUstream,
            parameters: *mut *mut c_void,
            extra: *mut *mut c_void,
        );
        cuMemAlloc_v2(address: *mut u64, bytes: usize);
        cuMemFree_v2(address: u64);
    }
}

macro_rules! errors {
    ($($table:ident)*) => {$(
        impl $table {
            fn check(&self, function: &'static str, code: c_uint) -> Result<(), CudaError> {
                if code == SUCCESS { Ok(()) } else { Err(self.error(function, code)) }
            }

            /// The meaning of a function's answer, whether the function is in this table or not.
            #[must_use]
            pub fn error(&self, function: &'static str, code: c_uint) -> CudaError {
                let mut name = std::ptr::null();
                // SAFETY: callable at any time with any code; an unknown code leaves null. The text is static.
                let name = unsafe {
                    let known = (self.cuGetErrorName)(code, &mut name) == SUCCESS && !name.is_null();
                    known.then(|| CStr::from_ptr(name))
                };
                CudaError::new(function, code, name)
            }
        }
    )*};
}

errors! { Functions KernelFunctions }

#[cfg(test)]
mod tests {
    use super::*;

    /// A driver that lacks `without`; its functions are never called.
    fn driver(
        without: &'static CStr,
    ) -> impl Fn(&'static CStr) -> Result<*mut c_void, Unavailable> {
        move |name| match name.to_str() {
            Ok(missing) if name == without => Err(Unavailable::MissingSymbol(missing)),
            _ => Ok(std::ptr::dangling_mut()),
        }
    }

    #[test]
    fn a_driver_without_kernels_still_decodes() {
        for name in [c"cuModuleLoadData", c"cuLaunchKernel", c"cuMemAlloc_v2"] {
            assert!(Functions::load(driver(name)).is_ok());
            let missing = KernelFunctions::load(driver(name)).unwrap_err();
            assert_eq!(missing, Unavailable::MissingSymbol(name.to_str().unwrap()));
        }
        assert!(Functions::load(driver(c"cuMemcpy2DAsync_v2")).is_err());
    }
}
