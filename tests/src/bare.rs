//! Builds a crate with only selected parts of the standard library.
//!
//! A crate can't do what it can't reach. Built against a folder with only `core`, it has no file,
//! socket, clock, thread or allocator, however it is written; with `forbid(unsafe_code)` it can't
//! create one either.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use vas_harness::waiting;

use crate::clip::run;

/// A crate of this workspace, and everything that it may use.
#[derive(Clone, Copy, Debug)]
pub struct Bare {
    /// Its package.
    pub package: &'static str,
    /// Its folder in `src`.
    pub folder: &'static str,
    /// Crates of the standard library.
    pub std: &'static [&'static str],
    /// Crates of this workspace.
    pub ours: &'static [Self],
}

impl Bare {
    /// Builds its sources, with `addition` at the end of `lib.rs`; returns the object file.
    ///
    /// # Errors
    /// The compiler's output.
    pub fn build(&self, work: &Path, addition: &str) -> Result<PathBuf, String> {
        let sources = work.join(self.folder);
        copy(&workspace().join("src").join(self.folder).join("src"), &sources);
        let lib = sources.join("lib.rs");
        let text = std::fs::read_to_string(&lib).unwrap();
        std::fs::write(&lib, format!("{text}\n{addition}\n")).unwrap();
        self.compile(work, &lib)
    }

    fn compile(&self, work: &Path, lib: &Path) -> Result<PathBuf, String> {
        let object = work.join(format!("{}.o", self.folder));
        let name = self.package.replace('-', "_");
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2024", "--crate-type", "rlib", "--crate-name", &name, "-O"]);
        rustc
            .args(["-C", "codegen-units=1", "-C", "embed-bitcode=no", "--emit", "obj,link"])
            .arg("--sysroot");
        rustc.arg(self.sysroot(work)).arg("--out-dir").arg(work).arg(lib);
        for ours in self.ours {
            ours.build(work, "")?;
            let name = ours.package.replace('-', "_");
            let library = work.join(format!("lib{name}.rlib"));
            rustc.arg("--extern").arg(format!("{name}={}", library.display()));
        }
        let _wait = waiting(format!("{rustc:?} to end"));
        let output = rustc.output().unwrap_or_else(|e| panic!("{rustc:?}: {e}"));
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        std::fs::rename(work.join(format!("{name}.o")), &object).unwrap();
        Ok(object)
    }

    /// A sysroot with those crates of the standard library and no others.
    fn sysroot(&self, work: &Path) -> PathBuf {
        let whole =
            PathBuf::from(run(Command::new("rustc").args(["--print", "target-libdir"])).trim());
        let target = whole.parent().unwrap().file_name().unwrap();
        let bare = work.join(format!("sysroot-{}", self.folder));
        let libraries = bare.join("lib/rustlib").join(target).join("lib");
        std::fs::create_dir_all(&libraries).unwrap();
        let mut found = 0;
        for entry in std::fs::read_dir(&whole).unwrap() {
            let file = entry.unwrap().path();
            let name = file.file_name().unwrap().to_str().unwrap();
            let wanted = |name: &str, part: &str| name.starts_with(&format!("lib{part}-"));
            if self.std.iter().chain(&["compiler_builtins"]).any(|part| wanted(name, part)) {
                found += 1;
                let _ = symlink(&file, libraries.join(name));
            }
        }
        assert!(found > self.std.len(), "{} has the standard library", whole.display());
        bare
    }

    /// The normal and build dependencies, features and build scripts in its manifest.
    pub fn manifest(&self) -> Vec<String> {
        let output = run(Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
            .args(["metadata", "--no-deps", "--locked", "--format-version", "1"])
            .current_dir(workspace()));
        let metadata: Value = serde_json::from_str(&output).unwrap();
        let packages = metadata["packages"].as_array().unwrap();
        let package = packages.iter().find(|package| package["name"] == self.package).unwrap();
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let used = dependencies.filter(|one| one["kind"] != "dev");
        let features = package["features"].as_object().unwrap().keys();
        let targets = package["targets"].as_array().unwrap().iter();
        let scripts = targets.filter(|target| target["kind"][0] == "custom-build");
        used.map(|one| one["name"].as_str().unwrap().to_owned())
            .chain(features.map(|name| format!("feature {name}")))
            .chain(scripts.map(|_| "build script".to_owned()))
            .collect()
    }
}

/// The undefined symbols of an object file.
pub fn wanted_symbols(object: &Path) -> Vec<String> {
    let names = run(Command::new("nm").args(["--undefined-only", "--demangle"]).arg(object));
    names.lines().map(|line| line.trim_start().trim_start_matches("U ").to_owned()).collect()
}

fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let file = entry.unwrap().path();
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}
