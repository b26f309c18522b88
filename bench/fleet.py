"""Shared by bench/scale, bench/recorders and bench/peers: many simulated cameras, the service, and the cost of processes."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
TICKS = os.sysconf("SC_CLK_TCK")
# Streams of one simulator: each is a Python thread, of which one runs at a time.
STREAMS_OF_SIMULATOR = 75


def make_clip(work, size, fps, seconds, rate):
    """One clip for all cameras, encoded as in a camera: no B-frames, a key frame every 2 s."""
    path = f"{work}/{size}@{fps}.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", f"testsrc2=size={size}:rate={fps}",
         "-t", str(seconds), "-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency",
         "-pix_fmt", "yuv420p", "-g", str(2 * fps), "-b:v", rate, path],
        check=True,
    )
    return path


@contextlib.contextmanager
def simulated_cameras(clip, names):
    """GStreamer's RTSP server with a path for each name; their urls."""
    servers, urls = [], []
    try:
        for start in range(0, len(names), STREAMS_OF_SIMULATOR):
            mounts = [f"--mount={name}={clip},shared" for name in names[start:start + STREAMS_OF_SIMULATOR]]
            servers.append(subprocess.Popen(
                ["/usr/bin/python3", ROOT / "tests/rig/camera.py", *mounts],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            ))
        for server in servers:
            mounts = json.loads(server.stdout.readline())["mounts"]
            urls += [mount["url"] for mount in mounts.values()]
        yield dict(zip(names, urls))
    finally:
        end(servers)


def end(processes):
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Service:
    """`vas run`, with frame export on or off; everything that it writes is in memory or in its own folder."""

    def __init__(self, name, cameras, export=True, vas=None):
        self.name = name
        self.work = tempfile.TemporaryDirectory(prefix="vas-bench-")
        self.shared = tempfile.TemporaryDirectory(prefix="vas-bench-", dir="/dev/shm")
        self.folder = pathlib.Path(self.work.name)
        self.export = pathlib.Path(self.shared.name) / "vas"
        (self.folder / "recordings").mkdir()
        self.configure(cameras)
        self.started = time.monotonic()
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                [vas or TARGET / "vas", "run", "--config", self.folder / "vas.toml"],
                env=os.environ | {"AI_FRAME_EXPORT_ENABLED": "true" if export else "false"}, stdout=subprocess.DEVNULL, stderr=log,
            )
        self.readers = None

    def configure(self, cameras):
        (self.folder / "vas.toml").write_text(
            f'[service]\nrun_dir = "{self.folder}/run"\nshards = 1\n[export]\ndir = "{self.export}"\n'
            f'[record]\ndir = "{self.folder}/recordings"\n{cameras}'
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.readers:
            self.readers.stdin.close()
            self.readers.wait()
        end([self.process])
        self.work.cleanup()
        self.shared.cleanup()

    def cameras(self):
        """The cameras' status by id; empty before the first status."""
        try:
            status = json.loads((self.folder / "run/status.json").read_bytes())
        except FileNotFoundError:
            return {}
        return {camera["id"]: camera for camera in status["cameras"]}

    def until(self, what, patience_s, wanted):
        """Waits for a status as wanted; returns the seconds waited, and the status."""
        begin = time.monotonic()
        while not wanted(cameras := self.cameras()):
            if self.process.poll() is not None or time.monotonic() > begin + patience_s:
                words = (self.folder / "log").read_text()[-2000:]
                states = {id: (camera["state"], camera["reason"]) for id, camera in cameras.items()
                          if camera["state"] != "streaming"}
                sys.exit(f"{self.name}: not {what} within {patience_s} s: {states or cameras}\n{words}")
            time.sleep(0.2)
        return time.monotonic() - begin, cameras

    def until_up(self, count, patience_s):
        """Waits until all cameras stream; returns the seconds since the service was started."""
        up = lambda camera: camera["state"] == "streaming" and camera["received"] > 0
        self.until(f"{count} cameras up", patience_s,
                   lambda cameras: len(cameras) == count and all(map(up, cameras.values())))
        return time.monotonic() - self.started

    def read(self, names, options=()):
        """Starts a reader for each camera in `names`, in one process."""
        self.readers = subprocess.Popen(
            [TARGET / "readers", *options, self.export, *names],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def frames_read(self):
        """The number of frames that each reader has read."""
        self.readers.stdin.write("\n")
        self.readers.stdin.flush()
        return json.loads(self.readers.stdout.readline())

    def processes(self):
        """The supervisor and its shards."""
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]


def cpu_s(pids):
    """Processor time of processes so far, in seconds."""
    def of(pid):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS
    return sum(map(of, pids))


def run_times(pids):
    """Nanoseconds on a processor of each thread of processes, by number and name."""
    times = {}
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            try:
                name = (task / "comm").read_text().strip()
                times[(task.name, name)] = int((task / "schedstat").read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                continue  # It has ended.
    return times


def memory_kib(pids, key, file="status"):
    """Memory of processes: a line of /proc/PID/status or of smaps_rollup."""
    def of(pid):
        for line in pathlib.Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1])
        return 0
    return sum(map(of, pids))


def threads(pids):
    return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in pids)


def descriptors(pids):
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


def camera_toml(name, url, exported=True):
    """A camera that is recorded, and exported or not."""
    roles = '["record", "export"]' if exported else '["record"]'
    return f'[[camera]]\nid = "{name}"\n[[camera.input]]\nurl = "{url}"\nroles = {roles}\n'
