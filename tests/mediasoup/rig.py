"""Real parts on loopback: MediaSoup, a camera, the service."""

import asyncio
import faulthandler
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parent.parent
PATIENCE = 60
# Not a figure of the product: the time after which a test is ended, with its stacks printed.
LIMIT = 600


class Case(unittest.IsolatedAsyncioTestCase):
    """A test with a limit: after it, the stacks of all threads and tasks are printed, and the tests end."""

    async def asyncSetUp(self):
        # The loop's debug mode, which unittest switches on, is too slow for video.
        loop = asyncio.get_running_loop()
        loop.set_debug(False)
        watchdog = threading.Timer(LIMIT, self.end, (loop,))
        watchdog.daemon = True
        watchdog.start()
        self.addCleanup(watchdog.cancel)

    def end(self, loop):
        print(f"LIMIT: {self.id()} has waited {LIMIT} s in:", file=sys.stderr)
        for task in asyncio.all_tasks(loop):
            task.print_stack(file=sys.stderr)
        faulthandler.dump_traceback(sys.stderr)
        os._exit(1)


def line_of(process, what):
    """The first line that a process prints, within the limit of all waits."""
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
    assert ready, f"waited {PATIENCE} s for {what}"
    return process.stdout.readline()


def vas():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target"))
    path = pathlib.Path(os.environ.get("VAS_BIN", target / "debug/vas"))
    assert path.exists(), f"{path} does not exist: run `cargo build -p vas` first"
    return path


class Script:
    """A node script in its own process, with requests and answers as JSON lines."""

    name, beside = None, ()

    async def __aenter__(self):
        # Node looks for modules beside the script, so it runs where they are.
        cache = pathlib.Path(os.environ["VAS_MEDIASOUP"])
        for name in (self.name, *self.beside):
            (cache / name).write_bytes((HERE / name).read_bytes())
        self.process = await asyncio.create_subprocess_exec(
            "node", self.name, *self.beside, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            cwd=cache, limit=1 << 20,
        )
        self.waiting, self.n = {}, 0
        self.reader = asyncio.create_task(self.read())
        return self

    async def __aexit__(self, *_):
        self.process.stdin.close()
        self.reader.cancel()
        try:
            await asyncio.wait_for(self.process.wait(), 10)
        except asyncio.TimeoutError:
            self.process.kill()
            await self.process.wait()

    async def read(self):
        while line := await self.process.stdout.readline():
            answer = json.loads(line)
            self.waiting.pop(answer["n"]).set_result(answer)

    async def call(self, **what):
        self.n += 1
        future = self.waiting[self.n] = asyncio.get_running_loop().create_future()
        self.process.stdin.write(json.dumps({"n": self.n, **what}).encode() + b"\n")
        try:
            answer = await asyncio.wait_for(future, PATIENCE)
        except asyncio.TimeoutError:
            raise AssertionError(f"waited {PATIENCE} s for {self.name}'s answer to {what}") from None
        assert "error" not in answer, f"{what}: {answer['error']}"
        return answer["result"]


class Sfu(Script):
    """The router of sfu.mjs."""

    name = "sfu.mjs"

    async def ask(self, verb, **rest):
        return await self.call(verb=verb, **rest)


class Browser(Script):
    """Chromium, with the viewer of page.mjs in its page."""

    name, beside = "browser.mjs", ("page.mjs",)

    async def viewer(self, verb, *arguments):
        inside = ", ".join(json.dumps(one) for one in arguments)
        return await self.call(expression=f"viewer.{verb}({inside})")

    async def watch(self, sfu, producer):
        """Makes the page play a producer's stream."""
        takes = await self.viewer("load", await sfu.ask("capabilities"))
        offered = await sfu.ask("webrtc")
        consumed = await sfu.ask(
            "consume", transport=offered["id"], producer=producer, rtpCapabilities=takes
        )
        to = await self.viewer("receive", offered, consumed)
        await sfu.ask("connect", transport=offered["id"], to=to)
        await self.viewer("play")
        await sfu.ask("resume", consumer=consumed["id"])

    async def until(self, what, wanted):
        """The browser's statistics of the stream, once they are as wanted."""
        deadline = time.monotonic() + PATIENCE
        while not wanted(stats := await self.viewer("stats")):
            assert time.monotonic() < deadline, f"no {what}: {stats}"
            await asyncio.sleep(0.1)
        return stats


