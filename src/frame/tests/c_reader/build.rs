//! Compiles and runs the C programs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// As strict as possible: users may build the reader with any of these.
const WARNINGS: [&str; 8] = [
    "-std=c11",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wshadow",
    "-Wcast-qual",
    "-Werror",
];

/// A compiler, and the machine for its programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Build {
    Gcc,
    Clang,
    Sanitized,
    Aarch64,
}

impl Build {
    pub(crate) const ALL: [Self; 4] = [Self::Gcc, Self::Clang, Self::Sanitized, Self::Aarch64];

    /// The compiler with its flags.
    fn compiler(self) -> &'static [&'static str] {
        match self {
            Self::Gcc => &["gcc", "-O2"],
            Self::Clang => &["clang", "-O2"],
            Self::Sanitized => {
                &["gcc", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
            }
            Self::Aarch64 => &["aarch64-linux-gnu-gcc", "-O2", "-static"],
        }
    }

    /// A command that runs a program built from `sources` in `src/c`.
    pub(crate) fn program(self, sources: &[&str]) -> Command {
        let path = self.compile(sources);
        match self {
            Self::Aarch64 => {
                let mut command = Command::new("qemu-aarch64");
                command.arg(path);
                command
            }
            _ => Command::new(path),
        }
    }

    /// Compiles once per test run.
    fn compile(self, sources: &[&str]) -> PathBuf {
        static DONE: Mutex<Option<HashMap<(Build, String), PathBuf>>> = Mutex::new(None);
        let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
        let programs = done.get_or_insert_default();
        programs.entry((self, sources.join(" "))).or_insert_with(|| self.build(sources)).clone()
    }

    fn build(self, sources: &[&str]) -> PathBuf {
        let name = Path::new(sources[0]).file_stem().unwrap().display();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("c-{name}-{self:?}"));
        // Another test run may be executing the existing program.
        let unfinished = path.with_extension(std::process::id().to_string());
        let (compiler, flags) = self.compiler().split_first().unwrap();
        run(Command::new(compiler)
            .args(WARNINGS)
            .args(flags)
            .arg("-o")
            .arg(&unfinished)
            .args(sources.iter().map(|source| c_dir().join(source))));
        std::fs::rename(&unfinished, &path).unwrap();
        path
    }
}

pub(crate) fn c_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../c")
}

/// Runs a command to its end and returns its standard output.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}; `scripts/setup.sh test` installs it"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_cpp_program_includes_and_links_it() {
    let dir = tempfile::tempdir().unwrap();
    let (object, program) = (dir.path().join("vas_frame.o"), dir.path().join("program"));
    let source = dir.path().join("program.cpp");
    std::fs::write(
        &source,
        "#include \"vas_frame.h\"\n\
         #include <cstdio>\n\
         int main() {\n\
             vas_options options = VAS_OPTIONS_INIT;\n\
             options.max_fps = 5;\n\
             vas_reader *reader;\n\
             if (vas_reader_open(\"../gate\", &options, &reader) != VAS_BAD_ARGUMENT) return 1;\n\
             vas_frame frame{}; vas_frame_release(&frame); std::puts(vas_strerror(VAS_OK)); }\n",
    )
    .unwrap();
    let reader = c_dir().join("vas_frame.c");
    run(Command::new("gcc").args(WARNINGS).arg("-c").arg(reader).arg("-o").arg(&object));
    for standard in ["-std=c++11", "-std=c++20"] {
        run(Command::new("g++")
            .args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-I"])
            .arg(c_dir())
            .args([&source, &object])
            .arg("-o")
            .arg(&program));
        assert_eq!(run(&mut Command::new(&program)), "no error\n");
    }
}

/// The README's program compiles.
#[test]
fn the_readme_compiles() {
    let dir = tempfile::tempdir().unwrap();
    let page = std::fs::read_to_string(c_dir().join("README.md")).unwrap();
    let program = page.split_once("```c\n").unwrap().1.split_once("```").unwrap().0;
    let source = dir.path().join("program.c");
    std::fs::write(&source, program).unwrap();
    let reader = c_dir().join("vas_frame.c");
    run(Command::new("gcc")
        .args(WARNINGS)
        .arg("-I")
        .arg(c_dir())
        .args([&source, &reader])
        .arg("-o")
        .arg(dir.path().join("program")));
}
