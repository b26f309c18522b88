"""A scripted RTSP camera: conforming, except for the steps that a script changes.

A script is a set of functions, each taking part in one step:

    units(units)                         the clip's pictures, once
    description(camera)                  the whole SDP, instead of the usual one
    answers(camera, session, request, answer)
                                         the answer to send; CLOSE, or SILENT for none
    packets(camera, session, index, packets)
                                         the packets of one picture
    before(camera, session, index)       called before each picture
    behind(camera, session, index)       awaited after each picture
"""

import asyncio
import base64
import re
import socket
import struct
import time

from . import clips, nal, rtp

CLOSE, SILENT = "close", "silent"

# First sequence number and time stamp.
SEQUENCE, TIME, SSRC = 20000, 100_000, 0x11223344
CLOCK = 90_000
SESSION = "12345678"


class Request:
    def __init__(self, text, body=b""):
        first, *lines = text.strip().split("\r\n")
        self.first, self.body = first, body
        self.is_answer = first.startswith("RTSP/")
        self.method, self.url = ("", "") if self.is_answer else first.split()[:2]
        self.headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()

    def __getitem__(self, name):
        return self.headers.get(name.lower(), "")


class Answer:
    """An RTSP answer whose parts a script may change."""

    def __init__(self, status="200 OK", headers=(), body=""):
        self.status, self.headers, self.body = f"RTSP/1.0 {status}", list(headers), body
        self.eol = "\r\n"
        self.before = b""
        self.states_length = True

    def set(self, name, value):
        self.drop(name)
        self.headers.append((name, value))
        return self

    def drop(self, name):
        self.headers = [(one, value) for one, value in self.headers if one.lower() != name.lower()]
        return self

    def edit(self, name, pattern, by):
        """Replaces `pattern` in the values of one header."""
        self.headers = [
            (one, re.sub(pattern, by, value) if one.lower() == name.lower() else value)
            for one, value in self.headers
        ]
        return self

    def rename(self, name, by):
        self.headers = [(by if one.lower() == name.lower() else one, value) for one, value in self.headers]
        return self

    def encode(self):
        body = self.body.encode()
        headers = list(self.headers)
        if body and self.states_length:
            headers.append(("Content-Length", str(len(body))))
        lines = [self.status, *(f"{name}: {value}" for name, value in headers), "", ""]
        return self.before + self.eol.join(lines).encode("latin-1") + body


