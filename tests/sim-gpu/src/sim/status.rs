//! The driver's result codes: number, name and description (cuda.h, `CUresult`).

/// A `CUresult`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Status(pub(crate) u32);

/// The result of a call; the error is the caller's result code.
pub(crate) type Result<T = ()> = std::result::Result<T, Status>;

macro_rules! statuses {
    ($($short:ident = $code:literal, $text:literal;)*) => {
        impl Status {
            $(
                #[allow(dead_code, reason = "some are only for faults to name")]
                pub(crate) const $short: Self = Self($code);
            )*
        }

        const TABLE: &[(u32, &str, &str)] = &[
            $(($code, concat!("CUDA_", stringify_error!($short), "\0"), concat!($text, "\0")),)*
        ];
    };
}

macro_rules! stringify_error {
    (SUCCESS) => {
        "SUCCESS"
    };
    ($short:ident) => {
        concat!("ERROR_", stringify!($short))
    };
}

statuses! {
    SUCCESS = 0, "no error";
    INVALID_VALUE = 1, "invalid argument";
    OUT_OF_MEMORY = 2, "out of memory";
    NOT_INITIALIZED = 3, "initialization error";
    DEINITIALIZED = 4, "driver shutting down";
    DEVICE_UNAVAILABLE = 46, "CUDA-capable device(s) is/are busy or unavailable";
    NO_DEVICE = 100, "no CUDA-capable device is detected";
    INVALID_DEVICE = 101, "invalid device ordinal";
    INVALID_IMAGE = 200, "device kernel image is invalid";
    INVALID_CONTEXT = 201, "invalid device context";
    MAP_FAILED = 205, "mapping of buffer object failed";
    UNMAP_FAILED = 206, "unmapping of buffer object failed";
    ECC_UNCORRECTABLE = 214, "uncorrectable ECC error encountered";
    INVALID_PTX = 218, "a PTX JIT compilation failed";
    OPERATING_SYSTEM = 304, "OS call failed or operation not supported on this OS";
    INVALID_HANDLE = 400, "invalid resource handle";
    NOT_FOUND = 500, "named symbol not found";
    NOT_READY = 600, "device not ready";
    ILLEGAL_ADDRESS = 700, "an illegal memory access was encountered";
    LAUNCH_OUT_OF_RESOURCES = 701, "too many resources requested for launch";
    LAUNCH_TIMEOUT = 702, "the launch timed out and was terminated";
    PRIMARY_CONTEXT_ACTIVE = 708, "cannot set while device is active in this process";
    CONTEXT_IS_DESTROYED = 709, "context is destroyed";
    HOST_MEMORY_ALREADY_REGISTERED = 712, "part or all of the requested memory range is already mapped";
    HOST_MEMORY_NOT_REGISTERED = 713, "pointer does not correspond to a registered memory region";
    MISALIGNED_ADDRESS = 716, "misaligned address";
    LAUNCH_FAILED = 719, "unspecified launch failure";
    NOT_PERMITTED = 800, "operation not permitted";
    NOT_SUPPORTED = 801, "operation not supported";
    UNKNOWN = 999, "unknown error";
}

impl Status {
    /// An error unless this is success.
    pub(crate) fn result(self) -> Result {
        if self == Self::SUCCESS { Ok(()) } else { Err(self) }
    }

    /// As cuda.h spells it, with C's closing zero.
    pub(crate) fn c_name(self) -> Option<&'static str> {
        self.row().map(|row| row.1)
    }

    /// The driver's description, with C's closing zero.
    pub(crate) fn c_text(self) -> Option<&'static str> {
        self.row().map(|row| row.2)
    }

    /// As cuda.h spells it.
    pub(crate) fn name(self) -> &'static str {
        self.c_name().map_or("CUDA_ERROR_?", |name| name.trim_end_matches('\0'))
    }

    /// The code of a name as cuda.h spells it.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.1.trim_end_matches('\0') == name).map(|row| Self(row.0))
    }

    fn row(self) -> Option<&'static (u32, &'static str, &'static str)> {
        TABLE.iter().find(|row| row.0 == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        assert_eq!(Status::SUCCESS.name(), "CUDA_SUCCESS");
        assert_eq!(Status::LAUNCH_FAILED.name(), "CUDA_ERROR_LAUNCH_FAILED");
        assert_eq!(Status::from_name("CUDA_ERROR_OUT_OF_MEMORY"), Some(Status(2)));
        assert_eq!(Status::from_name("CUDA_ERROR"), None);
    }
}
