//! Compiles the kernels for the processor.

use std::path::{Path, PathBuf};
use std::process::Command;

const STRICT: [&str; 5] = ["-std=c++17", "-Wall", "-Wextra", "-Wconversion", "-Werror"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The source, by GCC.
pub(crate) fn optimized() -> PathBuf {
    compile("optimized", |command| {
        command.args(["g++", "-O2"]).args(STRICT);
    })
}

/// The source with sanitizers: no access outside the planes or at an odd address of words, no overflow.
pub(crate) fn sanitized() -> PathBuf {
    compile("sanitized", |command| {
        command.args(["g++", "-O1", "-g", "-fsanitize=address,undefined"]).args(STRICT);
        command.arg("-fno-sanitize-recover=all");
    })
}

/// The intermediate representation from which `cuda/nv12.ptx` is generated, its special registers replaced by
/// functions. None where `scripts/build-ptx` doesn't find the compiler that it asks for.
pub(crate) fn representation() -> Option<PathBuf> {
    if !cfg!(target_arch = "x86_64") {
        eprintln!("not tried: other processors pass a structure in another way than it states");
        return None;
    }
    let text = run(Command::new(root().join("scripts/build-ptx")).arg("--ir"));
    if text.is_empty() {
        eprintln!("not tried: no compiler for cuda/nv12.ptx");
        return None;
    }
    let input = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.ll", std::process::id()));
    std::fs::write(&input, text).unwrap();
    let program = compile("representation", |command| {
        command.args(["clang++-14", "-O2", "-DVAS_IR", "-Wno-override-module"]).args(STRICT);
        command.args(["-x", "ir"]).arg(&input).args(["-x", "c++"]);
    });
    std::fs::remove_file(&input).unwrap();
    Some(program)
}

fn compile(name: &str, arguments: impl FnOnce(&mut Command)) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cuda-{name}"));
    // Another test run may be executing the existing program.
    let unfinished = program.with_extension(std::process::id().to_string());
    // `env` runs its first argument, so that a build's list begins with its compiler.
    let mut command = Command::new("env");
    arguments(&mut command);
    command.arg("-I").arg(root().join("cuda"));
    command.arg(root().join("src/scale/tests/cuda/run.cc")).arg("-o").arg(&unfinished);
    run(&mut command);
    std::fs::rename(&unfinished, &program).unwrap();
    program
}

fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}; `scripts/setup.sh test` installs it"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}
