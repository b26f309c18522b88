//! VA-API's result codes: number and name (va.h, `VAStatus`).

/// A `VAStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Status(pub(crate) u32);

/// The result of a call; the error is the caller's result code.
pub(crate) type Result<T = ()> = std::result::Result<T, Status>;

macro_rules! statuses {
    ($($short:ident = $code:literal;)*) => {
        impl Status {
            $(
                #[allow(dead_code, reason = "some are only for faults to name")]
                pub(crate) const $short: Self = Self($code);
            )*
        }

        const TABLE: &[(u32, &str)] = &[$(($code, stringify!($short)),)*];
    };
}

statuses! {
    SUCCESS = 0;
    OPERATION_FAILED = 1;
    ALLOCATION_FAILED = 2;
    INVALID_DISPLAY = 3;
    INVALID_CONFIG = 4;
    INVALID_CONTEXT = 5;
    INVALID_SURFACE = 6;
    INVALID_BUFFER = 7;
    INVALID_IMAGE = 8;
    ATTR_NOT_SUPPORTED = 0xA;
    MAX_NUM_EXCEEDED = 0xB;
    UNSUPPORTED_PROFILE = 0xC;
    UNSUPPORTED_ENTRYPOINT = 0xD;
    UNSUPPORTED_RT_FORMAT = 0xE;
    SURFACE_BUSY = 0x10;
    INVALID_PARAMETER = 0x12;
    RESOLUTION_NOT_SUPPORTED = 0x13;
    UNIMPLEMENTED = 0x14;
    INVALID_IMAGE_FORMAT = 0x16;
    DECODING_ERROR = 0x17;
    HW_BUSY = 0x22;
    UNSUPPORTED_MEMORY_TYPE = 0x24;
    TIMEDOUT = 0x26;
    UNKNOWN = 0xFFFF_FFFF;
}

impl Status {
    /// As va.h spells it.
    pub(crate) fn name(self) -> String {
        match TABLE.iter().find(|row| row.0 == self.0) {
            Some((0, name)) => format!("VA_STATUS_{name}"),
            Some((_, name)) => format!("VA_STATUS_ERROR_{name}"),
            None => format!("VA_STATUS_{:#x}", self.0),
        }
    }

    /// The code of an error's name as va.h spells it.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let short = name.strip_prefix("VA_STATUS_ERROR_")?;
        TABLE.iter().find(|row| row.1 == short).map(|row| Self(row.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        assert_eq!(Status::SUCCESS.name(), "VA_STATUS_SUCCESS");
        assert_eq!(Status::DECODING_ERROR.name(), "VA_STATUS_ERROR_DECODING_ERROR");
        let name = "VA_STATUS_ERROR_ALLOCATION_FAILED";
        assert_eq!(Status::from_name(name), Some(Status::ALLOCATION_FAILED));
        assert_eq!(Status::from_name("VA_STATUS_ERROR"), None);
    }
}
