"""MediaSoup's own worker, viewers that decode, and outages of cameras and service.

Run by `make test-mediasoup`.
"""

import asyncio
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

from rig import Camera, Case, Service, Sfu
from viewer import CLOCK, Viewer, assert_no_jump, assert_whole

CLIPS = pathlib.Path(tempfile.mkdtemp(prefix="vas-mediasoup-clips-"))
SIZE = "640x360"
FPS = 25
# Ticks of RTP's clock within which a key frame follows a request for one: 200 ms.
ANSWERED_WITHIN = CLOCK // 5
REQUESTS = 7
PICTURES = {
    # A stream that every viewer decodes, copied.
    "h264.mp4": ["-c:v", "libx264", "-preset", "veryfast", "-profile:v", "baseline", "-bf", "0", "-g", "25"],
    # A stream that MediaSoup does not accept, with reordered pictures.
    "h265.mp4": ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params",
                 "log-level=error:bframes=2:keyint=25"],
}


def clip(name):
    path = CLIPS / name
    if not path.exists():
        picture = f"testsrc2=size={SIZE}:rate={FPS}:duration=8,noise=alls=3:allf=t,format=yuv420p"
        subprocess.run(
            ["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", picture, *PICTURES[name], path],
            check=True,
        )
    return path


def stanza(name, url, port, video):
    return (
        f'[[camera]]\nid = "{name}"\nurl = "{url}"\ntransport = "tcp"\n'
        f'[camera.producer]\nrtp = "127.0.0.1:{port}"\nvideo = "{video}"\n'
    )


class Streams(Case):
    """A camera each for `copy` and `h264`, in one service, with three viewers each. Frames of both are exported, and
    read by two processes each, one of which is suspended (contract V2)."""

    async def start(self, flag="true", extra=""):
        self.watching = []
        self.sfu = await self.enterAsyncContext(Sfu())
        self.cameras = [Camera(clip("h264.mp4")), Camera(clip("h265.mp4"))]
        self.plain = [await self.sfu.ask("plain"), await self.sfu.ask("plain")]
        stanzas = [
            stanza(name, camera.url, plain["rtp"], name) + extra
            for name, camera, plain in zip(("copy", "h264"), self.cameras, self.plain)
        ]
        self.service = Service("".join(stanzas), flag)
        self.service.start()
        self.producers = []
        for name, plain in zip(("copy", "h264"), self.plain):
            parameters, words = self.service.parameters(name)
            self.assertNotIn("the router must list", words, "Constrained Baseline needs no such text")
            made = await self.sfu.ask("produce", transport=plain["id"], parameters=parameters)
            self.producers.append(made["id"])
        if flag == "true":
            await self.service.read("copy", "h264")

    async def asyncTearDown(self):
        for viewer in self.watching:
            await viewer.leave()
        for camera in self.cameras:
            camera.kill()
        self.service.close()

    async def viewers(self, count):
        found = [Viewer(self.sfu, producer) for producer in self.producers for _ in range(count)]
        await asyncio.gather(*(viewer.watch() for viewer in found))
        self.watching += found
        return found

    async def test_viewers_come_leave_and_return(self):
        await self.start()
        viewers = await self.viewers(2)
        for viewer in viewers:
            await viewer.until(25)
        late = await self.viewers(1)
        for viewer in late:
            (_, _, width, height), *_ = await viewer.until(5)
            self.assertEqual(f"{width}x{height}", SIZE)
        gone = viewers.pop()
        self.watching.remove(gone)
        await gone.leave()
        back = Viewer(self.sfu, gone.producer)
        await back.watch()
        self.watching.append(back)
        for viewer in [*viewers, *late, back]:
            await viewer.until(25)
            assert_no_jump(self, viewer, "coming and going")
            assert_whole(self, viewer, FPS, "coming and going")
        for camera, producer in enumerate(self.producers):
            stats = await self.sfu.ask("stats", producer=producer)
            self.assertEqual(stats["packetsLost"], 0, stats)
            counts = self.service.status(camera)["producer"]
            self.assertGreater(counts["pli"], 0, "late viewers request key frames")
            # A viewer joins a running stream between two key frames.
            del counts["dropped"]["before_key"]
            self.assertEqual(sum(counts["dropped"].values()), 0, counts)
            self.assertEqual(self.service.status(camera)["dropped"]["overload"], 0, "decoding keeps up")
        await self.service.still_read()
        self.assertEqual(self.service.stop(), 0)

    async def test_the_camera_comes_back(self):
        await self.start()
        viewers = await self.viewers(3)
        for viewer in viewers:
            await viewer.until(25)
        for camera in self.cameras:
            camera.kill()
        for number in range(2):
            await self.service.until("an outage", lambda it: (it["producer"] or {}).get("state") == "waiting", number)
        for camera in self.cameras:
            camera.start()
        for viewer in viewers:
            await viewer.until(50)
            assert_no_jump(self, viewer, "the camera's outage")
        for producer in self.producers:
            stats = await self.sfu.ask("stats", producer=producer)
            self.assertEqual(stats["packetsLost"], 0, "an outage leaves no gap in sequence numbers")
        await self.service.still_read()

    async def test_the_shard_comes_back(self):
        await self.start()
        viewers = await self.viewers(3)
        for viewer in viewers:
            await viewer.until(25)
        before = [self.service.status(number)["producer"]["from"] for number in range(2)]
        os.kill(self.service.shard(), signal.SIGKILL)
        for viewer in viewers:
            await viewer.until(75)
            assert_no_jump(self, viewer, "the shard's outage")
        for number, producer in enumerate(self.producers):
            stats = await self.sfu.ask("stats", producer=producer)
            # At most one that was counted but not sent any more.
            self.assertLessEqual(stats["packetsLost"], 1, stats)
            status = await self.service.until("a status", lambda it: (it["producer"] or {}).get("from"), number)
            self.assertEqual(status["producer"]["from"], before[number], "the same socket")
        await self.service.still_read()

    async def test_a_key_frame_comes_when_one_is_asked_for(self):
        await self.start()
        [copy, encoded] = await self.viewers(1)
        for _ in range(REQUESTS):
            await encoded.until(25)
            await self.sfu.ask("keyFrame", consumer=encoded.consumer)
        await encoded.until(25)
        traces = await self.sfu.ask("traces", producer=encoded.producer)
        asked = [at for at, trace in enumerate(traces) if trace["type"] == "pli"]
        self.assertGreaterEqual(len(asked), REQUESTS, "requests were sent")
        answers = []
        for at in asked:
            came = next((trace for trace in traces[at:] if trace["type"] == "keyframe"), None)
            self.assertIsNotNone(came, "each request is followed by a key frame")
            before = [trace["rtp"] for trace in traces[:at] if trace.get("rtp") is not None]
            # Without one it is the viewer's first request, from before the first packet.
            if before:
                answers.append((came["rtp"] - before[-1]) % (1 << 32))
        # In the pictures' own time, and by the median, so that one answer delayed on a busy machine does not count.
        self.assertLessEqual(sorted(answers)[len(answers) // 2], ANSWERED_WITHIN, f"{answers} ticks of 1/{CLOCK} s")
        print(f"key frames {[round(ticks * 1000 / CLOCK) for ticks in answers]} ms after the requests")
        # For a copied stream, requests are counted and logged.
        await self.sfu.ask("keyFrame", consumer=copy.consumer)
        await self.service.until("a request", lambda it: (it["producer"] or {}).get("pli"), 0)
        await self.service.still_read()


if __name__ == "__main__":
    unittest.main(verbosity=2)
