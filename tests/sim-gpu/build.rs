//! How the shared library is linked.

#![forbid(unsafe_code)]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // So that a later dlopen of `libcuda.so.1` finds it already loaded.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-soname,libcuda.so.1");
    // FFmpeg closes its libraries, but the device's threads and handles must survive that.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-z,nodelete");
}
