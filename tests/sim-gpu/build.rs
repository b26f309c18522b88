//! How the shared library is linked.

#![forbid(unsafe_code)]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // What a program that dlopens `libcuda.so.1` later finds already loaded.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-soname,libcuda.so.1");
    // FFmpeg closes its libraries; threads of ours must not lose their code, nor handles their meaning.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-z,nodelete");
}
