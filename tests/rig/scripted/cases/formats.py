"""Kinds of pictures that few cameras send."""

from .. import clips, nal, paff, rtp
from ..camera import Camera
from . import Case, group


# Pictures displayed before a key picture may refer to pictures before it.
OPEN = {"b_pictures": 2, "arguments": ("-x264-params", "open-gop=1")}


class Ordered(Camera):
    """H.265 whose packets carry decoding order numbers (RFC 7798, sprop-max-don-diff)."""

    def packets_of(self, index):
        unit = self.units[index % len(self.units)]
        first = index * 8
        out = [packet for at, one in enumerate(unit) for packet in rtp.fragments(self.codec, one, order=first + at)]
        out[-1].marker = True
        return out

    def sprop(self):
        return super().sprop() + ";sprop-max-don-diff=8;sprop-depack-buf-nalus=4"


class Extended(Camera):
    """JPEG with ONVIF's header extension."""

    def packets_of(self, index):
        return rtp.jpeg_packets(self.units[index % len(self.units)], extended=True)


# FFmpeg's client reads no header extension.
READS_EXTENSIONS = ("auto",)


def jpeg(size, kind=Camera, fps=5, **how):
    return lambda: kind(clips.jpegs(size, **how), "jpeg", fps)


def fields_with_times(_camera, _session, _index, packets):
    """Each field is a picture with its own time and marker."""
    first = next(packet.nal for packet in packets if nal.is_slice(nal.H264, packet.nal))
    second = [packet for packet in packets if nal.is_slice(nal.H264, packet.nal) and packet.nal is not first]
    for packet in second:
        packet.time += 3000
    packets[packets.index(second[0]) - 1].marker = True


@group("formats")
def cases():
    yield Case("JPEG 640x480", jpeg("640x480"), frames=10)
    yield Case("JPEG 640x480, 4:2:2", jpeg("640x480", half_height=False), frames=10)
    yield Case("JPEG 640x480 with ONVIF's header extension", jpeg("640x480", Extended), frames=10)
    yield Case("JPEG 2040x1440", jpeg("2040x1440", pictures=5), frames=5)
    yield Case("JPEG 2560x1440 with ONVIF's header extension", jpeg("2560x1440", Extended, pictures=5), frames=5,
               clients=READS_EXTENSIONS)
    yield Case("JPEG 2560x1440, 4:2:2, with ONVIF's header extension",
               jpeg("2560x1440", Extended, pictures=5, half_height=False), frames=5, clients=READS_EXTENSIONS)
    yield Case("JPEG 2560x1440 without it", jpeg("2560x1440", pictures=5), "words", words="2040")
    yield Case("H.264 by fields, a frame in a packet run", lambda: Camera(paff.units()), frames=30)
    yield Case("H.264 by fields, each with its time and marker",
               lambda: Camera(paff.units(), packets=[fields_with_times]), frames=30)
    yield Case("H.264, MBAFF", lambda: Camera(clips.units(nal.H264, arguments=("-x264-params", "interlaced=1"))))
    yield Case("H.264, MBAFF, sliced", lambda: Camera(
        clips.units(nal.H264, size="320x192", arguments=("-x264-params", "interlaced=1:slices=3"))))
    yield Case("H.265 with decoding order numbers", lambda: Ordered(clips.units(nal.H265), nal.H265), "words",
               words="sprop-max-don-diff")
    yield Case("H.264 3840x2160", lambda: Camera(clips.units(nal.H264, size="3840x2160", pictures=10, group=10, noise=0), fps=5),
               frames=10)
    yield Case("H.265 3840x2160", lambda: Camera(
        clips.units(nal.H265, size="3840x2160", pictures=10, group=10, noise=0), nal.H265, fps=5), frames=10)
    yield Case("H.264 7680x4320", lambda: Camera(
        clips.units(nal.H264, size="7680x4320", pictures=4, group=4, noise=0), fps=1), frames=4, long=True)
    yield Case("H.264, another size than the description's", lambda: Camera(
        clips.units(nal.H264), parameters=Camera(clips.units(nal.H264, size="256x144", pictures=3)).sprop()))
    yield Case("H.264, B-pictures", lambda: Camera(clips.units(nal.H264, b_pictures=2), order=clips.order(nal.H264, b_pictures=2)), frames=30)
    yield Case("H.265, B-pictures", lambda: Camera(
        clips.units(nal.H265, b_pictures=2), nal.H265, order=clips.order(nal.H265, b_pictures=2)), frames=30)
    yield Case("H.264, open groups", lambda: Camera(
        clips.units(nal.H264, **OPEN), order=clips.order(nal.H264, **OPEN)), "right or marked", frames=30)
