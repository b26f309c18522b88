"""Parameter sets: where they are sent, and how many."""

from .. import clips, nal, rtp
from ..camera import Camera
from . import Case, group
from .markers import whole


def two(codec, **more):
    how = {"arguments": ("-profile:v", "baseline")} if codec == nal.H264 else {}
    return lambda: Camera(nal.with_second_picture_set(codec, clips.units(codec, **how)), codec, **more)


def left_out(which):
    def step(camera, _session, index, packets):
        kept = [packet for packet in packets if not which(camera, index, packet)]
        kept[-1].marker = True
        return kept
    return step


def is_set(camera, _index, packet):
    return nal.is_parameter_set(camera.codec, packet.nal)


def is_later_set(camera, index, packet):
    return index > 0 and is_set(camera, index, packet)


def is_sequence_set(camera, _index, packet):
    return nal.kind(camera.codec, packet.nal) in (nal.SEQUENCE_SET[camera.codec], 32 if camera.codec == nal.H265 else 7)


def alternating(codec):
    """Groups of pictures whose parameter sets have the same ids and different contents."""
    if codec == nal.H264:
        one = clips.units(codec, arguments=("-x264-params", "cabac=1:8x8dct=1"))
        other = clips.units(codec, arguments=("-x264-params", "cabac=0:8x8dct=0"))
    else:
        one = clips.units(codec)
        other = clips.units(codec, x265=":no-sao=1:amp=1:rect=1:ctu=16")
    return in_turn(one, other)


def with_unused_set(codec):
    """A second picture parameter set that no picture uses."""
    units = two(codec)().units
    plain = whole(codec) if codec == nal.H265 else clips.units(codec, arguments=("-profile:v", "baseline"))
    sets = [one for one in units[0] if nal.is_parameter_set(codec, one)]
    return [(sets + [one for one in unit if not nal.is_parameter_set(codec, one)]
             if nal.is_key(codec, unit) else unit) for unit in plain]


def second_set_when_used(codec):
    """The second picture parameter set comes with the first picture that uses it, not with the key picture."""
    units = two(codec)().units
    out, late = [], None
    for unit in units:
        sets = [one for one in unit if nal.kind(codec, one) == nal.PICTURE_SET[codec]]
        if len(sets) == 2:
            late = sets[1]
            out.append([one for one in unit if one is not late])
        elif late is not None:
            out.append([late, *unit])
            late = None
        else:
            out.append(unit)
    return out


def other_sprop(codec):
    """A description with the parameter sets of another stream."""
    other = Camera(clips.units(codec, size="256x144", pictures=3), codec)
    return other.sprop()


def in_turn(one, other):
    """Alternates groups of pictures of two streams."""
    size = clips.GROUP
    return [unit for at in range(0, len(one), size) for unit in (one if at // size % 2 == 0 else other)[at:at + size]]


def of_two_sizes(codec):
    one, other = clips.units(codec), clips.units(codec, size="256x144")
    # FFmpeg decodes each size separately: in a stream with both it would scale one to the other.
    shows = in_turn(Camera(one, codec).judge(), Camera(other, codec).judge())
    return Camera(in_turn(one, other), codec, shows=shows)


def aggregated(camera, _session, _index, packets):
    sets = [packet for packet in packets if nal.is_parameter_set(camera.codec, packet.nal)]
    if not sets:
        return packets
    first = rtp.aggregate(camera.codec, [packet.nal for packet in sets])
    first.time, first.ssrc = packets[0].time, packets[0].ssrc
    return [first, *(packet for packet in packets if packet not in sets)]


@group("parameter_sets")
def cases():
    for codec in (nal.H264, nal.H265):
        name = {nal.H264: "H.264", nal.H265: "H.265"}[codec]

        def camera(*steps, codec=codec, units=whole, **more):
            return lambda: Camera(units(codec), codec, packets=steps, **more)

        yield Case(f"{name}: two PPS in band, none in the description", two(codec, parameters=False), recorded=True, segments=True)
        yield Case(f"{name}: two PPS in band, the first in the description", two(codec), recorded=True, segments=True)
        yield Case(f"{name}: two PPS in band, aggregated, none in the description",
                   two(codec, parameters=False, packets=[aggregated]))
        yield Case(f"{name}: the second PPS with the picture that uses it",
                   camera(units=second_set_when_used, parameters=False), recorded=True)
        yield Case(f"{name}: a second PPS that nothing uses", camera(units=with_unused_set, parameters=False))
        yield Case(f"{name}: in the description alone", camera(left_out(is_set)), recorded=True, segments=True)
        yield Case(f"{name}: in band alone", camera(parameters=False), recorded=True, segments=True)
        yield Case(f"{name}: in band once, with the first picture",
                   camera(left_out(is_later_set), parameters=False), recorded=True)
        yield Case(f"{name}: the SPS in the description, PPS in band", camera(left_out(is_sequence_set)))
        yield Case(f"{name}: of another stream in the description",
                   lambda codec=codec: Camera(whole(codec), codec, parameters=other_sprop(codec)), recorded=True)
        yield Case(f"{name}: other contents in each group, none in the description",
                   camera(units=alternating, parameters=False), recorded=True)
        yield Case(f"{name}: other contents in each group", camera(units=alternating))
        yield Case(f"{name}: another size in each group", lambda codec=codec: of_two_sizes(codec))
        key = "sprop-parameter-sets" if codec == nal.H264 else "sprop-sps"
        yield Case(f"{name}: empty in the description", camera(parameters=f";{key}="))
        yield Case(f"{name}: not base64 in the description", camera(parameters=f";{key}=!!!,???"))
        yield Case(f"{name}: before every picture",
                   lambda codec=codec: Camera(before_every_picture(codec), codec), recorded=True)


def before_every_picture(codec):
    units = whole(codec)
    sets = [one for one in units[0] if nal.is_parameter_set(codec, one)]
    return [unit if nal.is_key(codec, unit) else sets + unit for unit in units]