class Camera:
    """GStreamer's RTSP server (tests/rig/camera.py)."""

    def __init__(self, clip, options=",shared"):
        self.clip, self.options, self.port = clip, options, 0
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["/usr/bin/python3", REPO / "tests/rig/camera.py", "--port", str(self.port),
             "--mount", f"cam={self.clip}{self.options}"],
            stdout=subprocess.PIPE, text=True,
        )
        self.port = json.loads(line_of(self.process, "the camera to be ready"))["port"]

    @property
    def url(self):
        return f"rtsp://127.0.0.1:{self.port}/cam"

    def kill(self):
        self.process.kill()
        self.process.wait()


class Service:
    """`vas run` with these cameras, given as TOML. Frames are exported (contract V2), which must not affect viewers."""

    def __init__(self, cameras, flag="true", arguments=()):
        self.work = tempfile.TemporaryDirectory()
        self.shm = tempfile.TemporaryDirectory(dir="/dev/shm")
        work = pathlib.Path(self.work.name)
        self.config, self.run_dir, self.log_path = work / "vas.toml", work / "run", work / "log"
        self.dir = pathlib.Path(self.shm.name) / "vas"
        self.config.write_text(
            f'[service]\nrun_dir = "{self.run_dir}"\n[export]\ndir = "{self.dir}"\n{cameras}'
        )
        self.flag, self.arguments = flag, list(arguments)
        self.process = self.log = None
        self.readers = []

    def start(self):
        self.log = open(self.log_path, "a")
        self.process = subprocess.Popen(
            [vas(), "run", "--config", self.config, *self.arguments],
            env=dict(os.environ, AI_FRAME_EXPORT_ENABLED=self.flag), stderr=self.log,
        )

    async def read(self, *cameras):
        """Starts two readers for each camera, and suspends one of the two while it reads."""
        assert self.flag == "true", "nothing is exported"
        for camera in cameras:
            for end in ("read", "stopped"):
                seen = pathlib.Path(self.work.name) / f"{camera}.{end}"
                await self.until_there(self.dir / camera / "readers")
                command = [vas(), "watch", camera, "--json", "--timeout", "3600", "--dir", self.dir]
                with open(seen, "w") as out:
                    reader = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
                self.readers.append((reader, seen))
                await self.until_read(reader, seen, 1)
            reader.send_signal(signal.SIGSTOP)

    async def until_there(self, path):
        deadline = time.monotonic() + PATIENCE
        while not path.exists():
            assert time.monotonic() < deadline, f"waited {PATIENCE} s for {path}:\n{self.log_path.read_text()}"
            await asyncio.sleep(0.02)

    async def until_read(self, reader, seen, more):
        """Waits until a reader has read `more` further frames."""
        count = lambda: seen.read_bytes().count(b"\n")
        wanted, deadline = count() + more, time.monotonic() + PATIENCE
        while count() < wanted:
            assert reader.poll() is None, f"a reader ended: {seen.name}"
            assert time.monotonic() < deadline, f"waited {PATIENCE} s for {more} frames: {seen.name}"
            await asyncio.sleep(0.05)

    async def still_read(self):
        """Checks that frames are exported and read until the end of a test; otherwise it proves nothing."""
        assert self.readers, "nobody reads"
        for number, (reader, seen) in enumerate(self.readers):
            if number % 2 == 0:
                await self.until_read(reader, seen, 5)
            else:
                state = pathlib.Path(f"/proc/{reader.pid}/stat").read_text().rpartition(") ")[2][0]
                assert state == "T", f"the stopped reader is {state}"

    def parameters(self, camera):
        """The output of `vas producer-parameters`: argument and text."""
        command = [vas(), "producer-parameters", camera, "--config", self.config]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    def status(self, camera=0):
        try:
            return json.loads((self.run_dir / "status.json").read_text())["cameras"][camera]
        except (FileNotFoundError, IndexError):
            return None

    def shard(self):
        """The process that runs the cameras."""
        return json.loads((self.run_dir / "status.json").read_text())["shards"][0]["pid"]

    async def until(self, what, wanted, camera=0, patience=PATIENCE):
        deadline = time.monotonic() + patience
        while not ((status := self.status(camera)) and wanted(status)):
            words = self.log_path.read_text()
            assert self.process.poll() is None, f"vas ended before {what}:\n{words}"
            assert time.monotonic() < deadline, f"no {what}: {status}\n{words}"
            await asyncio.sleep(0.05)
        return status

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.log.close()
        return code

    def close(self):
        if self.process.poll() is None:
            self.stop()
        for reader, _ in self.readers:
            reader.kill()
            reader.wait()
        self.work.cleanup()
        self.shm.cleanup()
