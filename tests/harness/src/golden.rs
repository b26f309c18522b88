//! Golden files: what a program writes, kept byte for byte, so that a change of it is seen and meant.

use std::fs;
use std::path::Path;

/// Fails unless `written` is what the golden file at `path` holds; the path starts at the package, where Cargo runs tests.
///
/// With `BLESS=1` in the environment it writes the file instead: `BLESS=1 cargo test golden`, then read `git diff`.
///
/// # Panics
/// They differ, or there is no such file.
#[track_caller]
pub fn assert_golden(path: impl AsRef<Path>, written: &str) {
    let path = path.as_ref();
    let name = path.display();
    if std::env::var_os("BLESS").is_some_and(|bless| bless == "1") {
        fs::write(path, written).unwrap_or_else(|error| panic!("{name}: {error}"));
        return;
    }
    let golden = fs::read_to_string(path);
    let golden = golden.unwrap_or_else(|error| panic!("{name}: {error}; BLESS=1 writes it"));
    if golden == written {
        return;
    }
    let (mut was, mut is) = (golden.lines(), written.lines());
    let differ = (1..).find_map(|line| match (was.next(), is.next()) {
        (None, None) => Some((line, None, None)),
        (was, is) => (was != is).then_some((line, was, is)),
    });
    let (line, was, is) = differ.expect("the lines end");
    panic!(
        "{name}:{line}: golden file: {was:?}, now: {is:?} (if both are `None`, the ends of lines differ); if that \
         is meant, BLESS=1 writes the file"
    );
}
