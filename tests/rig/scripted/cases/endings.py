"""Pictures that do not end with a marked slice."""

from .. import clips, nal, rtp
from ..camera import Camera
from . import Case, group
from .markers import sliced, whole

# A user data message, with its bytes after the header.
MESSAGE = b"\x05\x14" + b"0123456789abcdef" + b"test" + b"\x80"


def unmarked(_camera, _session, _index, packets):
    for packet in packets:
        packet.marker = False


def behind(number, body, *, marked, apart=False, every=1):
    """A NAL unit after the slices of each `every`th picture; the marker is on it or on the last slice."""
    def step(camera, _session, index, packets):
        if (index + 1) % every:
            return packets
        last = packets[-1]
        unit = nal.header(camera.codec, number) + body
        new = rtp.Packet(unit, marked, last.time + (1 if apart else 0), ssrc=last.ssrc, nal=unit)
        last.marker = not marked or apart
        return [*packets, new]
    return step


def before(number, body):
    def step(camera, _session, _index, packets):
        unit = nal.header(camera.codec, number) + body
        return [rtp.Packet(unit, False, packets[0].time, ssrc=packets[0].ssrc, nal=unit), *packets]
    return step


def delimiter_too_early(camera, _session, _index, packets):
    """The delimiter of the next picture, with this one's timestamp."""
    unit = b"\x09\xf0" if camera.codec == nal.H264 else b"\x46\x01\x50"
    packets[-1].marker = False
    return [*packets, rtp.Packet(unit, True, packets[-1].time, ssrc=packets[-1].ssrc, nal=unit)]


def sets_of_their_own_time(offset):
    def step(camera, _session, _index, packets):
        for packet in packets:
            if nal.is_parameter_set(camera.codec, packet.nal):
                packet.time += offset
    return step


def sets_marked_apart(offset):
    def step(camera, _session, _index, packets):
        for packet in packets:
            if nal.is_parameter_set(camera.codec, packet.nal):
                packet.time += offset
                packet.marker = True
    return step


@group("endings")
def cases():
    for codec in (nal.H264, nal.H265):
        name = {nal.H264: "H.264", nal.H265: "H.265"}[codec]
        message, filler, end, end_all = (6, 12, 10, 11) if codec == nal.H264 else (40, 38, 36, 37)

        def camera(*steps, codec=codec, units=whole, **more):
            return lambda: Camera(units(codec), codec, packets=steps, **more)

        yield Case(f"{name}: no marker", camera(unmarked), recorded=True)
        yield Case(f"{name}, sliced: no marker", camera(unmarked, units=sliced))
        yield Case(f"{name}, no sets in the description: no marker", camera(unmarked, parameters=False))
        yield Case(f"{name}: SEI behind the slices, marked", camera(behind(message, MESSAGE, marked=True)), recorded=True)
        yield Case(f"{name}: SEI behind the marked slice", camera(behind(message, MESSAGE, marked=False)))
        yield Case(f"{name}: SEI behind the slices, a tick later",
                   camera(behind(message, MESSAGE, marked=True, apart=True)))
        yield Case(f"{name}: SEI behind the slices, no marker",
                   camera(behind(message, MESSAGE, marked=False), unmarked))
        yield Case(f"{name}: filler behind the slices, marked",
                   camera(behind(filler, b"\xff" * 40 + b"\x80", marked=True)))
        yield Case(f"{name}: filler behind the marked slice",
                   camera(behind(filler, b"\xff" * 40 + b"\x80", marked=False)))
        yield Case(f"{name}: end of sequence, marked",
                   camera(behind(end, b"", marked=True, every=clips.GROUP)), recorded=True)
        yield Case(f"{name}: end of sequence behind the marked slice",
                   camera(behind(end, b"", marked=False, every=clips.GROUP)))
        yield Case(f"{name}: end of stream, marked", camera(behind(end_all, b"", marked=True, every=clips.GROUP)))
        yield Case(f"{name}: the next picture's delimiter at the end", camera(delimiter_too_early))
        yield Case(f"{name}: parameter sets a tick early", camera(sets_of_their_own_time(-1)))
        yield Case(f"{name}: parameter sets a tick early, marked", camera(sets_marked_apart(-1)))
        yield Case(f"{name}: parameter sets with the time of the picture before", camera(sets_of_their_own_time(-6000)))
        reserved = 30 if codec == nal.H264 else 47
        yield Case(f"{name}: a NAL unit of a reserved type before each picture", camera(before(reserved, b"\x12\x34")))
