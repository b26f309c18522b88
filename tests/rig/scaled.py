#!/usr/bin/env python3
"""MD5 of each picture of a clip, scaled as docs/ref/scaling.md says, from FFmpeg's own pictures.

    scaled.py CLIP WIDTHxHEIGHT WIDTHxHEIGHT [nv12 | p010le]

The second size is that of the exported picture with fit = "letterbox". With a format, FFmpeg decodes the clip on a GPU and
downloads it in that format; otherwise on the processor. An implementation of its own, from the page alone: limited range and
left-sited chroma.
"""

import hashlib
import subprocess
import sys

import numpy as np


def weights(source, content, samples, outputs, a, scale):
    """R(m + 1) - R(m) of the page: a row for each output sample, a column for each source sample."""
    k, m = np.ogrid[:outputs, : samples + 1]
    begin = 4 * k * source - a * (source - content)
    below = np.clip(4 * m * content - begin, 0, 4 * source)
    below[:, 0], below[:, samples] = 0, 4 * source
    # As numbers whose products are exact: all sums are below 2 ** 53, and their matrices multiply fast.
    return np.diff((below * scale + 2 * source) // (4 * source), axis=1).astype(np.float64)


def scale(plane, sizes, a):
    """One plane; `sizes` are (source, content) in columns and in rows, of luma, and `a` is the chroma siting."""
    half = (lambda n: n) if a is None else (lambda n: (n + 1) // 2)
    columns, rows = (
        weights(source, content, half(source), half(content), side, steps)
        for (source, content), side, steps in zip(sizes, a or (0, 0), (1 << 14, 1 << 8))
    )
    sums = (rows @ plane.astype(np.float64) @ columns.T).astype(np.int64)
    return ((sums + (1 << 21)) >> 22).astype(np.uint8)


clip, source, asked, *surfaces = sys.argv[1:]
(width, height), (w, h) = (tuple(map(int, size.split("x"))) for size in (source, asked))
if min(w, width) * height <= min(h, height) * width:
    cw = min(w, width)
    ch = max(1, (2 * height * cw + width) // (2 * width))
else:
    ch = min(h, height)
    cw = max(1, (2 * width * ch + height) // (2 * height))
x, y = 2 * ((w - cw) // 4), 2 * ((h - ch) // 4)
sizes = (width, cw), (height, ch)
half = (height + 1) // 2, (width + 1) // 2
hardware, output = [], ["-pix_fmt", "yuv420p"]
if surfaces:
    hardware = ["-hwaccel", "cuda", "-hwaccel_output_format", "cuda"]
    output = ["-vf", "hwdownload,format=" + surfaces[0]]
decode = ["ffmpeg", "-v", "error", "-nostdin", *hardware, "-i", clip, "-fps_mode", "passthrough", *output, "-f", "rawvideo", "-"]
raw = subprocess.run(decode, check=True, stdout=subprocess.PIPE).stdout
samples = np.frombuffer(raw, "<u2" if surfaces == ["p010le"] else np.uint8)
for picture in samples.reshape(-1, width * height + 2 * half[0] * half[1]):
    if surfaces == ["p010le"]:
        picture = np.minimum(255, (picture.astype(np.uint32) + 128) >> 8).astype(np.uint8)
    luma, chroma = np.split(picture, [width * height])
    if surfaces:
        chroma = chroma.reshape(-1, 2).T.reshape(-1)
    slot = np.full((h, w), 16, np.uint8)
    slot[y : y + ch, x : x + cw] = scale(luma.reshape(height, width), sizes, None)
    pairs = np.full(((h + 1) // 2, (w + 1) // 2, 2), 128, np.uint8)
    for place, plane in enumerate(np.split(chroma, 2)):
        scaled = scale(plane.reshape(half), sizes, (1, 0))
        pairs[y // 2 : y // 2 + scaled.shape[0], x // 2 : x // 2 + scaled.shape[1], place] = scaled
    print(hashlib.md5(slot.tobytes() + pairs.tobytes()).hexdigest())
