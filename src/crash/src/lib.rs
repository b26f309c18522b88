//! Who crashed: the name of a dying thread, written where another process finds it.
//!
//! Many cameras share a process, and a picture that crashes a decoder ends them all. So that the
//! next process can leave out that one camera, each thread that works for a camera is given its
//! name ([`name_thread`]), and a handler ([`install`]) writes the name of the thread that received
//! a fatal signal into a file that another process also holds. Then the signal takes its course:
//! the process's exit status is what it would have been, and Rust reports a stack overflow as
//! usual.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! let file = tempfile::tempfile()?; // a process that outlives this one holds it, too
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
