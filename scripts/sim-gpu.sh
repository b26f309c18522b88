#!/usr/bin/env bash
# Runs a program on simulated NVIDIA devices (tests/sim-gpu/README.md); SIM_GPU_* sets them up.
#
#   scripts/sim-gpu.sh ffmpeg -hwaccel cuda -i X -f framemd5 -
#   scripts/sim-gpu.sh                 only builds target/sim-gpu, a directory for LD_LIBRARY_PATH
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
cargo build --locked --quiet --manifest-path "$root/Cargo.toml" -p vas-sim-gpu
mkdir -p "$target/sim-gpu"
# One file under each name: glibc then loads it once, and libcuda and libnvcuvid share their state.
for name in libcuda.so libcuda.so.1 libnvcuvid.so.1; do
    ln -sfn "$target/debug/libvas_sim_gpu.so" "$target/sim-gpu/$name"
done
if [ $# -eq 0 ]; then
    echo "$target/sim-gpu"
    exit
fi
echo "sim-gpu: simulated devices; figures say nothing of real hardware" >&2
LD_LIBRARY_PATH=$target/sim-gpu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} exec "$@"
