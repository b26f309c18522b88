//! The driver's library: whether it is there, and the functions that are called.
//!
//! House rules. Functions have the types that `cuda.h` gives them, with results as numbers: a Rust enum must
//! never hold a code that it does not know. cudarc loads the library once and never unloads it, so what was
//! looked up stays valid.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

use cudarc::driver::sys::{self, CUDA_MEMCPY2D, CUcontext, CUevent, CUstream};

use crate::error::CudaError;

/// `CUDA_SUCCESS`.
const SUCCESS: c_uint = 0;
/// `CUDA_ERROR_NOT_READY`: no failure, but an answer.
pub(crate) const NOT_READY: c_uint = 600;

/// What cudarc calls for a context, which would panic where it is missing.
const FOR_CONTEXTS: [&CStr; 9] = [
    c"cuDeviceGet",
    c"cuDeviceGetAttribute",
    c"cuDevicePrimaryCtxRetain",
    c"cuDevicePrimaryCtxRelease_v2",
    c"cuDevicePrimaryCtxSetFlags_v2",
    c"cuDevicePrimaryCtxGetState",
    c"cuCtxGetCurrent",
    c"cuCtxSynchronize",
    c"cuGetErrorString",
];

/// Why this host can't download from a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// No driver is installed, or a container was not given it.
    #[error("the NVIDIA driver's library libcuda.so.1 is not found")]
    NoLibrary,
    /// A driver that is too old, or something else under its name.
    #[error("the NVIDIA driver's library has no {0}: it is too old, or not NVIDIA's")]
    MissingSymbol(&'static str),
    /// The driver finds no GPU, or none that this process may use.
    #[error("the NVIDIA driver finds no GPU")]
    NoDevice,
    /// The driver does not start.
    #[error("the NVIDIA driver does not start: {0}")]
    Failed(#[source] CudaError),
}

/// The driver of this host, known to have all that is called.
#[derive(Clone, Copy, Debug)]
pub struct Driver {
    functions: &'static Functions,
    devices: u32,
}

impl Driver {
    /// Looks for the driver, for each function that is called, and for devices. Initialises the driver.
    ///
    /// # Errors
    /// In words, what is missing.
    pub fn probe() -> Result<Self, Unavailable> {
        static FUNCTIONS: OnceLock<Functions> = OnceLock::new();
        let functions = match FUNCTIONS.get() {
            Some(functions) => functions,
            None => {
                let loaded = load()?;
                FUNCTIONS.get_or_init(|| loaded)
            }
        };
        let mut devices = 0;
        // SAFETY: any time, any thread; the count is ours to be written.
        let counted =
            unsafe { functions.cuInit(0).and_then(|()| functions.cuDeviceGetCount(&mut devices)) };
        match counted {
            Err(error) if error.name == Some("CUDA_ERROR_NO_DEVICE") => Err(Unavailable::NoDevice),
            Err(error) => Err(Unavailable::Failed(error)),
            Ok(()) => match u32::try_from(devices) {
                Ok(devices) if devices > 0 => Ok(Self { functions, devices }),
                _ => Err(Unavailable::NoDevice),
            },
        }
    }

    /// How many devices there are.
    #[must_use]
    pub fn devices(&self) -> u32 {
        self.devices
    }

    pub(crate) fn functions(&self) -> &'static Functions {
        self.functions
    }
}

fn load() -> Result<Functions, Unavailable> {
    // SAFETY: loading the driver's library runs its initialisers, which is what it is for. After the first
    // answer `culib` finds what this found.
    let library = unsafe {
        if !sys::is_culib_present() {
            return Err(Unavailable::NoLibrary);
        }
        sys::culib()
    };
    for name in FOR_CONTEXTS {
        // SAFETY: only looked for, never called by this type.
        let found = unsafe { library.get::<unsafe extern "C" fn()>(name.to_bytes_with_nul()) };
        if found.is_err() {
            return Err(Unavailable::MissingSymbol(name.to_str().unwrap_or("a function")));
        }
    }
    let find = |name: &'static CStr| {
        // SAFETY: an address, of whatever type.
        let found = unsafe { library.get::<*mut c_void>(name.to_bytes_with_nul()) };
        let address = found.ok().map(|symbol| *symbol).filter(|address| !address.is_null());
        address.ok_or(Unavailable::MissingSymbol(name.to_str().unwrap_or("a function")))
    };
    Functions::load(find)
}

/// Declares the functions that are called, looked up together; each method makes the call.
macro_rules! functions {
    ($($name:ident($($arg:ident: $ty:ty),*);)*) => {
        /// The driver's functions.
        #[allow(non_snake_case, reason = "the driver's own names")]
        #[derive(Debug)]
        pub(crate) struct Functions {
            $($name: unsafe extern "C" fn($($ty),*) -> c_uint,)*
        }

        #[allow(non_snake_case, reason = "the driver's own names")]
        #[allow(dead_code, reason = "`check` itself calls one without checking it")]
        impl Functions {
            fn load(
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
                        // SAFETY: the house rules: what is found under the name has the type.
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
                /// # Safety
                /// As the driver's documents ask of a caller.
                pub(crate) unsafe fn $name(&self, $($arg: $ty),*) -> Result<(), CudaError> {
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
    cuCtxSetCurrent(context: CUcontext);
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
        if code == SUCCESS {
            return Ok(());
        }
        let mut name = std::ptr::null();
        // SAFETY: any time, any code; an unknown one leaves null. The text is the driver's own, for good.
        let name = unsafe {
            let known = (self.cuGetErrorName)(code, &mut name) == SUCCESS && !name.is_null();
            known.then(|| CStr::from_ptr(name))
        };
        Err(CudaError::new(function, code, name))
    }
}