class Session:
    """One connection of a client."""

    def __init__(self, camera, writer, number):
        self.camera, self.writer, self.number = camera, writer, number
        self.channels = {}
        self.sockets = {}
        self.playing = None
        # When the last request came.
        self.heard = time.monotonic()
        # The scripts' state.
        self.notes = {}

    def write(self, data):
        # A writer that lost its connection accepts everything, and logs each time.
        if self.writer.is_closing():
            raise ConnectionResetError
        self.writer.write(data)

    def send(self, data, channel=None, control=False):
        """Sends one packet over the negotiated transport."""
        if self.sockets and channel is None:
            try:
                next(iter(self.sockets.values()))[control].send(data)
            except OSError:
                # The client has disconnected.
                pass
            return
        if channel is None:
            channel = next(iter(self.channels.values())) + control
        self.write(b"$" + struct.pack(">BH", channel, len(data)) + data)

    def ask(self, method, body="", headers=(), url=None):
        """Sends a request from the server."""
        count = self.notes["asked"] = self.notes.get("asked", 0) + 1
        lines = [f"{method} {url or self.camera.url} RTSP/1.0", f"CSeq: {count}", f"Session: {SESSION}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.write("\r\n".join([*lines, "", body]).encode())
        self.camera.asked += 1

    async def end(self):
        if self.playing:
            self.playing.cancel()
        for pair in self.sockets.values():
            for one in pair:
                one.close()
        self.writer.close()


class Camera:
    def __init__(self, units, codec=nal.H264, fps=clips.FPS, *, shows=None, description=None, answers=(), packets=(),
                 before=(), behind=(), login=None, timeout=60, clock=CLOCK, tls=None, parameters=True, media="",
                 ends_after=None, user="", form=None, path="/live", waits_for_keepalive=False, order=None):
        self.codec, self.fps, self.units = codec, fps, units
        # The position of each picture in display order.
        self.order = order or range(len(units))
        # The stream that FFmpeg decodes as the reference; the sent one by default.
        self.form = form or {"h265": "hevc"}.get(codec, codec)
        self.shows = shows
        self.describe, self.login, self.timeout, self.clock = description, login, timeout, clock
        self.answer_steps, self.packet_steps, self.before_steps = list(answers), list(packets), list(before)
        self.behind_steps = list(behind)
        self.tls, self.parameters, self.media, self.ends_after = tls, parameters, media, ends_after
        self.user, self.path = user, path
        self.waits_for_keepalive = waits_for_keepalive
        self.host, self.port = "127.0.0.1", 0
        # Requested by a test.
        self.connections = self.asked = self.answered = self.teardowns = self.pictures = self.keepalives = 0
        self.wrong_logins = {}
        self.methods = []
        # When each picture of the latest session was sent (CLOCK_MONOTONIC, ns).
        self.sent = []

    # -- Content

    def judge(self):
        """MD5s of its pictures, from FFmpeg."""
        if self.shows is not None:
            return self.shows
        if self.codec == "jpeg":
            return clips.judged("mjpeg", b"".join(self.units))
        return clips.judged(self.form, nal.join(one for unit in self.units for one in unit))

    def sets(self):
        """The first parameter set of each type."""
        found = {}
        for one in self.units[0]:
            if nal.is_parameter_set(self.codec, one):
                found.setdefault(nal.kind(self.codec, one), one)
        return found

    def sprop(self):
        """The description's parameter sets."""
        def text(one):
            return base64.b64encode(one).decode()
        sets = self.sets()
        if self.codec == nal.H264:
            return f";sprop-parameter-sets={text(sets[7])},{text(sets[8])}"
        return f";sprop-vps={text(sets[32])};sprop-sps={text(sets[33])};sprop-pps={text(sets[34])}"

    def video(self):
        """The media section of its video."""
        if self.codec == "jpeg":
            return f"m=video 0 RTP/AVP 26\r\n{self.media}a=control:track1\r\n"
        name = {nal.H264: "H264", nal.H265: "H265"}[self.codec]
        format_ = "packetization-mode=1" if self.codec == nal.H264 else "profile-id=1"
        if self.codec == nal.H264 and 7 in self.sets():
            format_ += f";profile-level-id={self.sets()[7][1:4].hex()}"
        if self.parameters is True:
            format_ += self.sprop()
        elif self.parameters:
            format_ += self.parameters
        return (f"m=video 0 RTP/AVP 96\r\na=rtpmap:96 {name}/{self.clock}\r\na=fmtp:96 {format_}\r\n"
                f"{self.media}a=control:track1\r\n")

    def description(self):
        if self.describe is not None:
            return self.describe(self)
        return ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
                + self.video())

    # -- RTSP

    @property
    def url(self):
        return f"{'rtsps' if self.tls else 'rtsp'}://{self.host}:{self.port}{self.path}"

    @property
    def url_with_login(self):
        return self.url.replace("://", f"://{self.user}@") if self.user else self.url

    async def start(self):
        self.server = await asyncio.start_server(self.connected, self.host, 0, ssl=self.tls)
        self.port = self.server.sockets[0].getsockname()[1]

    async def connected(self, reader, writer):
        self.connections += 1
        session = Session(self, writer, self.connections)
        try:
            while await self.serve(reader, session):
                pass
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, OSError):
            # The client has disconnected.
            pass
        finally:
            await session.end()

    async def serve(self, reader, session):
        """Answers one message; returns whether the connection continues."""
        first = await reader.read(1)
        if first == b"":
            return False
        if first == b"$":
            _, length = struct.unpack(">BH", await reader.readexactly(3))
            await reader.readexactly(length)
            return True
        if first in b"\r\n":
            return True
        text = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request = Request(text)
        if request["content-length"]:
            request.body = await reader.readexactly(int(request["content-length"]))
        if request.is_answer:
            self.answered += 1
            session.notes["answered"] = session.notes.get("answered", 0) + 1
            return True
        self.methods.append(request.method)
        answer = self.answer(request, session)
        for step in self.answer_steps:
            if isinstance(answer, Answer):
                answer = step(self, session, request, answer) or answer
        if answer == CLOSE:
            return False
        if answer == SILENT:
            return True
        data = answer if isinstance(answer, bytes) else answer.encode()
        if b" 200 " in data.split(b"\n")[0]:
            session.heard = time.monotonic()
        session.write(data)
        await session.writer.drain()
        if request.method == "TEARDOWN":
            self.teardowns += 1
        if request.method == "PLAY" and b" 200 " in data.split(b"\n")[0] and not session.playing:
            session.playing = asyncio.ensure_future(self.play(session))
        return True

    def answer(self, request, session):
        sequence = [("CSeq", request["cseq"] or "0")]
        if self.login is not None:
            refusal = self.login.refusal(self, session, request)
            if refusal is not None:
                return Answer("401 Unauthorized", [*sequence, *(("WWW-Authenticate", one) for one in refusal)])
        method = request.method
        if method == "OPTIONS":
            return Answer(headers=[*sequence, ("Public", "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")])
        if method == "DESCRIBE":
            headers = [*sequence, ("Content-Base", f"{self.url}/"), ("Content-Type", "application/sdp")]
            return Answer(headers=headers, body=self.description())
        name = ("Session", SESSION)
        if method == "SETUP":
            transport = self.transport(request, session)
            return Answer(headers=[*sequence, ("Session", f"{SESSION};timeout={self.timeout}"), ("Transport", transport)])
        if method == "PLAY":
            return Answer(headers=[*sequence, name, ("Range", "npt=0.000-")])
        if method in ("GET_PARAMETER", "SET_PARAMETER"):
            self.keepalives += 1
        return Answer(headers=[*sequence, name])

    def transport(self, request, session):
        asked = request["transport"]
        track = request.url.rsplit("/", 1)[-1]
        if match := re.search(r"interleaved=(\d+)", asked):
            channel = session.channels[track] = int(match[1])
            return f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
        port = int(re.search(r"client_port=(\d+)", asked)[1])
        session.sockets[track] = pair = _socket_pair()
        for index, one in enumerate(pair):
            one.connect(("127.0.0.1", port + index))
        mine = pair[0].getsockname()[1]
        return f"RTP/AVP;unicast;client_port={port}-{port + 1};server_port={mine}-{mine + 1}"

    # -- RTP

    def packets_of(self, index):
        unit = self.units[index % len(self.units)]
        if self.codec == "jpeg":
            return rtp.jpeg_packets(unit)
        return rtp.packets(self.codec, unit)

    async def play(self, session):
        sequence, began, index = SEQUENCE, time.monotonic(), 0
        self.sent = []
        try:
            while index != self.ends_after:
                if self.waits_for_keepalive and time.monotonic() - session.heard > 1.5 * self.timeout:
                    session.writer.close()
                    return
                for step in self.before_steps:
                    step(self, session, index)
                packets = self.packets_of(index)
                place = index - index % len(self.units) + self.order[index % len(self.units)]
                for packet in packets:
                    packet.time = TIME + round(place * self.clock / self.fps)
                    packet.ssrc = SSRC
                for step in self.packet_steps:
                    packets = step(self, session, index, packets) or packets
                self.sent.append(time.monotonic_ns())
                for packet in packets:
                    if packet.sequence is None:
                        packet.sequence = sequence
                        sequence += 1
                    session.send(packet.encode(), packet.channel)
                self.pictures += 1
                await session.writer.drain()
                for step in self.behind_steps:
                    await step(self, session, index)
                index += 1
                await asyncio.sleep(max(0, began + index / self.fps - time.monotonic()))
        except (ConnectionError, OSError):
            # The client has disconnected.
            pass

    def report(self):
        return {
            "connections": self.connections, "asked": self.asked, "answered": self.answered,
            "teardowns": self.teardowns, "pictures": self.pictures, "keepalives": self.keepalives,
            "wrong_logins": max(self.wrong_logins.values(), default=0),
            "wrong_logins_in_all": sum(self.wrong_logins.values()), "sent_ns": self.sent,
        }


def _socket_pair():
    """Two UDP sockets on adjacent ports, the first even (RFC 3550, 11)."""
    while True:
        first = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        first.bind(("127.0.0.1", 0))
        port = first.getsockname()[1]
        second = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            if port % 2 == 0:
                second.bind(("127.0.0.1", port + 1))
                return first, second
        except OSError:
            pass
        first.close()
        second.close()
