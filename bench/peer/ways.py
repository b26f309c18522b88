"""The ways by which frames of cameras reach consumers, each with the processes that it takes.

A consumer is a process with one camera. `delivering` are the ids of all other processes.
"""

import json
import pathlib
import shutil
import subprocess
import time

import fleet

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"  # Debian's, which has gi, cv2 and numpy.
PATIENCE_S = 120


def descendants(pid):
    """A process and all that it has started."""
    found = [pid]
    for parent in found:
        try:
            for task in pathlib.Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue  # It has ended.
    return found


class NotUp(Exception):
    """A way brought no frame of some camera."""


class Way:
    """`cameras` are urls by name. `consumers` is how many of them each camera has."""

    def __init__(self, cameras, consumers, work, size, fps, pictures):
        self.cameras, self.count, self.work = cameras, consumers, pathlib.Path(work)
        self.width, self.height = map(int, size.split("x"))
        self.fps, self.pictures = fps, pictures
        self.processes, self.consumers = [], {}
        self.files = [self.work / f"{name}.{number}" for name in cameras for number in range(consumers)]

    def run(self, *command, **more):
        more = {"stdout": subprocess.DEVNULL, "stdin": subprocess.DEVNULL} | more
        with open(self.work / "log", "ab") as log:
            process = subprocess.Popen(list(map(str, command)), stderr=log, **more)
        self.processes.append(process)
        return process

    def consume(self, command):
        """Starts all consumers; `command` makes one's command from its camera, url and file."""
        for file in self.files:
            name = file.name.partition(".")[0]
            self.consumers[file] = self.run(*command(name, self.cameras[name], file)).pid

    def until(self, what, condition):
        begin = time.monotonic()
        while not condition():
            ended = [process for process in self.processes if process.poll() is not None]
            if ended or time.monotonic() > begin + PATIENCE_S:
                words = (self.work / "log").read_text()[-2000:]
                raise NotUp(f"bench/peers: {type(self).__name__}: no {what} within {PATIENCE_S} s ({ended})\n{words}")
            time.sleep(0.05)

    def start(self):
        self.launch()
        seen = lambda file: file.exists() and file.stat().st_size > 0
        self.until("frame of some camera", lambda: all(map(seen, self.files)))

    def delivering(self):
        readers = set(self.consumers.values())
        return [pid for process in self.processes for pid in descendants(process.pid) if pid not in readers]

    def frames(self):
        """Frames delivered so far, of ways without consumers."""

    def end(self):
        fleet.end(self.processes)


class Bare(Way):
    """ffmpeg that only decodes; what all others are compared with."""

    def launch(self):
        self.files = []
        for name, url in self.cameras.items():
            self.run("ffmpeg", "-v", "error", "-nostdin", "-threads", 1, "-rtsp_transport", "tcp", "-i", url,
                     "-stats_period", 0.25, "-progress", self.work / f"{name}.progress", "-f", "null", "-")
        self.until("frame of some camera", lambda: all(self.decoded(name) > 0 for name in self.cameras))

    def decoded(self, name):
        try:
            lines = (self.work / f"{name}.progress").read_text().splitlines()
        except FileNotFoundError:
            return 0
        return max((int(line[len("frame="):]) for line in lines if line.startswith("frame=")), default=0)

    def frames(self):
        return sum(map(self.decoded, self.cameras))


class Vas(Way):
    """One service for all cameras."""

    def launch(self):
        cameras = (f'[[camera]]\nid = "{name}"\n[[camera.input]]\nurl = "{url}"\nroles = ["export"]\n'
                   for name, url in self.cameras.items())
        self.service = fleet.Service("bench/peers", "".join(cameras))
        self.consume(lambda name, url, file: [
            fleet.TARGET / "consumer", self.service.export, name, self.fps, self.pictures, file])

    def delivering(self):
        return self.service.processes()

    def end(self):
        super().end()
        self.service.__exit__()


class Iceoryx2(Way):
    """The service's own decoder, frames through iceoryx2; one process for all cameras."""

    PREFIX = "vas_bench_"

    def launch(self):
        program = fleet.TARGET / "vas-bench-iceoryx2"
        self.run(program, "publish", self.PREFIX, *(f"{name}={url}" for name, url in self.cameras.items()))
        self.consume(lambda name, url, file: [
            program, "consume", self.PREFIX, name, self.fps, self.pictures, file])

    def end(self):
        super().end()
        for folder in ("/dev/shm", "/tmp/iceoryx2/services", "/tmp/iceoryx2/nodes"):
            for left in pathlib.Path(folder).glob(f"{self.PREFIX}*"):
                shutil.rmtree(left) if left.is_dir() else left.unlink()


class Gstreamer(Way):
    """gst-launch for each camera, with shmsink; consumers in Python with shmsrc."""

    def launch(self):
        socket = lambda name: self.work / f"{name}.socket"
        for name, url in self.cameras.items():
            self.run("gst-launch-1.0", "-q", "rtspsrc", f"location={url}", "protocols=tcp", "latency=0", "!",
                     "rtph264depay", "!", "h264parse", "!", "avdec_h264", "max-threads=1", "!",
                     "shmsink", f"socket-path={socket(name)}", "sync=false", "wait-for-connection=false")
        self.until("socket of some camera", lambda: all(socket(name).exists() for name in self.cameras))
        self.consume(lambda name, url, file: [
            PYTHON, HERE / "gstreamer.py", socket(name), self.width, self.height, self.fps, name, file])

    def end(self):
        super().end()
        for process in self.processes:
            for left in pathlib.Path("/dev/shm").glob(f"shmpipe.*{process.pid}.*"):
                left.unlink()


class Frigate(Way):
    """ffmpeg to a pipe, Python from there into shared memory."""

    def launch(self):
        process = self.run(PYTHON, HERE / "frigate.py", self.width, self.height, self.fps, self.count, self.work,
                           *(f"{name}={url}" for name, url in self.cameras.items()),
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        ids = json.loads(process.stdout.readline() or "{}")
        self.consumers = {self.work / f"{name}.{number}": pid
                          for name, pids in ids.items() for number, pid in enumerate(pids)}

    def end(self):
        pids = descendants(self.processes[0].pid)[1:]
        self.processes[0].stdin.close()
        try:
            self.processes[0].wait(10)
        except subprocess.TimeoutExpired:
            pass
        fleet.end(self.processes)
        for pid in pids:
            while pathlib.Path(f"/proc/{pid}").exists():
                time.sleep(0.05)


class Opencv(Way):
    """VideoCapture in each consumer, which decodes for itself."""

    def launch(self):
        self.consume(lambda name, url, file: [PYTHON, HERE / "opencv.py", url, self.fps, name, file])


WAYS = {"bare": Bare, "vas": Vas, "iceoryx2": Iceoryx2, "gstreamer": Gstreamer, "frigate": Frigate, "opencv": Opencv}
