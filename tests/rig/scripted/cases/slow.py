"""Cameras with a low frame rate, or that do not state it."""

import asyncio

from .. import clips, nal
from ..camera import Camera
from . import Case, group
from .streams import sender_report


# FFmpeg's client must see three pictures if the description states neither size nor rate.
TELLS_AT_ONCE = ("auto",)


def unstated(codec, **how):
    return nal.without_usability(codec, clips.units(codec, **how))


def late_key_picture():
    units = clips.units(nal.H264, pictures=120, group=60)
    return Camera(units[1:] + units[:1], shows=Camera(units).judge(), parameters=Camera(units).sprop())


def numbered(_camera, session, packets):
    """Numbers packets, since some are sent between two pictures."""
    for packet in packets:
        packet.sequence = session.notes["next"] = session.notes.get("next", 20000) + 1
    return packets


def half_of_the_second(camera, session, index, packets):
    """Half of the second picture, long after the first."""
    if index == 1:
        half = len(packets) // 2
        packets, session.notes["rest"] = packets[:half], packets[half:]
    return numbered(camera, session, packets)


async def stall(camera, session, index):
    """Has reading ahead paused in the middle of the second picture."""
    if index == 0:
        await asyncio.sleep(2.2)
    if index == 1:
        await asyncio.sleep(1.2)
        for packet in numbered(camera, session, session.notes["rest"]):
            session.send(packet.encode())


async def pause(_camera, _session, index):
    """What the camera missed in the pause follows at once."""
    if index == 20:
        await asyncio.sleep(3)


async def report_behind(camera, session, index):
    """After a picture that may still be held back until it is known to be whole."""
    await asyncio.sleep(0.05)
    session.send(sender_report(camera, session, index), control=True)


@group("slow")
def cases():
    for codec in (nal.H264, nal.H265):
        name = {nal.H264: "H.264", nal.H265: "H.265"}[codec]

        def camera(fps, codec=codec, **more):
            return lambda: Camera(unstated(codec), codec, fps, **more)

        yield Case(f"{name}: rate not stated, 15 a second", camera(15))
        yield Case(f"{name}: rate not stated, one each 2 s", camera(0.5), frames=4)
        yield Case(f"{name}: rate not stated, one each 2 s, no sets in the description",
                   camera(0.5, parameters=False), frames=4, clients=TELLS_AT_ONCE)
        yield Case(f"{name}: rate not stated, one each 5 s", camera(0.2), frames=3, long=True)
        yield Case(f"{name}: rate not stated, one each minute", camera(1 / 60), frames=2, long=True,
                   config='read_timeout = "150s"')
        yield Case(f"{name}: 15 a second stated, one each 2 s",
                   lambda codec=codec: Camera(clips.units(codec), codec, 0.5), frames=4)
        yield Case(f"{name}: one a second, a sender report 50 ms behind each",
                   lambda codec=codec: Camera(clips.units(codec), codec, 1, behind=[report_behind]), frames=8,
                   lasts=True, plays="retina")
        yield Case(f"{name}: pauses for 3 s within a group of pictures", lambda codec=codec: Camera(
            clips.units(codec, group=60), codec, behind=[pause]), frames=60, keeps_up=True)
    yield Case("H.264: rate not stated, B-pictures, 15 a second",
               lambda: Camera(unstated(nal.H264, b_pictures=2), order=clips.order(nal.H264, b_pictures=2)), frames=30)
    yield Case("H.264: key pictures alone, one each 2 s",
               lambda: Camera(unstated(nal.H264, group=1), fps=0.5), frames=4)
    yield Case("JPEG: one each 2 s", lambda: Camera(clips.jpegs("320x240"), "jpeg", 0.5), frames=4)
    yield Case("H.264: a key picture each 4 s, the first after 4 s", late_key_picture, "right or marked")
    for codec in (nal.H264, nal.H265):
        name = {nal.H264: "H.264", nal.H265: "H.265"}[codec]
        yield Case(f"{name}: stands still within its second picture", lambda codec=codec: Camera(
            clips.units(codec, group=12), codec, packets=[half_of_the_second], behind=[stall]), clients=("ffmpeg",),
            recorded=True)
