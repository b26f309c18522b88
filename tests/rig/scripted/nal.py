"""NAL units of H.264 and H.265: splits streams, and rewrites headers."""

import functools
import re
import subprocess

H264, H265 = "h264", "h265"

# NAL unit types by meaning, for each codec (H.264 table 7-1, H.265 table 7-1).
AUD = {H264: 9, H265: 35}
SEQUENCE_SET = {H264: 7, H265: 33}
PICTURE_SET = {H264: 8, H265: 34}
PARAMETER_SETS = {H264: (7, 8), H265: (32, 33, 34)}
SLICES = {H264: range(1, 6), H265: range(0, 32)}
KEY_SLICES = {H264: (5,), H265: range(16, 22)}


def kind(codec, nal):
    return nal[0] & 31 if codec == H264 else nal[0] >> 1 & 63


def is_slice(codec, nal):
    return kind(codec, nal) in SLICES[codec]


def is_key(codec, unit):
    return any(kind(codec, nal) in KEY_SLICES[codec] for nal in unit)


def is_parameter_set(codec, nal):
    return kind(codec, nal) in PARAMETER_SETS[codec]


def header(codec, number):
    """The header of a non-reference NAL unit."""
    return bytes([number]) if codec == H264 else bytes([number << 1, 1])


def split(stream):
    """The NAL units of an Annex B stream."""
    starts = [match.start() for match in re.finditer(b"\0\0\1", stream)]
    nals = [stream[start + 3:end] for start, end in zip(starts, [*starts[1:], len(stream)])]
    return [nal.rstrip(b"\0") for nal in nals]


def join(nals):
    return b"".join(b"\0\0\0\1" + nal for nal in nals)


def access_units(codec, stream):
    """The pictures of a stream that has a delimiter before each; the delimiters are left out."""
    units = []
    for nal in split(stream):
        if kind(codec, nal) == AUD[codec]:
            units.append([])
        else:
            units[-1].append(nal)
    return units


# -- Bits

def bits_of(nal):
    """All bits of a NAL unit without its emulation prevention bytes, as text of 0 and 1."""
    return "".join(f"{byte:08b}" for byte in nal.replace(b"\0\0\3", b"\0\0"))


def nal_of(bits):
    """The reverse; `bits` are whole bytes."""
    plain = bytes(int(bits[at:at + 8], 2) for at in range(0, len(bits), 8))
    return re.sub(b"\0\0(?=[\0-\3])", b"\0\0\3", plain)


def exp_golomb(value):
    digits = f"{value + 1:b}"
    return "0" * (len(digits) - 1) + digits


def end(bits):
    """Closes a payload: the stop bit, and zeros to a whole byte."""
    return bits + "1" + "0" * (-(len(bits) + 1) % 8)


FIELD = re.compile(r"\] (\d+) +(\S+) +[01]+ = -?\d+")


@functools.cache
def traced(codec, stream):
    """The bit offsets of the fields of a stream's headers, from FFmpeg's own parser: for each title, for example
    `Picture Parameter Set` or `Slice`, one table per NAL unit, in order."""
    form = {H264: "h264", H265: "hevc"}[codec]
    command = ["ffmpeg", "-v", "verbose", "-nostdin", "-f", form, "-i", "-", "-c", "copy",
               "-bsf:v", "trace_headers", "-f", "null", "-"]
    run = subprocess.run(command, input=stream, capture_output=True, check=True)
    tables = {}
    for section in re.split(r"\n(?=\[trace_headers[^\n]*\] [A-Z])", run.stderr.decode(errors="replace")):
        title = section.split("\n")[0].partition("] ")[2]
        title = "Slice" if title.startswith("Slice") else title
        table = {field: int(at) for at, field in FIELD.findall(section)}
        tables.setdefault(title, []).append(table)
    return tables


# -- Rewriting

def with_second_picture_set(codec, units):
    """Sends each picture parameter set twice, as 0 and 1; all pictures except key pictures use the second."""
    tables = traced(codec, join(nal for unit in units for nal in unit))
    slices = iter(tables["Slice"])
    out = []
    for unit in units:
        key = is_key(codec, unit)
        nals = []
        for nal in unit:
            if kind(codec, nal) == PICTURE_SET[codec]:
                nals += [nal, _renumbered_set(codec, nal)]
            elif is_slice(codec, nal):
                table = next(slices)
                nals.append(nal if key else _using_second_set(codec, nal, table))
            else:
                nals.append(nal)
        out.append(nals)
    return out


def _renumbered_set(codec, nal):
    at = 8 if codec == H264 else 16
    bits = bits_of(nal)
    assert bits[at] == "1", "the set has the number 0"
    return nal_of(end(bits[:at] + exp_golomb(1) + bits[at + 1:].rstrip("0")[:-1]))


def _using_second_set(codec, nal, table):
    number = "pic_parameter_set_id" if codec == H264 else "slice_pic_parameter_set_id"
    bits, at = bits_of(nal), table[number]
    assert bits[at] == "1", "the slice uses set 0"
    if codec == H264:
        # CAVLC: slice data follows the header at any bit.
        return nal_of(end(bits[:at] + exp_golomb(1) + bits[at + 1:].rstrip("0")[:-1]))
    data = table["alignment_bit_equal_to_one"]
    head = end(bits[:at] + exp_golomb(1) + bits[at + 1:data])
    return nal_of(head + bits[data + 8 - data % 8:])


def without_usability(codec, units):
    """Removes the VUI, and with it the stated rate, from each sequence parameter set."""
    table = traced(codec, join(nal for unit in units for nal in unit))["Sequence Parameter Set"][0]
    at = table["vui_parameters_present_flag"]

    def cut(nal):
        if kind(codec, nal) != SEQUENCE_SET[codec]:
            return nal
        # H.265 has one more flag after it: no extension.
        return nal_of(end(bits_of(nal)[:at] + ("0" if codec == H264 else "00")))

    return [[cut(nal) for nal in unit] for unit in units]
