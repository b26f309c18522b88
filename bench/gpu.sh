#!/usr/bin/env bash
# What a real NVIDIA GPU does for the service: concurrent decoders, bytes downloaded against the peak of
# pinned memory, age of frames in the ring, CPU per camera.
#
#   bench/gpu.sh [--cameras N] [--seconds S] [--gpu G] scripts/sim-gpu.sh bench/gpu.sh --simulated
#   tests this script; its figures mean nothing
#
# Refuses to run on tests/sim-gpu (exit code 3) without --simulated, which marks every line. Needs
# target/release/vas (or VAS_BIN), ffmpeg with libx264, and the driver. Not run on a real GPU yet.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
exec python3 - "$root" "$@" <<'PY'
import argparse, ctypes, json, os, pathlib, signal, subprocess, sys, tempfile, time

root = pathlib.Path(sys.argv.pop(1))
parser = argparse.ArgumentParser(prog="bench/gpu.sh")
parser.add_argument("--cameras", type=int, default=32, help="1080p25 H.264 cameras to ask for")
parser.add_argument("--seconds", type=int, default=30, help="how long to measure")
parser.add_argument("--gpu", type=int, default=0)
parser.add_argument("--simulated", action="store_true", help="on the simulated device")
options = parser.parse_args()


def refuse(words, code):
    print(f"bench/gpu.sh: {words}", file=sys.stderr)
    sys.exit(code)


try:
    cuda = ctypes.CDLL("libcuda.so.1")
except OSError as error:
    refuse(f"no NVIDIA driver: {error}", 2)
simulator = hasattr(cuda, "sim_gpu_is_simulated")
if simulator and not options.simulated:
    refuse("this is the simulated device of tests/sim-gpu, whose figures mean nothing; --simulated runs anyway", 3)
if options.simulated and not simulator:
    refuse("--simulated, but the driver is a real one", 3)
mark = "simulated  " if simulator else ""


def say(name, value):
    print(f"{mark}{name:<34}{value}", flush=True)


def ok(code, call):
    if code != 0:
        refuse(f"{call}: CUDA error {code}", 1)


def pinned_peak():
    """Bytes per second of plain copies from the device into the driver's own pinned memory."""
    size, copies = 64 << 20, 32
    device, context = ctypes.c_int(), ctypes.c_void_p()
    ok(cuda.cuInit(0), "cuInit")
    ok(cuda.cuDeviceGet(ctypes.byref(device), options.gpu), "cuDeviceGet")
    ok(cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device), "cuDevicePrimaryCtxRetain")
    ok(cuda.cuCtxSetCurrent(context), "cuCtxSetCurrent")
    name = ctypes.create_string_buffer(100)
    ok(cuda.cuDeviceGetName(name, 100, device), "cuDeviceGetName")
    source, host, stream = ctypes.c_uint64(), ctypes.c_void_p(), ctypes.c_void_p()
    ok(cuda.cuMemAlloc_v2(ctypes.byref(source), ctypes.c_size_t(size)), "cuMemAlloc")
    ok(cuda.cuMemAllocHost_v2(ctypes.byref(host), ctypes.c_size_t(size)), "cuMemAllocHost")
    ok(cuda.cuStreamCreate(ctypes.byref(stream), 1), "cuStreamCreate")
    best = 0.0
    for _ in range(3):
        start = time.monotonic()
        for _ in range(copies):
            ok(cuda.cuMemcpyDtoHAsync_v2(host, source, ctypes.c_size_t(size), stream), "cuMemcpyDtoHAsync")
        ok(cuda.cuStreamSynchronize(stream), "cuStreamSynchronize")
        best = max(best, size * copies / (time.monotonic() - start))
    cuda.cuStreamDestroy_v2(stream)
    cuda.cuMemFreeHost(host)
    cuda.cuMemFree_v2(source)
    cuda.cuCtxSetCurrent(None)
    cuda.cuDevicePrimaryCtxRelease_v2(device)
    return name.value.decode(), best


