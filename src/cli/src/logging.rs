//! Where log lines go, and which ones.

use std::env;
use std::io::{self, IsTerminal as _};

use clap::{ArgAction, Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The environment variable for the log filter.
const VARIABLE: &str = "VAS_LOG";

/// How much to log: `-v` and `-q` override `VAS_LOG`, which overrides `info`.
#[derive(Debug, Args)]
pub struct Verbosity {
    /// Log more: -v debug, -vv trace.
    #[arg(short, long, global = true, help_heading = "Logging")]
    #[arg(action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Log less: -q warnings and errors, -qq errors.
    #[arg(short, long, global = true, help_heading = "Logging")]
    #[arg(action = ArgAction::Count)]
    quiet: u8,
    /// Log format: human-readable, JSON, or journald's own with VAS_CAMERA and other fields. `auto`
    /// is journald's when standard error is connected to it, otherwise human-readable.
    #[arg(long, global = true, help_heading = "Logging", value_name = "FORMAT")]
    #[arg(value_enum, default_value_t)]
    log_format: LogFormat,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    #[default]
    Auto,
    Human,
    Json,
    Journald,
}

impl LogFormat {
    /// As typed on the command line.
    fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Human => "human",
            Self::Json => "json",
            Self::Journald => "journald",
        }
    }

    /// Resolves `auto`.
    fn decided(self, journal_stream: Option<&str>, stderr: Option<(u64, u64)>) -> Self {
        let journald = journal_stream.is_some_and(|stream| is_stream(stream, stderr));
        match self {
            Self::Auto if journald => Self::Journald,
            Self::Auto => Self::Human,
            given => given,
        }
    }
}

/// Whether `JOURNAL_STREAM`, as device and inode, is this file (systemd.exec(5)). Programs inherit
/// it even when their standard error is redirected.
fn is_stream(stream: &str, file: Option<(u64, u64)>) -> bool {
    let mut numbers = stream.split(':').map(|number| number.parse().ok());
    matches!((numbers.next(), numbers.next(), file),
        (Some(Some(device)), Some(Some(inode)), Some(file)) if (device, inode) == file)
}

/// `VAS_LOG` is not a log filter.
#[derive(Debug, thiserror::Error)]
#[error(
    "{VARIABLE} is {value:?}: {reason}; expected a level (error, warn, info, debug, trace) or \
     such as `ffmpeg=debug,info`"
)]
pub struct FilterError {
    value: String,
    reason: String,
}

impl Verbosity {
    /// Sends log lines to standard error from now on.
    ///
    /// # Errors
    /// `VAS_LOG` is invalid.
    pub fn start_logging(&self) -> Result<(), FilterError> {
        let variable = env::var_os(VARIABLE).map(|value| value.to_string_lossy().into_owned());
        let filter = self.filter(variable.as_deref())?;
        let stderr = rustix::fs::fstat(io::stderr()).ok().map(|stat| (stat.st_dev, stat.st_ino));
        let format = self.log_format.decided(env::var("JOURNAL_STREAM").ok().as_deref(), stderr);
        if format == LogFormat::Journald
            && let Ok(journald) = tracing_journald::layer()
        {
            // Whichever of the two programs this is.
            let journald = journald.with_syslog_identifier("vas".into());
            let journald = journald.with_field_prefix(Some("VAS".into()));
            tracing_subscriber::registry().with(journald).with(filter).init();
            return Ok(());
        }
        let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
        match format {
            LogFormat::Json => lines.json().flatten_event(true).init(),
            _ => lines.with_ansi(io::stderr().is_terminal()).init(),
        }
        Ok(())
    }

    /// The options as they are typed, for another process.
    pub fn to_args(&self) -> Vec<String> {
        let mut args = vec!["--log-format".to_owned(), self.log_format.word().to_owned()];
        args.extend(std::iter::repeat_n("-v".to_owned(), self.verbose.into()));
        args.extend(std::iter::repeat_n("-q".to_owned(), self.quiet.into()));
        args
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
        let verbosity = Verbosity { verbose, quiet, log_format: LogFormat::Auto };
        verbosity.filter(variable).map(|f| f.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn options_override_the_environment() {
        assert_eq!(filter(0, 0, None).unwrap(), "info");
        assert_eq!(filter(0, 0, Some("vas_media=trace,warn")).unwrap(), "vas_media=trace,warn");
        assert_eq!(filter(0, 1, Some("error")).unwrap(), "debug");
        assert_eq!(filter(0, 2, None).unwrap(), "trace");
        assert_eq!(filter(1, 0, Some("trace")).unwrap(), "warn");
        assert_eq!(filter(2, 0, None).unwrap(), "error");
    }

    #[test]
    fn an_invalid_filter_is_refused() {
        let words = filter(0, 0, Some("vas=loud")).unwrap_err();
        assert!(words.starts_with("VAS_LOG is \"vas=loud\": "), "{words}");
        assert!(words.contains("expected a level (error, warn, info, debug, trace)"), "{words}");
    }

    #[test]
    fn journald_is_used_if_it_listens() {
        let auto = |stream: &str, file| LogFormat::Auto.decided(Some(stream), file);
        assert_eq!(auto("9:77", Some((9, 77))), LogFormat::Journald);
        for (stream, file) in
            [("9:77", Some((9, 78))), ("9:77", None), ("9", Some((9, 9))), ("x:y", Some((1, 2)))]
        {
            assert_eq!(auto(stream, file), LogFormat::Human, "{stream}");
        }
        assert_eq!(LogFormat::Auto.decided(None, Some((9, 77))), LogFormat::Human);
        assert_eq!(LogFormat::Json.decided(Some("9:77"), Some((9, 77))), LogFormat::Json);
    }

    #[test]
    fn another_process_gets_the_same_options() {
        use clap::Parser as _;
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            verbosity: Verbosity,
        }
        let typed = ["vas", "-vv", "--log-format", "json"];
        let args = Cli::try_parse_from(typed).unwrap().verbosity.to_args();
        assert_eq!(args, ["--log-format", "json", "-v", "-v"]);
    }
}
