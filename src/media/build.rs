//! Sets `ffmpeg_before_7` for src/compat.rs if ffmpeg-sys-next was built for an FFmpeg older than 7.

#![forbid(unsafe_code)]

use std::env;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(ffmpeg_before_7)");
    println!("cargo::rerun-if-env-changed=DEP_FFMPEG_FFMPEG_7_0");
    // ffmpeg-sys-next always sets it; it is empty with an older FFmpeg.
    let is_7 = env::var("DEP_FFMPEG_FFMPEG_7_0")
        .expect("ffmpeg-sys-next states `ffmpeg_7_0` to its direct dependents");
    if is_7 != "true" {
        println!("cargo::rustc-cfg=ffmpeg_before_7");
    }
}
