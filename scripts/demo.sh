#!/usr/bin/env bash
# A real RTSP camera on loopback, the service, and a reader: `make demo`.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath "${CARGO_TARGET_DIR:-target}")
vas=$target/debug/vas
work=$(mktemp -d)
export_dir=$(mktemp -d /dev/shm/vas-demo.XXXXXX)
# Not in /tmp, where another user's file may be in the way.
picture=$target/vas-demo.png
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work" "$export_dir"
}
trap finish EXIT

echo "demo: encoding a test picture"
ffmpeg -v error -nostdin -f lavfi -i testsrc2=size=1280x720:rate=25:duration=4,format=yuv420p \
    -c:v libx264 -preset veryfast -profile:v main -bf 2 -g 25 "$work/clip.mp4"

echo "demo: starting a camera (GStreamer's RTSP server)"
/usr/bin/python3 tests/rig/camera.py --mount "demo=$work/clip.mp4,loop" >"$work/camera.json" &
pids+=($!)
until [ -s "$work/camera.json" ]; do kill -0 "${pids[0]}"; sleep 0.1; done
port=$(/usr/bin/python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["port"])' "$work/camera.json")

cat >"$work/vas.toml" <<TOML
[service]
run_dir = "$work/run"

[export]
dir = "$export_dir"

[[camera]]
id = "demo"
url = "rtsp://127.0.0.1:$port/demo"
TOML
echo "demo: AI_FRAME_EXPORT_ENABLED=true vas run --config vas.toml"
AI_FRAME_EXPORT_ENABLED=true "$vas" run --config "$work/vas.toml" &
pids+=($!)
until [ -e "$export_dir/demo/readers" ]; do kill -0 "${pids[1]}"; sleep 0.1; done

echo "demo: vas watch demo --count 30"
"$vas" watch demo --dir "$export_dir" --count 30 --timeout 20
"$vas" snapshot demo --dir "$export_dir" -o "$picture"
echo "demo: the picture is $picture; stopping and cleaning up"