def ticks(pids):
    """User and system time of processes in seconds (proc(5))."""
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


vas = os.environ.get("VAS_BIN", root / "target/release/vas")
if not pathlib.Path(vas).exists():
    refuse(f"no {vas}: cargo build --release -p vas", 2)
name, peak = pinned_peak()
say("GPU", f"{options.gpu}, {name}")
say("pinned copies, peak", f"{peak / 1e9:.2f} GB/s")
with tempfile.TemporaryDirectory() as work, tempfile.TemporaryDirectory(dir="/dev/shm") as shared:
    work = pathlib.Path(work)
    clip = work / "clip.mp4"
    length = options.seconds + 30
    subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=25"]
        + ["-t", str(length), "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "50"]
        + ["-pix_fmt", "yuv420p", "-b:v", "4M", str(clip)], check=True)
    cameras = "".join(
        f'[[camera]]\nid = "c{n:03}"\nurl = "{clip}"\ndecode = "nvdec"\ngpu = {options.gpu}\nidle = "decode"\n'
        for n in range(options.cameras))
    config = work / "vas.toml"
    config.write_text(f'[service]\nrun_dir = "{work}/run"\n[export]\ndir = "{shared}/vas"\nslots = 8\n{cameras}')
    environment = {**os.environ, "AI_FRAME_EXPORT_ENABLED": "true"}
    log = open(work / "log", "w")
    service = subprocess.Popen([str(vas), "run", "--config", str(config)], env=environment, stderr=log)
    readers = []
    status = lambda: json.loads((work / "run/status.json").read_text())
    try:
        until = time.monotonic() + 20
        while time.monotonic() < until and len(list(pathlib.Path(shared).glob("vas/*/readers"))) < options.cameras:
            time.sleep(0.1)
        for n in range(options.cameras):
            command = [str(vas), "watch", f"c{n:03}", "--json", "--dir", f"{shared}/vas", "--timeout", "3600"]
            readers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        time.sleep(5)
        before, cpu, start = status(), ticks([s["pid"] for s in status()["shards"]]), time.monotonic()
        time.sleep(options.seconds)
        after = status()
        cpu = ticks([s["pid"] for s in after["shards"]]) - cpu
        took = time.monotonic() - start
        held = [c for c in after["cameras"] if (c["decoder"] or {}).get("kind") == "nvdec"]
        say("decoders held", f"{len(held)} of {options.cameras} asked for")
        for why in sorted({(c["decoder"] or {}).get("why") or "" for c in after["cameras"]} - {""}):
            say("not held", why)
        if held:
            count = lambda s, key: sum(c[key] for c in s["cameras"])
            exported = count(after, "exported") - count(before, "exported")
            rate = exported * 1920 * 1080 * 1.5 / took
            say("frames exported", f"{exported / took:.1f} a second, {exported / took / len(held):.2f} a camera")
            say("brought down", f"{rate / 1e9:.3f} GB/s, {100 * rate / peak:.1f} % of the peak (no more was asked for)")
            ages = sorted((c["export"] or {})["age"]["p99_ms"] or 0 for c in held)
            medians = sorted((c["export"] or {})["age"]["p50_ms"] or 0 for c in held)
            say("packet to slot, median camera", f"p50 {medians[len(held) // 2]:.1f} ms, p99 {ages[len(held) // 2]:.1f} ms")
            say("packet to slot, worst camera", f"p99 {ages[-1]:.1f} ms")
            say("CPU a camera", f"{100 * cpu / took / len(held):.2f} % of one processor")
            for why in sorted({((c["export"] or {}).get("download") or {}).get("why") or "" for c in held} - {""}):
                say("download", why)
    finally:
        for reader in readers:
            reader.kill()
        service.send_signal(signal.SIGTERM)
        service.wait()
PY
