"""The real service with generated cameras, for the tests of the package."""

import contextlib
import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ["VAS_TARGET"])
VAS = TARGET / "debug/vas"
# Longer than anything takes on a busy machine: a wait that reaches it fails.
PATIENCE = 60

# A camera that is exported and never has a frame: nobody listens there.
SILENT = '[[camera]]\nid = "silent"\nurl = "rtsp://127.0.0.1:9/silent"\n'


def generated(name, size="640x360", fps=25, keys=""):
    """The config of a camera of generated pictures."""
    return f'[[camera]]\nid = "{name}"\nurl = "testsrc:{size}@{fps}"\n{keys}\n'


def until(what, wanted):
    """Waits until `wanted` returns something true, and returns it."""
    deadline = time.monotonic() + PATIENCE
    while not (found := wanted()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not {what} within {PATIENCE} s")
        time.sleep(0.02)
    return found


class Service:
    """`vas run` with frame export; ends with the context."""

    def __init__(self, *cameras):
        self._folders = contextlib.ExitStack()
        enter = self._folders.enter_context
        self.folder = pathlib.Path(enter(tempfile.TemporaryDirectory(prefix="vas-python-")))
        self.dir = pathlib.Path(enter(tempfile.TemporaryDirectory(prefix="vas-python-", dir="/dev/shm"))) / "vas"
        self.process = None
        self.configure(*cameras)
        self.start()

    def configure(self, *cameras):
        self.names = [line.split('"')[1] for camera in cameras for line in camera.splitlines() if line.startswith("id")]
        (self.folder / "vas.toml").write_text(
            f'[service]\nrun_dir = "{self.folder}/run"\nshards = 1\n[export]\ndir = "{self.dir}"\n' + "".join(cameras))

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [VAS, "run", "--config", self.folder / "vas.toml"], stdout=log, stderr=log,
                env=os.environ | {"AI_FRAME_EXPORT_ENABLED": "true"}, start_new_session=True)
        self.until("exported", lambda: all((self.dir / name / "readers").exists() for name in self.names))

    def until(self, what, wanted):
        def checked():
            if self.process.poll() is not None:
                raise AssertionError(f"vas ended before: {what}\n{(self.folder / 'log').read_text()}")
            return wanted()
        try:
            return until(what, checked)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{(self.folder / 'log').read_text()[-4000:]}") from None

    def status(self, name):
        """A camera's status; None before the first one."""
        status = self.whole_status() or {"cameras": []}
        return next((camera for camera in status["cameras"] if camera["id"] == name), None)

    def whole_status(self):
        """The service's status; None before the first one."""
        with contextlib.suppress(FileNotFoundError):
            return json.loads((self.folder / "run/status.json").read_bytes())

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def kill(self):
        """Kills the service and its shards, as an out-of-memory killer would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self._folders.close()


def example_reader():
    """docs/examples/reader.py, an independent reader of the same format."""
    spec = importlib.util.spec_from_file_location("example_reader", ROOT / "docs/examples/reader.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_python(code, *arguments, **options):
    """Starts a program that has the package."""
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True, **options)
