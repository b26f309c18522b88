//! The location of the shared library, and a directory through which programs find it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The names that FFmpeg and cudarc load.
const NAMES: [&str; 3] = ["libcuda.so", "libcuda.so.1", "libnvcuvid.so.1"];

/// The simulated device's library, which Cargo built for the running test.
///
/// # Panics
/// If it is not beside the running program: only a test that depends on this crate has it.
pub fn library() -> PathBuf {
    let program = std::env::current_exe().expect("a process knows its program");
    let dirs = program.ancestors().skip(1).take(2).flat_map(|dir| [dir.join("deps"), dir.into()]);
    let found = dirs.map(|dir| dir.join("libvas_sim_gpu.so")).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("no libvas_sim_gpu.so beside {}", program.display()))
}

/// A directory for `LD_LIBRARY_PATH`, `sim-gpu` beside the library's own, with the device under each
/// name. All names are one file: glibc then loads it once, and the state is shared.
///
/// # Panics
/// If it can't be created.
pub fn library_dir() -> PathBuf {
    let library = library();
    let parent = library.ancestors().nth(1).expect("a file is in a directory");
    let parent = if parent.ends_with("deps") { parent.parent().unwrap_or(parent) } else { parent };
    let dir = parent.join("sim-gpu");
    std::fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    for name in NAMES {
        link(&library, &dir.join(name));
    }
    dir
}

/// Creates a symbolic link, unless it is already correct: tests do this concurrently.
fn link(to: &Path, path: &Path) {
    if std::fs::read_link(path).is_ok_and(|now| now == to) {
        return;
    }
    let new = path.with_extension(format!("new{}", std::process::id()));
    let made = match std::os::unix::fs::symlink(to, &new) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    made.unwrap_or_else(|error| panic!("{}: {error}", new.display()));
    // Another thread of this process may have renamed it; then the link exists.
    if let Err(error) = std::fs::rename(&new, path) {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{}: {error}", path.display());
    }
}
