"""Streams whose identity, numbers or times change."""

import random
import struct

from .. import clips, nal, rtp
from ..camera import CLOCK, SSRC, TIME, Camera
from . import Case, group
from .markers import sliced


def source(of):
    def step(_camera, _session, index, packets):
        for at, packet in enumerate(packets):
            packet.ssrc = of(index, at)
    return step


def numbers(of):
    """Sequence numbers by picture and packet; `of` returns the number of the picture's first packet."""
    def step(_camera, session, index, packets):
        next_one = session.notes.get("next", 20000)
        first = of(index, next_one)
        for at, packet in enumerate(packets):
            packet.sequence = first + at
        session.notes["next"] = first + len(packets)
    return step


def times(of):
    """Adds seconds to the time of a picture."""
    def step(_camera, _session, index, packets):
        for packet in packets:
            packet.time += round(of(index) * CLOCK)
    return step


def strays(*, kind, ssrc=None, counted=False, payload=b"\0" * 20):
    """A packet of another payload type after the first of each picture."""
    def step(_camera, session, index, packets):
        stray = rtp.Packet(payload, index % 5 == 0, packets[0].time, kind=kind,
                           ssrc=ssrc if ssrc is not None else packets[0].ssrc)
        if not counted:
            stray.sequence = session.notes["strays"] = session.notes.get("strays", 99) + 1
        return [packets[0], stray, *packets[1:]]
    return step


def restart_of_everything(_camera, session, index, packets):
    """Like a restarted encoder: another SSRC, other sequence numbers and times."""
    if index < 45:
        return
    for packet in packets:
        packet.ssrc, packet.time = 0xABCDEF01, packet.time + 1_234_567_890
        packet.sequence = session.notes["own"] = session.notes.get("own", 3000) + 1


def one_time_for_all(_camera, _session, _index, packets):
    for packet in packets:
        packet.time = TIME


def seconds_as_ticks(_camera, _session, index, packets):
    for packet in packets:
        packet.time = TIME + index // clips.FPS * CLOCK


def same_time_twice(_camera, _session, index, packets):
    for packet in packets:
        packet.time = TIME + index // 2 * 2 * CLOCK // clips.FPS


def dressed(_camera, _session, _index, packets):
    """Padding, contributing sources, a header extension."""
    for at, packet in enumerate(packets):
        packet.padding, packet.contributors = 4 + at % 3, (1, 2)
        packet.extension = (0xABAC, b"\x12\x34\x56\x78" * 3)


def onvif_times(_camera, _session, index, packets):
    packets[0].extension = (0xABAC, struct.pack(">QBBH", index << 32, 0x80, index & 255, 0))


def control(make, every=15):
    def step(camera, session, index):
        if index % every == 0:
            session.send(make(camera, session, index), control=True)
    return step


def sender_report(camera, _session, index, ntp=None, ssrc=SSRC):
    time = TIME + round(index * camera.clock / camera.fps)
    seconds = 3_900_000_000 + index // camera.fps if ntp is None else ntp
    return struct.pack(">BBHIIIIII", 0x80, 200, 6, ssrc, seconds, 0, time & 0xFFFFFFFF, index, index * 1000)


def bye(_camera, _session, _index):
    return struct.pack(">BBHI", 0x81, 203, 1, SSRC)


def nonsense(_camera, _session, index):
    return random.Random(index).randbytes(40)


def empty_packets(_camera, _session, _index, packets):
    return [rtp.Packet(b"", False, packets[0].time, ssrc=packets[0].ssrc), *packets]


def mid_group():
    units = clips.units(nal.H264)
    return Camera(units[7:] + units[:7], shows=Camera(units).judge(),
                  parameters=Camera(units).sprop())


