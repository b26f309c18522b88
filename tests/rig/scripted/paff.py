"""Pictures of H.264 coded field by field (PAFF), which no available encoder produces.

Every macroblock is I_PCM, with its raw samples, in a Baseline-like stream with CAVLC; second fields of a
frame and later frames differ only in content.
"""

from . import nal

WIDTH, HEIGHT = 64, 64


def ue(value):
    return nal.exp_golomb(value)


def unit(number, reference, bits):
    payload = nal.nal_of(nal.end(bits))
    return bytes([reference << 5 | number]) + payload


def sequence_set():
    # Main profile, level 3, for fields; order count type 0.
    bits = f"{77:08b}{0:08b}{30:08b}" + ue(0) + ue(4) + ue(0) + ue(4) + ue(1) + "0"
    # Width in macroblocks, height in pairs of them; fields may occur, no MBAFF; direct 8x8; no cropping, no VUI.
    bits += ue(WIDTH // 16 - 1) + ue(HEIGHT // 32 - 1) + "0" + "0" + "1" + "0" + "0"
    return unit(7, 3, bits)


def picture_set():
    bits = ue(0) + ue(0) + "0" + "0" + ue(0) + ue(0) + ue(0) + "0" + "00" + ue(0) + ue(0) + ue(0) + "0" + "0" + "0"
    return unit(8, 3, bits)


def field(picture, index, bottom, key):
    """One field; the first of a key picture is IDR, all others are I fields."""
    idr = key and not bottom
    bits = ue(0) + ue(7) + ue(0) + f"{index % 256:08b}" + "1" + str(int(bottom))
    if idr:
        bits += ue(index % 2)
    bits += f"{(index * 2 + bottom) % 256:08b}"
    # Reference marking: by sliding window.
    bits += "00" if idr else "0"
    bits += "1"  # QP delta 0
    for at in range(WIDTH // 16 * (HEIGHT // 32)):
        bits += ue(25)
        # Zeros to the next byte; the header of the unit is one byte.
        bits += "0" * (-len(bits) % 8)
        shade = (picture * 16 + at * 9 + bottom * 5) % 200 + 20
        luma = "".join(f"{shade + row:08b}" * 16 for row in range(16))
        bits += luma + f"{60 + picture * 3:08b}" * 64 + f"{150 - at:08b}" * 64
    return unit(5 if idr else 1, 2, bits)


def units(pictures=30, group=15):
    """Frames of two fields each."""
    out = []
    for index in range(pictures):
        key = index % group == 0
        number = index % group
        out.append([*([sequence_set(), picture_set()] if key else []), field(index, number, 0, key), field(index, number, 1, key)])
    return out
