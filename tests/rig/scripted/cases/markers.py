"""RTP's marker where it does not end a picture."""

from .. import clips, nal, rtp
from ..camera import Camera
from . import Case, group


REORDERED = {"b_pictures": 2, "arguments": ("-x264-params", "slices=4")}


def sliced(codec):
    if codec == nal.H264:
        return clips.units(nal.H264, arguments=("-x264-params", "slices=4"))
    return clips.units(nal.H265, size="320x192", x265=":slices=3")


def whole(codec):
    return clips.units(codec)


def ends_unit(packets, at):
    return at + 1 == len(packets) or packets[at].nal is not packets[at + 1].nal


def on_every_nal(_camera, _session, _index, packets):
    for at, packet in enumerate(packets):
        packet.marker = ends_unit(packets, at)


def on_every_packet(_camera, _session, _index, packets):
    for packet in packets:
        packet.marker = True


def on_every_slice(camera, _session, _index, packets):
    for at, packet in enumerate(packets):
        packet.marker = ends_unit(packets, at) and nal.is_slice(camera.codec, packet.nal)


def on_every_second_slice(camera, session, index, packets):
    on_every_slice(camera, session, index, packets)
    marked = [packet for packet in packets if packet.marker]
    for packet in marked[:-1][1::2]:
        packet.marker = False


def on_the_first_packet(_camera, _session, _index, packets):
    for at, packet in enumerate(packets):
        packet.marker = at == 0


def on_sets_and_pictures(camera, _session, _index, packets):
    for at, packet in enumerate(packets):
        last = at + 1 == len(packets)
        packet.marker = last or ends_unit(packets, at) and not nal.is_slice(camera.codec, packet.nal)


def sets_together(camera, _session, _index, packets):
    """Parameter sets in one aggregation packet, with a marker."""
    sets = [packet for packet in packets if nal.is_parameter_set(camera.codec, packet.nal)]
    if not sets:
        return packets
    first = rtp.aggregate(camera.codec, [packet.nal for packet in sets])
    first.marker, first.time, first.ssrc = True, packets[0].time, packets[0].ssrc
    return [first, *(packet for packet in packets if packet not in sets)]


def with_delimiters(codec, units):
    aud = bytes([9, 0xF0]) if codec == nal.H264 else bytes([35 << 1, 1, 0x50])
    return [[aud, *unit] for unit in units]


def on_all_but_the_last(camera, session, index, packets):
    on_every_nal(camera, session, index, packets)
    packets[-1].marker = False


@group("markers")
def cases():
    for codec in (nal.H264, nal.H265):
        name = {nal.H264: "H.264", nal.H265: "H.265"}[codec]

        def camera(units, *steps, codec=codec, **more):
            return lambda: Camera(units(codec), codec, packets=steps, **more)

        yield Case(f"{name}, sliced: on every slice", camera(sliced, on_every_slice), recorded=True)
        yield Case(f"{name}, sliced: on every NAL unit", camera(sliced, on_every_nal), recorded=True)
        yield Case(f"{name}, sliced: on every packet", camera(sliced, on_every_packet))
        yield Case(f"{name}, sliced: on every second slice", camera(sliced, on_every_second_slice))
        yield Case(f"{name}, sliced: on all but the last slice", camera(sliced, on_all_but_the_last))
        yield Case(f"{name}, whole: on every NAL unit", camera(whole, on_every_nal), recorded=True)
        yield Case(f"{name}, whole: on every packet", camera(whole, on_every_packet))
        yield Case(f"{name}, whole: on the first packet alone", camera(whole, on_the_first_packet))
        yield Case(f"{name}, whole: on aggregated parameter sets", camera(whole, sets_together))
        yield Case(f"{name}, delimiters: on every NAL unit",
                   lambda codec=codec: Camera(with_delimiters(codec, whole(codec)), codec, packets=[on_every_nal]))
        yield Case(f"{name}, sliced, no sets in the description: on every NAL unit",
                   camera(sliced, on_every_nal, parameters=False))
        yield Case(f"{name}, sliced, UDP: on every slice", camera(sliced, on_every_slice), config='transport = "udp"')
    yield Case("H.264, large pictures sliced: on every NAL unit",
               lambda: Camera(clips.units(nal.H264, noise=2, arguments=("-x264-params", "slice-max-size=1500")),
                              packets=[on_every_nal]))
    yield Case("H.264, sliced, B-pictures: on every NAL unit",
               lambda: Camera(clips.units(nal.H264, **REORDERED), order=clips.order(nal.H264, **REORDERED),
                              packets=[on_every_nal]), frames=30)
    yield Case("H.264, intra refresh, sliced: on every slice",
               lambda: Camera(clips.units(nal.H264, arguments=("-x264-params", "slices=4:intra-refresh=1")),
                              packets=[on_every_slice]), expected="right or marked")
