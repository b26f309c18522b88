//! States which sources the two programs of this package are built from, in the variable `VAS_SOURCES`.
//!
//! It is a hash over what they are compiled from and not the commit: the same sources give the same value in a
//! checkout, in an unpacked archive and with changes that are not committed, and a commit that changes no source
//! rebuilds nothing. Only this package reads it, so only its two programs are compiled again.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let package = env::var_os("CARGO_MANIFEST_DIR").expect("Cargo sets it");
    let crates = Path::new(&package).join("..").canonicalize()?;
    let root = crates.join("..").canonicalize()?;
    let mut watched = vec![root.join("Cargo.lock"), root.join("Cargo.toml")];
    for folder in entries(&crates)? {
        let parts = ["Cargo.toml", "build.rs", "src"].map(|name| folder.join(name));
        watched.extend(parts.into_iter().filter(|part| part.exists()));
    }
    let mut files = Vec::new();
    for path in &watched {
        println!("cargo::rerun-if-changed={}", path.display());
        find(path, &mut files)?;
    }
    files.sort();
    let mut hash = Fnv1a::default();
    for file in files {
        let name = file.strip_prefix(&root).map_err(io::Error::other)?;
        hash.add(name.as_os_str().as_encoded_bytes());
        hash.add(&fs::read(&file)?);
    }
    println!("cargo::rustc-env=VAS_SOURCES={:016x}", hash.0);
    Ok(())
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

/// Adds `path`, or all files below it.
fn find(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    entries(path)?.iter().try_for_each(|entry| find(entry, files))
}

/// FNV-1a of 64 bits. Nobody forges a build, so no cryptographic hash is needed.
struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv1a {
    /// Adds a part with its length, so that no two lists of parts are the same bytes.
    fn add(&mut self, part: &[u8]) {
        for byte in (part.len() as u64).to_le_bytes().iter().chain(part) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
