//! Who crashed: the name that a dying thread had, left where another process finds it.
//!
//! Many cameras share a process, and a picture that crashes a decoder ends them all. So that the next process
//! can do without that one camera, each thread that works for a camera says so ([`name_thread`]), and a
//! handler ([`install`]) writes the name of the thread that a deadly signal met into a file that somebody else
//! holds, too. Then the signal takes its course: the process's exit status is what it would have been, and
//! Rust's words for a stack overflow are said.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! let file = tempfile::tempfile()?; // whoever outlives this process holds it, too
//! vas_crash::install(file.try_clone()?.into())?;
//! let _named = vas_crash::name_thread("gate");
//! assert_eq!(vas_crash::LastWords::read(&file)?, None, "nobody has crashed");
//! # Ok(())
//! # }
//! ```

mod handler;
mod last_words;
mod name;

pub use handler::install;
pub use last_words::LastWords;
pub use name::{ThreadName, name_thread};
