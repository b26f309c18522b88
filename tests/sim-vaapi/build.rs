//! How the shared library is linked.

#![forbid(unsafe_code)]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The name by which FFmpeg's libavutil asks for it.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-soname,libva-drm.so.2");
    // libva unloads its driver with the display, but the nodes' state must survive that.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-z,nodelete");
}
