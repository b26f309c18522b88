//! How the shared library is linked, and the kernels of `cuda/nv12.cu` for the processor.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

const INPUTS: [&str; 4] =
    ["build.rs", "kernels.cc", "../../cuda/nv12.cu", "../../scripts/build-ptx"];

fn main() {
    for input in INPUTS {
        println!("cargo::rerun-if-changed={input}");
    }
    // So that a later dlopen of `libcuda.so.1` finds it already loaded.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-soname,libcuda.so.1");
    // FFmpeg closes its libraries, but the device's threads and handles must survive that.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-z,nodelete");

    println!("cargo::rustc-check-cfg=cfg(kernels)");
    if let Some(from) = kernels() {
        println!("cargo::rustc-cfg=kernels");
        println!("cargo::rustc-env=SIM_GPU_KERNELS_FROM={from}");
    }
}

/// Compiles the kernels; returns what they were compiled from. `None`: there is no compiler for this target.
fn kernels() -> Option<&'static str> {
    let variable = |name| std::env::var(name).expect("cargo sets it");
    let (out, target) = (PathBuf::from(variable("OUT_DIR")), variable("TARGET"));
    let representation = run(Command::new("../../scripts/build-ptx").arg("--ir"));
    // Other processors pass a structure in another way than the representation states.
    let by_representation = !representation.is_empty() && target.starts_with("x86_64");
    let (from, objects) = if by_representation {
        let input = out.join("nv12.ll");
        std::fs::write(&input, representation).expect("cargo's directory takes files");
        let clang = || {
            let mut command = Command::new("clang++-14");
            command.args(["-c", "-O2", "-fPIC", "-Wno-override-module"]);
            command
        };
        let run_it = object(clang().args(["-DVAS_IR", "kernels.cc"]), &out, "run");
        let kernels = object(clang().args(["-x", "ir"]).arg(&input), &out, "nv12");
        ("intermediate representation", vec![run_it, kernels])
    } else {
        let clang = Command::new("clang++-14").arg("--version").output().is_ok();
        let mut compiler = match clang {
            true => Command::new("clang++-14"),
            false if target == variable("HOST") => Command::new("c++"),
            false => return None,
        };
        if clang {
            compiler.arg(format!("--target={target}"));
        }
        ("source", vec![object(compiler.args(["-c", "-O2", "-fPIC", "kernels.cc"]), &out, "run")])
    };
    let archive = out.join("libvas_sim_kernels.a");
    let _none = std::fs::remove_file(&archive);
    run(Command::new("ar").arg("crs").arg(&archive).args(&objects));
    println!("cargo::rustc-link-search=native={}", out.display());
    println!("cargo::rustc-link-lib=static=vas_sim_kernels");
    Some(from)
}

fn object(compiler: &mut Command, out: &Path, name: &str) -> PathBuf {
    let object = out.join(name).with_extension("o");
    run(compiler.arg("-o").arg(&object));
    object
}

fn run(command: &mut Command) -> Vec<u8> {
    let output =
        command.output().unwrap_or_else(|e| panic!("{command:?}: {e}; see scripts/setup.sh"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    output.stdout
}
