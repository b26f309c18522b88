#!/usr/bin/env bash
# Runs a program on simulated VA-API render nodes (tests/sim-vaapi/README.md); SIM_VA_* sets them up.
#
#   scripts/sim-vaapi.sh ffmpeg -hwaccel vaapi -hwaccel_device target/sim-vaapi/dri/renderD128 -i X -f framemd5 -
#   scripts/sim-vaapi.sh       only builds target/sim-vaapi: LD_LIBRARY_PATH, LIBVA_DRIVERS_PATH, and nodes in dri
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
cargo build --locked --quiet --manifest-path "$root/Cargo.toml" -p vas-sim-vaapi
dir=$target/sim-vaapi
mkdir -p "$dir/dri"
# One file under both names: glibc then loads it once, and the driver and its displays share their state.
for name in sim_drv_video.so libva-drm.so.2; do
    ln -sfn "$target/debug/libvas_sim_vaapi.so" "$dir/$name"
done
touch "$dir/dri/renderD128" "$dir/dri/renderD129"
if [ $# -eq 0 ]; then
    echo "$dir"
    exit
fi
echo "sim-vaapi: simulated nodes in $dir/dri; figures say nothing of real hardware" >&2
export LIBVA_DRIVERS_PATH=$dir LIBVA_DRIVER_NAME=sim SIM_VA_NODES=${SIM_VA_NODES:-$dir/dri}
# Where VAS looks for render nodes, and for what the kernel says about them: nothing.
export VAS_TEST_DRI_DIR=$SIM_VA_NODES VAS_TEST_DRM_DIR=$SIM_VA_NODES
LD_LIBRARY_PATH=$dir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} exec "$@"
