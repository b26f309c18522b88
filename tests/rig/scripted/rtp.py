"""RTP packets, and the packetization of pictures (RFC 6184, RFC 7798, RFC 2435)."""

import dataclasses
import struct

from . import nal

MTU = 1200


@dataclasses.dataclass
class Packet:
    payload: bytes
    marker: bool = False
    time: int = 0
    kind: int = 96
    # None: numbered in sequence when it is sent.
    sequence: int | None = None
    ssrc: int = 0
    # Profile and words of a header extension.
    extension: tuple[int, bytes] | None = None
    padding: int = 0
    contributors: tuple[int, ...] = ()
    # The interleaved channel, if it is not the negotiated one.
    channel: int | None = None
    # Its NAL unit.
    nal: bytes = b""

    def encode(self):
        flags = 0x80 | bool(self.padding) << 5 | (self.extension is not None) << 4 | len(self.contributors)
        head = struct.pack(">BBHII", flags, self.marker << 7 | self.kind, self.sequence & 0xFFFF,
                           self.time & 0xFFFFFFFF, self.ssrc)
        head += b"".join(struct.pack(">I", one) for one in self.contributors)
        if self.extension is not None:
            profile, words = self.extension
            head += struct.pack(">HH", profile, len(words) // 4) + words
        tail = bytes(self.padding - 1) + bytes([self.padding]) if self.padding else b""
        return head + self.payload + tail


def fragments(codec, unit, mtu=MTU, order=None):
    """One NAL unit as packets; `order` is its decoding order number, if these are sent (RFC 7798, 4.4)."""
    number = b"" if order is None else struct.pack(">H", order & 0xFFFF)
    head = 1 if codec == nal.H264 else 2
    if len(unit) + len(number) <= mtu:
        return [Packet(unit[:head] + number + unit[head:], nal=unit)]
    kind, body = nal.kind(codec, unit), unit[head:]
    start = bytes([unit[0] & 0xE0 | 28]) if codec == nal.H264 else bytes([unit[0] & 0x81 | 49 << 1, unit[1]])
    step = mtu - head - 3
    out = []
    for at in range(0, len(body), step):
        first, last = at == 0, at + step >= len(body)
        indicator = bytes([first << 7 | last << 6 | kind])
        out.append(Packet(start + indicator + (number if first else b"") + body[at:at + step], nal=unit))
    return out


def packets(codec, unit, mtu=MTU):
    """A picture as packets, each NAL unit separate, with the marker on the last."""
    out = [packet for one in unit for packet in fragments(codec, one, mtu)]
    out[-1].marker = True
    return out


def aggregate(codec, nals):
    """Several NAL units in one packet: STAP-A, or AP."""
    head = bytes([24 | 0x60]) if codec == nal.H264 else bytes([48 << 1, 1])
    return Packet(head + b"".join(struct.pack(">H", len(one)) + one for one in nals), nal=nals[-1])


# -- JPEG

class Picture:
    """RTP's parameters of a JPEG picture, read from its headers."""

    def __init__(self, jpeg):
        self.tables, at = b"", 2
        # Everything between start of image and scan.
        while True:
            marker, length = struct.unpack_from(">HH", jpeg, at)
            body = jpeg[at + 4:at + 2 + length]
            if marker == 0xFFDB:
                while body:
                    self.tables += body[1:65]
                    body = body[65:]
            elif marker == 0xFFC0:
                self.height, self.width = struct.unpack_from(">HH", body, 1)
                # Vertical sampling of luma: 1 is 4:2:2, type 0; 2 is 4:2:0, type 1.
                self.type = (body[7] & 15) - 1
            at += 2 + length
            if marker == 0xFFDA:
                break
        if len(self.tables) == 64:
            # Luma and chroma share one; RFC 2435 has a table for each.
            self.tables *= 2
        self.headers, self.scan = jpeg[2:at], jpeg[at:].removesuffix(b"\xff\xd9")


def jpeg_packets(jpeg, extended=False, mtu=MTU):
    """A JPEG picture as packets. Sizes above 2040 are 0 in RTP's own header; with `extended` the picture's
    headers are in the extension that ONVIF's streaming specification defines."""
    picture = Picture(jpeg)
    fits = picture.width <= 2040 and picture.height <= 2040
    size = (picture.width // 8, picture.height // 8) if fits else (0, 0)
    out = []
    for at in range(0, len(picture.scan), mtu):
        head = struct.pack(">I", at) + bytes([picture.type, 255, *size])
        if at == 0:
            head += struct.pack(">HH", 0, len(picture.tables)) + picture.tables
        out.append(Packet(head + picture.scan[at:at + mtu], kind=26))
    if extended:
        words = picture.headers + b"\xff" * (-len(picture.headers) % 4)
        out[0].extension = (0xFFD8, words)
    out[-1].marker = True
    return out
