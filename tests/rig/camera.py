#!/usr/bin/python3
"""A camera for tests: a real RTSP server (GStreamer's) that plays prepared video.

    camera.py --mount front=a.mp4 --mount gate=a.mp4+b.mp4,once,audio

One JSON line on standard output reports that the server is ready, and its port. Options of a
mount, after its files:

    loop    start again at the end, with continuing time stamps (the default)
    once    end with RTCP BYE, a second after the last picture
    shared  one stream for all clients, as in a real camera; otherwise every client gets its own
            stream, which starts with the first picture
    audio   a second track, G.711, which MP4 recordings can't hold
    aac     a second track, AAC
    opus    a second track, Opus

Motion JPEG comes from a file of pictures one after the other (.jpeg).

Files joined by + are played one after the other in one stream, so two encodings of different
size make a change of size in mid-stream. MP4 keeps the presentation times that B-pictures need; raw
Annex-B files (.h264, .h265) have none and are played in coding order.

Access units are sent at their decode time plus the reordering delay, as an encoder inside a
camera would: never before the picture's own time.

Runs with Debian's python3 (/usr/bin/python3), whose gi has GStreamer.
"""

import argparse
import collections
import json
import pathlib
import signal
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstApp, GstRtsp, GstRtspServer  # noqa: E402,F401

# The end of a stream would overtake its last packets if it followed at once: RTCP takes a separate
# path through the server.
LINGER = Gst.SECOND

# A file that cannot be split in this time never will be.
READ_LIMIT = 20 * Gst.SECOND

# Pipelines from the test source to RTP, by the mount's option.
SOUND = {
    "audio": "rate=8000,channels=1 ! mulawenc ! rtppcmupay name=pay1 pt=0",
    "aac": "rate=48000,channels=2 ! voaacenc bitrate=96000 ! rtpmp4gpay name=pay1 pt=97",
    "opus": "rate=48000,channels=2 ! opusenc ! rtpopuspay name=pay1 pt=97",
}

AccessUnit = collections.namedtuple("AccessUnit", "data pts dts key")
Clip = collections.namedtuple("Clip", "codec units duration")


def fail(words):
    print(f"camera.py: {words}", file=sys.stderr)
    sys.exit(2)


def caps(codec):
    if codec == "jpeg":
        return "image/jpeg"
    return f"video/x-{codec},stream-format=byte-stream,alignment=au"


class Extraction:
    """Splits a file into access units, as fast as it can be read."""

    def __init__(self, path):
        self.path = path
        self.codec = None
        self.pipeline = Gst.Pipeline.new(None)
        self.sink = None
        self.linked = threading.Event()
        source = Gst.ElementFactory.make("filesrc")
        source.set_property("location", str(path))
        self.pipeline.add(source)
        suffix = path.suffix.lower()
        if suffix in (".mp4", ".mov"):
            demuxer = Gst.ElementFactory.make("qtdemux")
            demuxer.connect("pad-added", self.on_pad)
            demuxer.connect("no-more-pads", lambda _demuxer: self.linked.set())
            self.pipeline.add(demuxer)
            source.link(demuxer)
        elif suffix in (".h264", ".h265", ".jpeg"):
            source.link(self.add_parser(suffix[1:]))
            self.linked.set()
        else:
            fail(f"{path}: expected .mp4, .mov, .h264, .h265 or .jpeg")

    def add_parser(self, codec):
        self.codec = codec
        parser = "jpegparse" if codec == "jpeg" else f"{codec}parse config-interval=-1"
        chain = Gst.parse_bin_from_description(
            f"{parser} ! {caps(codec)} ! appsink name=units sync=false max-buffers=8", True
        )
        self.sink = chain.get_by_name("units")
        self.pipeline.add(chain)
        chain.sync_state_with_parent()
        return chain

    def on_pad(self, _demuxer, pad):
        name = pad.get_current_caps().get_structure(0).get_name()
        if name in ("video/x-h264", "video/x-h265") and self.sink is None:
            pad.link(self.add_parser(name[len("video/x-"):]).get_static_pad("sink"))

    def run(self):
        self.pipeline.set_state(Gst.State.PLAYING)
        if not self.linked.wait(READ_LIMIT / Gst.SECOND) or self.sink is None:
            fail(f"{self.path}: not a readable H.264 or H.265 file")
        units, index, length = [], 0, 0
        while (sample := self.sink.emit("try-pull-sample", READ_LIMIT)) is not None:
            buffer = sample.get_buffer()
            # The duration is zero or unknown if the stream does not state its rate.
            length = buffer.duration if 0 < buffer.duration < Gst.SECOND else Gst.SECOND // 25
            timed = buffer.pts != Gst.CLOCK_TIME_NONE and self.path.suffix in (".mp4", ".mov")
            pts = buffer.pts if timed else index * length
            dts = buffer.dts if timed and buffer.dts != Gst.CLOCK_TIME_NONE else pts
            key = not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT)
            units.append(AccessUnit(buffer.extract_dup(0, buffer.get_size()), pts, dts, key))
            index += 1
        self.pipeline.set_state(Gst.State.NULL)
        if not units or not units[0].key:
            fail(f"{self.path}: does not begin with a key frame")
        first = min(unit.pts for unit in units)
        # Times start at zero; decode times may then be negative, which only affects the delay.
        units = [unit._replace(pts=unit.pts - first, dts=unit.dts - first) for unit in units]
        return Clip(self.codec, units, max(unit.pts for unit in units) + length)


