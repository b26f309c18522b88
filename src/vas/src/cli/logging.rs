//! Where log lines go, and which.

use std::env;
use std::io::{self, IsTerminal as _};

use clap::{ArgAction, Args};
use tracing_subscriber::EnvFilter;

/// The environment variable that says what to log.
const VARIABLE: &str = "VAS_LOG";

/// How much to log: `-v` and `-q` stand over `VAS_LOG`, which stands over `info`.
#[derive(Debug, Args)]
pub(crate) struct Verbosity {
    /// Log more: -v debug, -vv trace.
    #[arg(short, long, global = true, help_heading = "Logging")]
    #[arg(action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Log less: -q warnings and errors, -qq errors.
    #[arg(short, long, global = true, help_heading = "Logging")]
    #[arg(action = ArgAction::Count)]
    quiet: u8,
}

/// `VAS_LOG` is no log filter.
#[derive(Debug, thiserror::Error)]
#[error(
    "{VARIABLE} is {value:?}: {reason}; expected a level (error, warn, info, debug, trace) or \
     such as `ffmpeg=debug,info`"
)]
pub(crate) struct FilterError {
    value: String,
    reason: String,
}

impl Verbosity {
    /// Sends log lines to standard error from here on.
    ///
    /// # Errors
    /// `VAS_LOG` can't be understood.
    pub(crate) fn start_logging(&self) -> Result<(), FilterError> {
        let variable = env::var_os(VARIABLE).map(|value| value.to_string_lossy().into_owned());
        tracing_subscriber::fmt()
            .with_env_filter(self.filter(variable.as_deref())?)
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal())
            .init();
        Ok(())
    }

    fn filter(&self, variable: Option<&str>) -> Result<EnvFilter, FilterError> {
        let directives = match (self.quiet, self.verbose) {
            (0, 0) => variable.unwrap_or("info"),
            (0, 1) => "debug",
            (0, _) => "trace",
            (1, _) => "warn",
            _ => "error",
        };
        EnvFilter::try_new(directives)
            .map_err(|e| FilterError { value: directives.into(), reason: e.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(quiet: u8, verbose: u8, variable: Option<&str>) -> Result<String, String> {
        let verbosity = Verbosity { verbose, quiet };
        verbosity.filter(variable).map(|f| f.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn what_was_typed_stands_over_the_environment() {
        assert_eq!(filter(0, 0, None).unwrap(), "info");
        assert_eq!(filter(0, 0, Some("vas_media=trace,warn")).unwrap(), "vas_media=trace,warn");
        assert_eq!(filter(0, 1, Some("error")).unwrap(), "debug");
        assert_eq!(filter(0, 2, None).unwrap(), "trace");
        assert_eq!(filter(1, 0, Some("trace")).unwrap(), "warn");
        assert_eq!(filter(2, 0, None).unwrap(), "error");
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_refused() {
        let words = filter(0, 0, Some("vas=loud")).unwrap_err();
        assert!(words.starts_with("VAS_LOG is \"vas=loud\": "), "{words}");
        assert!(words.contains("expected a level (error, warn, info, debug, trace)"), "{words}");
    }
}
