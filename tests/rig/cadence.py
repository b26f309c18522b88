#!/usr/bin/python3
"""Records real arrival patterns of frames: the fixtures of the gate's trial (docs/design/gate.md).

    tests/rig/cadence.py --vas target/debug/vas --to tests/fixtures/gate

A camera (camera.py) sends through a bad network (relay.py), at several frame rates, to the service, and
the output of `vas watch --json` is kept, without the fields that the trial does not need. Results differ
from run to run; the repository has those of one run.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

RIG = pathlib.Path(__file__).parent
KEYS = ("camera", "epoch", "frame_id", "pts_ns", "arrival_ns", "decoded_ns", "gate_ns", "published_ns")

# Typical Wi-Fi of cameras: most frames a few milliseconds late, some tens; sometimes nothing at all
# for half a second, and then everything at once.
BAD = ["--jitter", "4", "--stall", "5,0.6", "--seed", "1"]

# File, frames per second, network, and seconds.
TRIALS = (
    ("25", "25", BAD, 30),
    ("30", "30", BAD, 30),
    ("29.97", "30000/1001", BAD, 30),
    ("30-plain", "30", [], 20),
)

CONFIG = """
[service]
run_dir = "{run}"
[export]
dir = "{export}"
hold = "2s"
[[camera]]
id = "cam"
transport = "tcp"
url = "rtsp://127.0.0.1:{port}/cam"
"""


def encode(rate, path):
    source = f"testsrc2=size=640x360:rate={rate},noise=alls=6:allf=t"
    command = ["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", source, "-t", "10"]
    command += ["-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-g", "50"]
    subprocess.run([*command, "-b:v", "2M", "-pix_fmt", "yuv420p", path], check=True)


def start(processes, script, *arguments):
    """Starts a part of the rig and returns its port."""
    command = ["/usr/bin/python3", RIG / script, *arguments]
    processes.append(subprocess.Popen(command, stdout=subprocess.PIPE))
    return json.loads(processes[-1].stdout.readline())["port"]


def record(vas, rate, weather, seconds, work, export):
    clip = work / "clip.mp4"
    encode(rate, clip)
    processes = []
    try:
        camera = start(processes, "camera.py", "--mount", f"cam={clip},loop")
        port = start(processes, "relay.py", "--to", f"127.0.0.1:{camera}", *weather)
        config = work / "vas.toml"
        config.write_text(CONFIG.format(run=work / "run", export=export, port=port))
        environment = {**os.environ, "AI_FRAME_EXPORT_ENABLED": "true"}
        processes.append(subprocess.Popen([vas, "run", "--config", config], env=environment))
        while not (export / "cam" / "frame.meta").exists():
            if processes[-1].poll() is not None:
                raise SystemExit("cadence.py: vas run ended before it exported")
            time.sleep(0.05)
        frames = round(seconds * eval_rate(rate))
        watch = [vas, "watch", "cam", "--json", "--dir", export, "--count", str(frames), "--timeout", "30"]
        return subprocess.run(watch, check=True, stdout=subprocess.PIPE).stdout.decode()
    finally:
        for process in reversed(processes):
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait()


def eval_rate(rate):
    num, _, den = rate.partition("/")
    return int(num) / int(den or 1)


def main():
    names = ", ".join(trial[0] for trial in TRIALS)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vas", required=True, type=pathlib.Path, help="the service's program")
    parser.add_argument("--to", required=True, type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--only", metavar="NAME", help="only this recording: " + names)
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    for name, rate, weather, seconds in TRIALS:
        if arguments.only not in (None, name):
            continue
        with tempfile.TemporaryDirectory() as work, tempfile.TemporaryDirectory(dir="/dev/shm") as shm:
            work, export = pathlib.Path(work), pathlib.Path(shm) / "vas"
            lines = record(arguments.vas, rate, weather, seconds, work, export)
        frames = [json.loads(line) for line in lines.splitlines()]
        kept = [json.dumps({key: frame[key] for key in KEYS}, separators=(",", ":")) for frame in frames]
        (arguments.to / f"{name}.jsonl").write_text("\n".join(kept) + "\n")
        print(f"{name}: {len(kept)} frames")


if __name__ == "__main__":
    main()
