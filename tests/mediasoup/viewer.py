"""A viewer: a WebRTC receiver (pymediasoup on aiortc) that decodes, and records each picture's time stamp."""

import asyncio
import time

from aiortc.mediastreams import MediaStreamError
from pymediasoup import AiortcHandler, Device
from pymediasoup.models.transport import DtlsParameters, IceCandidate, IceParameters
from pymediasoup.rtp_parameters import RtpCapabilities, RtpParameters

CLOCK = 90_000


def assert_no_jump(test, viewer, since):
    """Checks that time stamps rise, and by no more than the time that passed."""
    pictures = viewer.pictures
    # aiortc returns a picture when the next one begins: the last before an outage comes after it.
    for (_, since_at, *_), (pts, *_), (next_pts, at, *_) in zip(pictures, pictures[1:], pictures[2:]):
        step, passed = (next_pts - pts) / CLOCK, at - since_at
        test.assertGreater(step, 0)
        test.assertLess(step, 2.5 + passed, f"{since}: {step} s within {passed} s")


def assert_whole(test, viewer, fps, since):
    """Checks that nearly all expected pictures came: no stage before the viewer dropped pictures to keep up."""
    first, last = viewer.pictures[0][0], viewer.pictures[-1][0]
    expected = (last - first) / CLOCK * fps
    test.assertGreater(len(viewer.pictures), 0.9 * expected, f"{since}: {len(viewer.pictures)} of {expected:.0f} pictures")


class Watching:
    """A decoder of a track, with the number of pictures it has decoded."""

    def __init__(self):
        self.pictures = []  # (RTP time stamp as pts, moment, width, height)
        self.task = None

    def look_at(self, track):
        self.task = asyncio.create_task(self.look(track))

    async def look(self, track):
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:  # The track is over.
                return
            self.pictures.append((frame.pts, time.monotonic(), frame.width, frame.height))

    async def until(self, count, patience=60):
        """Waits for `count` more pictures."""
        wanted = len(self.pictures) + count
        deadline = time.monotonic() + patience
        while len(self.pictures) < wanted:
            assert time.monotonic() < deadline, f"{count} pictures more, had {len(self.pictures)}"
            assert not self.task.done(), "the track is over"
            await asyncio.sleep(0.02)
        return self.pictures[wanted - count :]


class Viewer(Watching):
    """Watches one producer from `watch` to `leave`."""

    def __init__(self, sfu, producer):
        super().__init__()
        self.sfu, self.producer = sfu, producer
        self.transport = self.id = None

    async def watch(self):
        device = Device(handlerFactory=AiortcHandler.createFactory(tracks=[]))
        await device.load(RtpCapabilities(**await self.sfu.ask("capabilities")))
        offered = await self.sfu.ask("webrtc")
        self.id = offered["id"]
        self.transport = device.createRecvTransport(
            id=offered["id"],
            iceParameters=IceParameters(**offered["iceParameters"]),
            iceCandidates=[IceCandidate(**one) for one in offered["iceCandidates"]],
            dtlsParameters=DtlsParameters(**offered["dtlsParameters"]),
            # Without an empty list, aiortc waits for a public server.
            iceServers=[],
        )

        @self.transport.on("connect")
        async def on_connect(dtls):
            to = {"dtlsParameters": dtls.model_dump(exclude_none=True)}
            await self.sfu.ask("connect", transport=self.id, to=to)

        capabilities = device.rtpCapabilities.model_dump(exclude_none=True)
        consumed = await self.sfu.ask(
            "consume", transport=self.id, producer=self.producer, rtpCapabilities=capabilities
        )
        consumer = await self.transport.consume(
            id=consumed["id"],
            producerId=consumed["producerId"],
            kind=consumed["kind"],
            rtpParameters=RtpParameters(**consumed["rtpParameters"]),
        )
        self.consumer = consumed["id"]
        self.look_at(consumer.track)
        await self.sfu.ask("resume", consumer=self.consumer)

    async def leave(self):
        self.task.cancel()
        await self.transport.close()
        await self.sfu.ask("close", transport=self.id)
