"""Prints the MD5 of each picture of a 10-bit 4:2:0 clip as tight NV12, by the rule
min(255, (x + 2) >> 2), from FFmpeg's own 10-bit output. Usage: ten_bit.py FILE WIDTHxHEIGHT"""

import hashlib
import subprocess
import sys

import numpy

file, size = sys.argv[1:]
width, height = map(int, size.split("x"))
command = ["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", "-i", file, "-f", "rawvideo",
           "-pix_fmt", "yuv420p10le", "-fps_mode", "passthrough", "-"]
raw = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
samples = numpy.frombuffer(raw, "<u2").reshape(-1, width * height * 3 // 2)
for picture in samples:
    narrow = numpy.minimum(255, (picture.astype(numpy.uint32) + 2) >> 2).astype(numpy.uint8)
    luma, chroma = narrow[: width * height], narrow[width * height :]
    u, v = chroma.reshape(2, -1)
    print(hashlib.md5(luma.tobytes() + numpy.stack([u, v], axis=1).tobytes()).hexdigest())