class Mount:
    """The content of one path of the server."""

    def __init__(self, name, clips, flags):
        if len({clip.codec for clip in clips}) != 1:
            fail(f"{name}: one stream has one codec")
        self.name = name
        self.codec = clips[0].codec
        self.once = "once" in flags
        self.shared = "shared" in flags
        self.audio = next((sound for sound in SOUND if sound in flags), None)
        self.units = []
        start = 0
        for clip in clips:
            for unit in clip.units:
                self.units.append(unit._replace(pts=start + unit.pts, dts=start + unit.dts))
            start += clip.duration
        self.duration = start
        self.delay = max(unit.pts - unit.dts for unit in self.units)

    def description(self):
        # The payloader needs the picture's size, which jpegparse reads.
        parser, number = (" ! jpegparse", 26) if self.codec == "jpeg" else ("", 96)
        video = (
            f"appsrc name=video is-live=true format=time block=false max-bytes=0"
            f" caps={caps(self.codec)}{parser}"
            f" ! rtp{self.codec}pay name=pay0 pt={number} mtu=1400"
        )
        source = " audiotestsrc name=audio is-live=true wave=ticks ! audio/x-raw,"
        return f"( {video}{source + SOUND[self.audio] if self.audio else ''} )"


class Playback:
    """One stream to one client (or to all, if shared)."""

    def __init__(self, mount, media):
        self.mount = mount
        self.bin = media.get_element()
        self.source = self.bin.get_child_by_name("video")
        self.playing = threading.Event()
        self.stopped = threading.Event()
        # Without a first access unit the server cannot describe the stream.
        self.push(mount.units[0], 0)
        media.connect("new-state", self.on_state)
        media.connect("unprepared", lambda _media: self.stop())
        threading.Thread(target=self.run, name=f"play-{mount.name}", daemon=True).start()

    def on_state(self, _media, state):
        if state == Gst.State.PLAYING:
            self.playing.set()

    def stop(self):
        self.stopped.set()
        self.playing.set()

    def push(self, unit, start):
        buffer = Gst.Buffer.new_wrapped(unit.data)
        buffer.pts = start + unit.pts
        buffer.dts = max(0, start + unit.dts)
        if not unit.key:
            buffer.set_flags(Gst.BufferFlags.DELTA_UNIT)
        return self.source.emit("push-buffer", buffer) == Gst.FlowReturn.OK

    def now(self):
        return GLib.get_monotonic_time() * 1000

    def wait_until(self, moment):
        """Waits for the time of the next picture; false if the stream was stopped meanwhile."""
        while (left := moment - self.now()) > 0:
            if self.stopped.wait(left / Gst.SECOND):
                return False
        return not self.stopped.is_set()

    def run(self):
        self.playing.wait()
        origin = self.now()
        start = 0
        pending = self.mount.units[1:]
        while True:
            for unit in pending:
                if not self.wait_until(origin + start + unit.dts + self.mount.delay):
                    return
                if not self.push(unit, start):
                    return
            if self.mount.once:
                break
            start += self.mount.duration
            pending = self.mount.units
        if self.wait_until(origin + self.mount.duration + LINGER):
            self.source.emit("end-of-stream")
            if self.mount.audio:
                self.bin.get_child_by_name("audio").send_event(Gst.Event.new_eos())


