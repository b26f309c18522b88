//! Reader telemetry: what each reader of this host states about itself, for the status of the service.
//!
//! A reader that finds the readers directory keeps one small file there: who it is, which camera it reads, how many
//! frames it took and lost, and how old they were when it took them. The service only reads that directory, as
//! hostile: [`Scanner`] bounds what it looks at, and [`parse()`] what it believes. `docs/ref/reader-telemetry.md` states
//! the format for other languages.
//!
//! A reader stores into its own file and into no memory of the writer or of another reader, so nothing of this is a
//! channel back into the frame path.

mod ages;
mod layout;
mod parse;
mod record;
mod scan;
mod sweep;

pub use layout::{
    Ages, FILE_SIZE, HEADER, Header, MAGIC, NAME_BYTES, SUFFIX, VERSION, WINDOW, WINDOWS, Window,
};
pub use parse::{Malformed, ReaderReport, Recent, parse};
pub(crate) use record::{Identity, Page, Telemetry};
pub use scan::{Scan, Scanner};

/// The readers directory, unless [`DIR_VARIABLE`] or [`ReaderOptions::readers_dir`] names another.
///
/// [`ReaderOptions::readers_dir`]: crate::ReaderOptions::readers_dir
pub const DEFAULT_DIR: &str = "/run/vas-readers";

/// The environment variable with the readers directory; empty: no telemetry.
pub const DIR_VARIABLE: &str = "VAS_READERS_DIR";
