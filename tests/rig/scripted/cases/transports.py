"""Transports of packets: channels and ports other than requested, problems of UDP, TLS."""

import pathlib
import ssl

from .. import clips, nal, rtp
from ..camera import Answer, Camera
from . import Case, group
from .answers import edits

# FFmpeg's client can't detect losses, and the status states that.
KNOWS = ("auto",)

UDP = 'transport = "udp"'


def on_channels(first, second=None):
    """The server chooses the channels."""
    second = first + 1 if second is None else second

    def step(_camera, session, request, answer):
        if request.method == "SETUP" and session.channels:
            session.channels = dict.fromkeys(session.channels, first)
            return answer.edit("Transport", r"interleaved=\d+-\d+", f"interleaved={first}-{second}")
        return answer
    return step


def silently_on(channel):
    """States one channel and uses another."""
    def step(_camera, session, request, answer):
        if request.method == "SETUP" and session.channels:
            session.channels = dict.fromkeys(session.channels, channel)
        return answer
    return step


def repeated(every):
    def step(_camera, session, index, packets):
        number(session, packets)
        return [packet for at, packet in enumerate(packets)
                for _ in range(2 if (index * 7 + at) % every == 0 else 1)]
    return step


def swapped(every):
    def step(_camera, session, index, packets):
        number(session, packets)
        for at in range(len(packets) - 1):
            if (index * 7 + at) % every == 0:
                packets[at], packets[at + 1] = packets[at + 1], packets[at]
        return packets
    return step


def lost(every):
    """Lost packets: their sequence numbers are skipped."""
    def step(_camera, session, index, packets):
        number(session, packets)
        return [packet for at, packet in enumerate(packets) if (index * 7 + at) % every != 3]
    return step


def number(session, packets):
    for packet in packets:
        packet.sequence = session.notes["next"] = session.notes.get("next", 19999) + 1


def others_channel(_camera, session, index):
    session.send(b"<tt:MetadataStream/>" + bytes([index & 255]), channel=6)


def between_packets(data):
    """Bytes that belong to no message, before each picture."""
    def step(_camera, session, _index):
        session.write(data)
    return step


def with_size(mtu):
    """Packets of another size."""
    def step(camera, _session, index, packets):
        new = rtp.packets(camera.codec, camera.units[index % len(camera.units)], mtu)
        for packet in new:
            packet.time, packet.ssrc = packets[0].time, packets[0].ssrc
        return new
    return step


def also(data, channel=0):
    """Data on the video's channel that is not an RTP packet, before each picture."""
    def step(_camera, session, _index):
        session.send(data, channel=channel)
    return step


def refuses_tcp(_camera, _session, request, answer):
    if request.method == "SETUP" and "interleaved" in request["transport"]:
        return Answer("461 Unsupported Transport", [("CSeq", request["cseq"])])
    return answer


def refuses_udp(_camera, _session, request, answer):
    if request.method == "SETUP" and "client_port" in request["transport"]:
        return Answer("461 Unsupported Transport", [("CSeq", request["cseq"])])
    return answer


def tls():
    """A self-signed certificate, as in cameras; made for these tests only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pathlib.Path(__file__).parents[1] / "camera.pem")
    return context


@group("transports")
def cases():
    def camera(*answers, codec=nal.H264, **more):
        return lambda: Camera(clips.units(codec), codec, answers=answers, **more)

    yield Case("channels 4-5", camera(on_channels(4)))
    yield Case("channels 1-2", camera(on_channels(1)))
    yield Case("channels 5-6", camera(on_channels(5)))
    yield Case("channels 254-255", camera(on_channels(254)))
    # Neither client accepts these.
    yield Case("channels 1-0", camera(on_channels(1, 0)), "reported")
    yield Case("channels 3-3", camera(on_channels(3, 3)))
    # Nothing states which track a channel belongs to.
    yield Case("channels 0-1 said, 2 used", camera(silently_on(2)), "reported")
    yield Case("an unrequested channel between", camera(before=[others_channel]))
    yield Case("bytes 0 between packets", camera(before=[between_packets(bytes(4))]), "reported")
    yield Case("line ends between packets", camera(before=[between_packets(b"\r\n")]))
    yield Case("meaningless bytes between packets", camera(before=[between_packets(b"\x17\x00\x9anonsense")]), "reported")
    yield Case("packets of length 0", camera(before=[also(b"")]))
    yield Case("packets of 8 bytes", camera(before=[also(b"\x80\x60" + bytes(6))]))
    yield Case("packets of RTP version 1", camera(before=[also(b"\x40\x60" + bytes(30))]))
    yield Case("RTCP on the video's channel", camera(before=[also(b"\x80\xc9\0\1\x11\x22\x33\x44")]))
    for mtu in (100, 8000, 60000):
        yield Case(f"packets of {mtu} bytes", camera(packets=[with_size(mtu)]))
    yield Case("UDP", camera(), config=UDP)
    yield Case("UDP: no server_port", camera(edits("SETUP", "Transport", r";server_port=\d+-\d+", "")), config=UDP)
    yield Case("UDP: server_port 0-0", camera(edits("SETUP", "Transport", r"server_port=\d+-\d+", "server_port=0-0")), config=UDP)
    yield Case("UDP: one server_port", camera(edits("SETUP", "Transport", r"(server_port=\d+)-\d+", r"\1")), config=UDP)
    yield Case("UDP: an untrue server_port",
               camera(edits("SETUP", "Transport", r"server_port=\d+-\d+", "server_port=9-10")), config=UDP)
    yield Case("UDP: no client_port", camera(edits("SETUP", "Transport", r"client_port=\d+-\d+;", "")), config=UDP)
    yield Case("UDP: source of another host", camera(edits("SETUP", "Transport", "unicast;", "unicast;source=192.0.2.7;")),
               config=UDP)
    yield Case("UDP: an ssrc that RTP does not have", camera(edits("SETUP", "Transport", "$", ";ssrc=0BADCAFE")), config=UDP)
    yield Case("TCP refused with 461", camera(refuses_tcp))
    yield Case("UDP refused with 461", camera(refuses_udp))
    for codec, name in ((nal.H264, "H.264"), (nal.H265, "H.265")):
        yield Case(f"UDP: packets come twice, {name}", camera(codec=codec, packets=[repeated(5)]), clients=KNOWS,
                   config=UDP)
        yield Case(f"UDP: packets come out of order, {name}", camera(codec=codec, packets=[swapped(60)]),
                   "right or marked", config=UDP)
        yield Case(f"UDP: packets are lost, {name}", camera(codec=codec, packets=[lost(40)]), "right or marked", KNOWS,
                   config=UDP)
    yield Case("TCP: packets are lost", camera(packets=[lost(40)]), "right or marked", KNOWS)
    # FFmpeg 5.1's client takes a repeated packet for a new one.
    yield Case("TCP: packets come twice", camera(packets=[repeated(5)]), "right or marked", KNOWS)
    yield Case("RTSPS, a self-signed certificate", lambda: Camera(clips.units(nal.H264), tls=tls()))
    yield Case("RTSPS, H.265", lambda: Camera(clips.units(nal.H265), nal.H265, tls=tls()))
