//! Which build a program comes from: messages and arguments are only understood within one.

use std::ffi::OsStr;
use std::path::PathBuf;

/// The variable in which `vas` states its build to `vas-shard`.
pub const CALLER: &str = "VAS_BUILD";

/// The build of a program from `sources`, with or without the feature `frame-export`, such as
/// `0.1.0 (build 90a1c3f0e5b77d12)`. `sources` is the hash that the build script of the package `vas` states.
pub fn build(sources: &str, frame_export: bool) -> String {
    let without = if frame_export { "" } else { " without frame-export" };
    format!("{} (build {sources}{without})", env!("CARGO_PKG_VERSION"))
}

/// `vas-shard` was not started by a `vas` of its build.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OtherBuild {
    /// Something else started it.
    #[error(
        "vas-shard is the part of vas that works with FFmpeg, and does nothing by itself; run vas"
    )]
    NoCaller,
    /// A `vas` of another build started it: one of the two was replaced and the other was not.
    #[error(
        "{} is version {own}, but the vas that started it is version {caller}; install vas and vas-shard from the same \
         build, then restart the service",
        program.display()
    )]
    Differs {
        /// The file of `vas-shard`.
        program: PathBuf,
        /// Its build.
        own: String,
        /// The build of `vas`.
        caller: String,
    },
}

/// Compares this program's build with that of its caller, the value of [`CALLER`].
///
/// # Errors
/// They differ.
pub fn check_caller(own: &str, caller: Option<&OsStr>) -> Result<(), OtherBuild> {
    let caller = caller.ok_or(OtherBuild::NoCaller)?;
    if caller == own {
        return Ok(());
    }
    let program = std::env::current_exe().unwrap_or_else(|_| "vas-shard".into());
    Err(OtherBuild::Differs { program, own: own.into(), caller: caller.to_string_lossy().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_caller_of_the_same_build_is_accepted() {
        let own = build("90a1", true);
        assert_eq!(check_caller(&own, Some(OsStr::new(&build("90a1", true)))), Ok(()));
        assert_eq!(check_caller(&own, None), Err(OtherBuild::NoCaller));
        let of_other_sources = build("90a2", true);
        for other in [build("90a1", false), of_other_sources, "0.0.9".into(), String::new()] {
            let words = check_caller(&own, Some(OsStr::new(&other))).unwrap_err().to_string();
            assert!(words.contains(&format!("is version {own}, but")), "{words}");
            assert!(words.contains(&format!("started it is version {other};")), "{words}");
            assert!(words.contains("install vas and vas-shard from the same build"), "{words}");
        }
    }
}
