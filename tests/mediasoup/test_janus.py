"""A second receiver, Debian's Janus: viewers that decode, across outages of camera and shard.

Run by `make test-mediasoup`, with `test_mediasoup`.
"""

import asyncio
import itertools
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from rig import Camera, Case, Service
from test_mediasoup import clip, stanza
from viewer import Watching, assert_no_jump

PATIENCE = 60
NAMES = ("copy", "h264")


def free_ports(count):
    """Unused UDP ports."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Janus:
    """Janus with a mountpoint for each of two cameras, controlled over a Unix socket."""

    async def __aenter__(self):
        self.work = tempfile.TemporaryDirectory()
        work = pathlib.Path(self.work.name)
        self.ports = free_ports(4)
        mounts = "".join(
            f'{name}: {{ type = "rtp"  id = {number + 1}  media = ( {{ type = "video"  mid = "v"  '
            f'port = {self.ports[2 * number]}  rtcpport = {self.ports[2 * number + 1]}  pt = 96  '
            f'codec = "h264"  fmtp = "profile-level-id=42e01f;packetization-mode=1"  bufferkf = true }} ) }}\n'
            for number, name in enumerate(NAMES)
        )
        path = str(work / "janus.sock")
        (work / "janus.jcfg").write_text(
            'general: { configs_folder = "%s"  interface = "127.0.0.1"  debug_level = 3 }\n'
            'plugins: { disable = "libjanus_audiobridge.so,libjanus_echotest.so,libjanus_nosip.so,'
            'libjanus_recordplay.so,libjanus_sip.so,libjanus_textroom.so,libjanus_videocall.so,'
            'libjanus_videoroom.so,libjanus_voicemail.so,libjanus_lua.so,libjanus_duktape.so" }\n'
            'transports: { disable = "libjanus_http.so,libjanus_websockets.so,libjanus_mqtt.so,'
            'libjanus_nanomsg.so,libjanus_rabbitmq.so" }\n' % work
        )
        (work / "janus.transport.pfunix.jcfg").write_text(
            f'general: {{ enabled = true  json = "compact"  path = "{path}"  type = "SOCK_SEQPACKET" }}\n'
        )
        (work / "janus.plugin.streaming.jcfg").write_text(mounts)
        self.log = open(work / "log", "w+")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for _ in range(20):
            self.process = subprocess.Popen(
                ["janus", "--configs-folder", str(work)], stdout=self.log, stderr=self.log
            )
            if await self.connects(path):
                break
        else:
            raise AssertionError(self.words())
        self.socket.setblocking(False)
        self.numbers, self.waiting = itertools.count(), {}
        self.reader = asyncio.create_task(self.read())
        self.session = (await self.ask(janus="create"))["data"]["id"]
        return self

    async def __aexit__(self, *_):
        self.reader.cancel()
        self.socket.close()
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.work.cleanup()

    async def connects(self, path):
        """Whether it answers. Version 1.1.2 exits in a third of its starts: a thread of its Unix transport
        checks a flag that another one has not set yet."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            try:
                self.socket.connect(path)
                return True
            except OSError:
                assert time.monotonic() < deadline, self.words()
                await asyncio.sleep(0.05)
        return False

    def words(self):
        self.log.seek(0)
        return self.log.read()

    async def read(self):
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(self.socket, 1 << 16):
            answer = json.loads(data)
            # The answer follows an "ack".
            if answer["janus"] != "ack" and (future := self.waiting.pop(answer.get("transaction"), None)):
                future.set_result(answer)

    async def ask(self, **message):
        transaction = str(next(self.numbers))
        loop = asyncio.get_running_loop()
        future = self.waiting[transaction] = loop.create_future()
        await loop.sock_sendall(self.socket, json.dumps({"transaction": transaction, **message}).encode())
        answer = await asyncio.wait_for(future, PATIENCE)
        assert answer["janus"] != "error", answer
        return answer


class Viewer(Watching):
    """Watches one mountpoint."""

    async def watch(self, janus, mount):
        attach = {"janus": "attach", "session_id": janus.session, "plugin": "janus.plugin.streaming"}
        handle = (await janus.ask(**attach))["data"]["id"]
        say = {"janus": "message", "session_id": janus.session, "handle_id": handle}
        offer = (await janus.ask(**say, body={"request": "watch", "id": mount}))["jsep"]
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.peer.on("track", self.look_at)
        await self.peer.setRemoteDescription(RTCSessionDescription(offer["sdp"], offer["type"]))
        await self.peer.setLocalDescription(await self.peer.createAnswer())
        answer = self.peer.localDescription
        await janus.ask(**say, body={"request": "start"}, jsep={"type": answer.type, "sdp": answer.sdp})

    async def leave(self):
        self.task.cancel()
        await self.peer.close()


class ThroughJanus(Case):
    async def test_viewers_go_on_across_outages(self):
        janus = await self.enterAsyncContext(Janus())
        cameras = [Camera(clip("h264.mp4")), Camera(clip("h265.mp4"))]
        stanzas = [
            stanza(name, camera.url, janus.ports[2 * number], name)
            + f'rtcp = "127.0.0.1:{janus.ports[2 * number + 1]}"\n'
            for number, (name, camera) in enumerate(zip(NAMES, cameras))
        ]
        service = Service("".join(stanzas))
        viewers = []
        try:
            service.start()
            for number in range(2):
                await service.until("sending", lambda it: (it["producer"] or {}).get("state") == "sending", number)
            await service.read(*NAMES)
            for mount in (1, 2):
                for _ in range(3):
                    viewers.append(Viewer())
                    await viewers[-1].watch(janus, mount)
            for viewer in viewers:
                await viewer.until(25)
            for camera in cameras:
                camera.kill()
            for number in range(2):
                await service.until("an outage", lambda it: (it["producer"] or {}).get("state") == "waiting", number)
            for camera in cameras:
                camera.start()
            for viewer in viewers:
                await viewer.until(50)
            os.kill(service.shard(), signal.SIGKILL)
            for viewer in viewers:
                await viewer.until(50)
                assert_no_jump(self, viewer, "outages of camera and shard")
            await service.still_read()
        finally:
            for viewer in viewers:
                await viewer.leave()
            for camera in cameras:
                camera.kill()
            service.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