@group("streams")
def cases():
    def camera(*steps, units=lambda: clips.units(nal.H264), **more):
        return lambda: Camera(units(), packets=steps, **more)

    def h265(*steps):
        return lambda: Camera(clips.units(nal.H265), nal.H265, packets=steps)

    usable = {"expected": "right or marked", "frames": 90}
    yield Case("a new SSRC in each group", camera(source(lambda index, _: 0x1000 + index // 15)), frames=90)
    yield Case("a new SSRC in each group, H.265", h265(source(lambda index, _: 0x1000 + index // 15)), frames=90)
    yield Case("a new SSRC once", camera(source(lambda index, _: 0x1000 + (index >= 40))), **usable)
    yield Case("a new SSRC in each picture", camera(source(lambda index, _: 0x1000 + index)), **usable)
    yield Case("two SSRCs in turn, packet by packet", camera(source(lambda _, at: 0x1000 + at % 2)), frames=90)
    yield Case("SSRC 0", camera(source(lambda *_: 0)))
    yield Case("a new SSRC and sequence in each group", camera(
        source(lambda index, _: 0x1000 + index // 15),
        numbers(lambda index, then: then if index % 15 else 1000 + index // 15 * 7777)), **usable)
    yield Case("sequence numbers restart once", camera(numbers(lambda index, then: 1 if index == 45 else then)), **usable)
    yield Case("sequence numbers restart in each group",
               camera(numbers(lambda index, then: then if index % 15 else 20000)), **usable)
    yield Case("sequence numbers restart, H.265", h265(numbers(lambda index, then: 1 if index == 45 else then)), **usable)
    yield Case("sequence numbers jump by 1000 once",
               camera(numbers(lambda index, then: then + (1000 if index == 45 else 0))), **usable)
    yield Case("sequence numbers jump by 40000 once",
               camera(numbers(lambda index, then: then + (40000 if index == 45 else 0))), **usable)
    yield Case("sequence numbers go back by 3 once",
               camera(numbers(lambda index, then: then - (3 if index == 45 else 0))), **usable)
    yield Case("sequence numbers do not move", camera(numbers(lambda *_: 500)), **usable)
    yield Case("sequence numbers wrap", camera(numbers(lambda index, then: 65500 if index == 0 else then)))
    yield Case("everything restarts once", camera(restart_of_everything), **usable)

    # A time less than 10 s off is accepted (docs/design/ingest.md).
    for seconds in (-9800, 37600, -0.5, 5, 20):
        yield Case(f"one picture in 30 is {seconds} s off", camera(times(lambda i, s=seconds: s if i % 30 == 29 else 0)),
                   frames=90, recorded=abs(seconds) > 10)
    yield Case("one key picture in 2 is 3600 s off", camera(times(lambda i: 3600 if i % 30 == 15 else 0)), frames=90,
               recorded=True)
    yield Case("three pictures in 30 are 9800 s off", camera(times(lambda i: -9800 if i % 30 > 26 else 0)), frames=90,
               recorded=True)
    yield Case("times jump by an hour once", camera(times(lambda i: 3600 if i >= 40 else 0)), frames=90, recorded=True)
    yield Case("times jump back by an hour once", camera(times(lambda i: -3600 if i >= 40 else 0)), frames=90,
               recorded=True)
    yield Case("one picture in 30 is 9800 s off, B-pictures",
               camera(times(lambda i: -9800 if i % 30 == 29 else 0), units=lambda: clips.units(nal.H264, b_pictures=2),
                      order=clips.order(nal.H264, b_pictures=2)),
               frames=90)
    yield Case("one picture in 30 is 9800 s off, H.265", h265(times(lambda i: -9800 if i % 30 == 29 else 0)),
               frames=90, recorded=True)
    yield Case("one picture in 30 is 9800 s off, sliced",
               camera(times(lambda i: -9800 if i % 30 == 29 else 0), units=lambda: sliced(nal.H264)), frames=90)
    yield Case("times wrap", camera(times(lambda i: (2 ** 32 - TIME - 2 * CLOCK) / CLOCK)), frames=90, recorded=True)
    # FFmpeg's client waits for a rate.
    yield Case("all pictures have one time", camera(one_time_for_all), clients=("auto",))
    yield Case("pictures have the time of their second", camera(seconds_as_ticks))
    yield Case("two pictures have one time", camera(same_time_twice))

    yield Case("packets of type 97 between, of another SSRC", camera(strays(kind=97, ssrc=0x9999)))
    yield Case("packets of type 97 between, same SSRC, own numbers", camera(strays(kind=97)))
    yield Case("packets of type 97 between, same SSRC, counted", camera(strays(kind=97, counted=True)))
    yield Case("packets of type 0 between", camera(strays(kind=0, ssrc=0x9999, payload=b"\xd5" * 160)))
    yield Case("packets of type 107 between, ONVIF's metadata",
               camera(strays(kind=107, ssrc=0x7777, payload=b"<tt:MetadataStream/>")))
    yield Case("packets of type 97 between, H.265", h265(strays(kind=97, counted=True)))
    yield Case("packets of type 97 between, with the bytes of a slice",
               camera(strays(kind=97, counted=True, payload=b"\x41\x9a\x24\x6c\x41\xff")))

    yield Case("padding, contributing sources and extensions", camera(dressed))
    yield Case("ONVIF's extension with the time", camera(onvif_times))
    yield Case("packets without payload", camera(empty_packets))
    yield Case("sender reports", camera(before=[control(sender_report)]))
    yield Case("sender reports of another SSRC", camera(before=[control(lambda c, s, i: sender_report(c, s, i, ssrc=7))]))
    yield Case("sender reports with the time 0", camera(before=[control(lambda c, s, i: sender_report(c, s, i, ntp=0))]))
    yield Case("RTCP BYE in mid-session, and on", camera(before=[control(bye, every=20)]))
    # Marked until the clients change, after two seconds.
    yield Case("meaningless RTCP", camera(before=[control(nonsense)]), frames=90)
    yield Case("begins in mid-group", mid_group, expected="right or marked")
