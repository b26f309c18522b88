"""The number burnt into each picture of a clip, and what it says about the picture's age.

target/release/cameras sends picture n of a camera at phase + n * interval of the monotonic clock and repeats its clip
for ever. So a picture's number in the clip is the time when it was sent, up to the clip's length. It passes through
every peer, since it is part of the picture. bench/src/stamp.rs is the same in Rust.
"""

import os
import struct
import time

BITS = 8
# A picture is this many blocks of the pattern wide.
BLOCKS = 40
BLACK, GREY, WHITE = 16, 128, 235
GOLDEN = 0.61803398875
PICTURES = 240
# A frame that a consumer has seen: when, and its age then; -1 for a number that can't be read.
RECORD = struct.Struct("<Qq")


def pattern(number):
    """Two rows of blocks: the bits of a number, the highest first, and the same inverted."""
    bits = [number >> bit & 1 for bit in reversed(range(BITS))]
    return bytes(WHITE if bit else BLACK for bit in bits) + bytes(BLACK if bit else WHITE for bit in bits)


class Sightings:
    """Appends the age of each frame of one camera to a file, as the camera's consumer sees it."""

    def __init__(self, camera, fps, path, width):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.interval = 10**9 // fps
        self.phase = int(int(camera[-3:]) * GOLDEN % 1 * self.interval)
        block = width // BLOCKS
        self.columns = [column * block + block // 2 for column in range(BITS)]
        self.rows = block // 2, block + block // 2

    def add(self, luma):
        """Notes the frame that the consumer has now; `luma` is an array of rows, or of one channel that shows it."""
        now, number = time.monotonic_ns(), 0
        for column in self.columns:
            bit, inverse = (luma[row, column] > GREY for row in self.rows)
            number = None if number is None or bit == inverse else number << 1 | int(bit)
        cycle = PICTURES * self.interval
        age = -1 if number is None else (now - self.phase - number * self.interval) % cycle
        os.write(self.file, RECORD.pack(now, age))


def sightings(path, begin, end):
    """The ages that a consumer noted between two times, in nanoseconds."""
    with open(path, "rb") as file:
        records = file.read()
    return [age for now, age in RECORD.iter_unpack(records[:len(records) // 16 * 16]) if begin < now <= end]
