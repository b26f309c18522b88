//! The location of a device's shared library, and a directory through which programs find it.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A shared library that Cargo built for the running test, by its file's name.
///
/// # Panics
/// If it is not beside the running program: only a test that depends on its crate has it.
pub fn library(name: &str) -> PathBuf {
    let program = std::env::current_exe().expect("a process knows its program");
    let dirs = program.ancestors().skip(1).take(2).flat_map(|dir| [dir.join("deps"), dir.into()]);
    let found = dirs.map(|dir| dir.join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("no {name} beside {}", program.display()))
}

/// A directory beside the library's own, with the library under each name. All names are one file: glibc then
/// loads it once, and the state is shared.
///
/// # Panics
/// If it can't be created.
pub fn install(library: &Path, directory: &str, names: &[&str]) -> PathBuf {
    let parent = library.ancestors().nth(1).expect("a file is in a directory");
    let parent = if parent.ends_with("deps") { parent.parent().unwrap_or(parent) } else { parent };
    let dir = parent.join(directory);
    std::fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    for name in names {
        link(library, &dir.join(name));
    }
    dir
}

/// Makes a program look for libraries in this directory first, before those that the command names already.
///
/// # Panics
/// If a path contains a colon.
pub fn prefer_libraries(command: &mut Command, dir: &Path) {
    const NAME: &str = "LD_LIBRARY_PATH";
    let before = command.get_envs().find(|(name, _)| *name == NAME).and_then(|(_, value)| value);
    let before: Vec<PathBuf> =
        before.map_or(Vec::new(), |before| std::env::split_paths(before).collect());
    let paths = std::iter::once(dir.to_owned()).chain(before);
    let joined: OsString = std::env::join_paths(paths).expect("no colon in a path");
    command.env(NAME, joined);
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