def parse_mount(text, known):
    name, equals, rest = text.partition("=")
    files, *flags = rest.split(",")
    if not name or not equals or not files:
        fail(f"--mount {text}: expected NAME=FILE[+FILE...][,loop|once][,shared][,audio|aac|opus]")
    if unknown := set(flags) - {"loop", "once", "shared", *SOUND}:
        fail(f"--mount {text}: unknown option {', '.join(sorted(unknown))}")
    clips = []
    for file in files.split("+"):
        path = pathlib.Path(file)
        if not path.is_file():
            fail(f"--mount {text}: no file {path}")
        if path not in known:
            known[path] = Extraction(path).run()
        clips.append(known[path])
    return Mount(name, clips, flags)


def guard(server, credentials, method):
    user, colon, password = credentials.partition(":")
    if not user or not colon:
        fail("--user: expected USER:PASSWORD")
    role = "viewer"
    token = GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, role)
    auth = GstRtspServer.RTSPAuth()
    if method == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role(role, GstRtspServer.RTSP_PERM_MEDIA_FACTORY_ACCESS, True)
    permissions.add_permission_for_role(
        role, GstRtspServer.RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, True
    )
    return permissions


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument("--user", metavar="USER:PASSWORD", help="required from every client")
    parser.add_argument("--auth", choices=("basic", "digest"), default="digest")
    parser.add_argument(
        "--session-timeout", type=int, default=60, help="seconds after which a silent client's session ends"
    )
    parser.add_argument("--mount", action="append", required=True, help="NAME=FILE...; see above")
    arguments = parser.parse_args()

    Gst.init(None)
    known = {}
    mounts = [parse_mount(text, known) for text in arguments.mount]

    server = GstRtspServer.RTSPServer()
    server.set_address(arguments.host)
    server.set_service(str(arguments.port))

    def on_client(_server, client):
        client.connect("new-session", lambda _c, session: session.set_timeout(arguments.session_timeout))

    server.connect("client-connected", on_client)
    permissions = guard(server, arguments.user, arguments.auth) if arguments.user else None
    points = server.get_mount_points()
    for mount in mounts:
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(mount.description())
        factory.set_shared(mount.shared)
        factory.set_latency(0)
        if permissions is not None:
            factory.set_permissions(permissions)
        factory.connect(
            "media-configure", lambda _factory, media, mount=mount: Playback(mount, media)
        )
        points.add_factory(f"/{mount.name}", factory)

    if server.attach(None) == 0:
        fail(f"cannot listen on {arguments.host}:{arguments.port}")
    loop = GLib.MainLoop()
    for number in (signal.SIGTERM, signal.SIGINT):
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, number, loop.quit)

    port = server.get_bound_port()
    ready = {
        "port": port,
        "mounts": {
            mount.name: {
                "url": f"rtsp://{arguments.host}:{port}/{mount.name}",
                "codec": mount.codec,
                "frames": len(mount.units),
                "seconds": mount.duration / Gst.SECOND,
            }
            for mount in mounts
        },
    }
    print(json.dumps(ready), flush=True)
    loop.run()


if __name__ == "__main__":
    main()
