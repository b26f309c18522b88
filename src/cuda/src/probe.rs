//! Whether this host has a driver, and what is missing if not.

use std::ffi::{CStr, c_void};
use std::sync::OnceLock;

use cudarc::driver::sys;

use crate::error::{CudaError, Unavailable, code};
use crate::functions::{Functions, KernelFunctions};

/// What cudarc calls for contexts and streams beyond the table; it would panic if one were missing.
const CALLED_BY_CUDARC: [&CStr; 8] = [
    c"cuDeviceGetAttribute",
    c"cuDeviceGetName",
    c"cuDeviceTotalMem_v2",
    c"cuDevicePrimaryCtxRetain",
    c"cuDevicePrimaryCtxRelease_v2",
    c"cuCtxGetCurrent",
    c"cuCtxSynchronize",
    c"cuGetErrorString",
];

/// This host's driver, initialised, with all functions that are called.
#[derive(Clone, Copy, Debug)]
pub struct Driver {
    functions: &'static Functions,
    kernels: Result<&'static KernelFunctions, Unavailable>,
    devices: u32,
}

impl Driver {
    /// Looks for the driver, each function that is called, and devices. Initialises the driver.
    ///
    /// Success is cached; after a failure the next call looks again.
    ///
    /// # Errors
    /// What is missing.
    pub fn probe() -> Result<Self, Unavailable> {
        static DRIVER: OnceLock<Driver> = OnceLock::new();
        if let Some(driver) = DRIVER.get() {
            return Ok(*driver);
        }
        let Tables { functions, kernels } = load()?;
        let devices = start(functions).map_err(|error| match error.code {
            code::NO_DEVICE => Unavailable::NoDevice(error),
            _ => Unavailable::Failed(error),
        })?;
        Ok(*DRIVER.get_or_init(|| Self { functions, kernels, devices }))
    }

    /// The number of devices, at least one.
    #[must_use]
    pub fn devices(&self) -> u32 {
        self.devices
    }

    /// The functions that can be called.
    #[must_use]
    pub fn functions(&self) -> &'static Functions {
        self.functions
    }

    /// The functions that launch kernels.
    ///
    /// # Errors
    /// [`Unavailable::MissingSymbol`]: this driver lacks one. All else works.
    pub fn kernels(&self) -> Result<&'static KernelFunctions, Unavailable> {
        self.kernels
    }
}

/// Initialises the driver; returns the number of devices.
fn start(functions: &Functions) -> Result<u32, CudaError> {
    let mut devices = 0;
    // SAFETY: any time, any thread; the count is ours to be written.
    unsafe { functions.cuInit(0).and_then(|()| functions.cuDeviceGetCount(&mut devices)) }?;
    match u32::try_from(devices) {
        Ok(devices) if devices > 0 => Ok(devices),
        _ => Err(functions.error("cuDeviceGetCount", code::NO_DEVICE)),
    }
}

/// The functions that were looked up.
#[derive(Clone, Copy)]
struct Tables {
    functions: &'static Functions,
    kernels: Result<&'static KernelFunctions, Unavailable>,
}

fn load() -> Result<Tables, Unavailable> {
    static TABLES: OnceLock<(Functions, Result<KernelFunctions, Unavailable>)> = OnceLock::new();
    let tables = |found: &'static (Functions, Result<KernelFunctions, Unavailable>)| Tables {
        functions: &found.0,
        kernels: found.1.as_ref().map_err(|why| *why),
    };
    if let Some(found) = TABLES.get() {
        return Ok(tables(found));
    }
    // SAFETY: loading the driver's library runs its initialisers, which is what it is for. After the first
    // answer `culib` finds what this found.
    let library = unsafe {
        if !sys::is_culib_present() {
            return Err(Unavailable::NoLibrary);
        }
        sys::culib()
    };
    let find = |name: &'static CStr| {
        // SAFETY: read as a plain address; `Functions::load` gives it its type.
        let found = unsafe { library.get::<*mut c_void>(name.to_bytes_with_nul()) };
        let address = found.ok().map(|symbol| *symbol).filter(|address| !address.is_null());
        address.ok_or(Unavailable::MissingSymbol(name.to_str().unwrap_or("a function")))
    };
    let functions = Functions::load(find)?;
    for name in CALLED_BY_CUDARC {
        find(name)?;
    }
    let kernels = KernelFunctions::load(find);
    Ok(tables(TABLES.get_or_init(|| (functions, kernels))))
}
