//! `AI_FRAME_EXPORT_ENABLED`: the single switch of the whole frame path (contract F1 to F3).

use std::ffi::OsStr;

/// Name of the environment variable.
pub(crate) const NAME: &str = "AI_FRAME_EXPORT_ENABLED";

/// Whether decoded frames are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameExport {
    /// No tap, no file, no mapping, no thread of the frame path, no decoder for it.
    Off,
    /// Cameras export their frames.
    On,
}

/// Why the service refuses to start: a typo must not silently mean off or on, nor may a program
/// start that lacks what is requested.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum FlagError {
    /// It is none of the accepted values.
    #[error("{NAME} is {0:?}; expected `true` or `1`, `false` or `0`, or not set at all (off)")]
    Value(String),
    /// It requests what this build lacks.
    #[error("{NAME} is true, but this program was built without the feature `frame-export`")]
    NotBuilt,
}

/// Parses the value of the flag's variable, `None` when unset.
///
/// # Errors
/// Any value but `true`, `false` (in any case), `1` and `0`; the empty string too. `true` in a build without
/// export.
pub(crate) fn parse(value: Option<&OsStr>) -> Result<FrameExport, FlagError> {
    let Some(value) = value else { return Ok(FrameExport::Off) };
    let value = value.to_string_lossy();
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" if cfg!(feature = "frame-export") => Ok(FrameExport::On),
        "true" | "1" => Err(FlagError::NotBuilt),
        "false" | "0" => Ok(FrameExport::Off),
        _ => Err(FlagError::Value(value.into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt as _;

    fn parse_str(value: &str) -> Result<FrameExport, FlagError> {
        parse(Some(OsStr::new(value)))
    }

    #[test]
    fn unset_is_off() {
        assert_eq!(parse(None), Ok(FrameExport::Off));
    }

    #[test]
    fn accepts_the_four_values() {
        for on in ["true", "1", "TRUE", "True"] {
            assert_eq!(parse_str(on), Ok(FrameExport::On), "{on}");
        }
        for off in ["false", "0", "FALSE"] {
            assert_eq!(parse_str(off), Ok(FrameExport::Off), "{off}");
        }
    }

    #[test]
    fn refuses_the_rest_by_name() {
        for bad in ["", "yes", "on", " true", "2", "01"] {
            let words = parse_str(bad).unwrap_err().to_string();
            assert!(words.contains(&format!("AI_FRAME_EXPORT_ENABLED is {bad:?}")), "{words}");
            assert!(words.contains("`true` or `1`, `false` or `0`"), "{words}");
        }
        assert!(parse(Some(OsStr::from_bytes(b"\xff"))).is_err());
    }
}
