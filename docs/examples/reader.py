#!/usr/bin/python3
"""Reads a camera's decoded frames from shared memory and prints a line of JSON for each.

An example to copy: `Camera` is the part to keep. The format: docs/ref/frame-format.md.
Exit codes: 0 done, 1 no frame within --timeout, 2 wrong use, 3 no such camera or no writer.
"""
import argparse, fcntl, hashlib, itertools, json, mmap, os, platform, re, signal, struct, sys, time
from types import SimpleNamespace
import numpy as np

def layout(size, fields):
    names, offsets, formats = zip(*(field.split() for field in fields.split(",")))
    return np.dtype(dict(names=names, offsets=[int(offset) for offset in offsets],
                         formats=["<" + format for format in formats], itemsize=size))

HEADER = layout(512, """version 0 u4, frame_id 8 u8, width 24 u4, height 28 u4, pixel_format 32 u4,
    stride 36 u4, head_sequence 48 u8, newest_slot 56 u4, magic 64 S8, layout_hash 72 u8,
    header_size 88 u4, entry_size 92 u4, slot_count 96 u4, uv_offset 100 u4, slot_stride 104 u8,
    data_inode 120 u8, epoch 128 u8, state 256 u4, copying 260 u4, resumed_frame_id 264 u8""")
ENTRY = layout(128, """sequence 0 u8, frame_id 8 u8, pts_ns 16 i8, arrival_ns 24 u8,
    published_ns 48 u8, flags 76 u4, width 80 u4, height 84 u4, decoder 120 u4""")

class NoWriter(Exception):
    """Nobody writes this camera's frames: never did, stopped or died."""

def read_lock(file, command, start, length):
    """Sets or probes an open-file-description read lock; returns the kernel's l_type."""
    flock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, start, length, 0)
    return struct.unpack_from("h", fcntl.fcntl(file, command, flock))[0]

def open_file(*path):
    return open(os.path.join(*path), "rb", 0, opener=lambda p, f: os.open(p, f | os.O_NOFOLLOW))

class Ring:
    """One epoch: a frame.meta and its frame.data, checked and mapped read-only."""
    def __init__(self, path):
        # Too short a file needs no check of its own: mmap and numpy raise ValueError for it.
        self.meta = open_file(path, "frame.meta")
        meta = mmap.mmap(self.meta.fileno(), 0, access=mmap.ACCESS_READ)
        self.header = np.frombuffer(meta, HEADER, 1)
        # Read once, and as Python's integers: numpy's wrap around, and a bad size could pass.
        self.fixed = h = SimpleNamespace(**dict(zip(HEADER.names, self.header[0].item())))
        luma, chroma = (h.height, h.width), ((h.height + 1) // 2, (h.width + 1) // 2 * 2)
        if not ((h.version, h.magic, h.layout_hash) == (2, b"VASFRAME", 0x9B2F1B6F2C7EE1B7)
                and (h.header_size, h.entry_size, h.pixel_format) == (512, 128, 0)
                and 1 <= h.slot_count <= 1024 and 1 <= h.width <= 16384 and 1 <= h.height <= 16384
                and h.stride >= chroma[1] and h.uv_offset >= h.stride * h.height
                and h.slot_stride >= h.uv_offset + h.stride * chroma[0]):
            raise ValueError(f"{path}/frame.meta: expected a sound header of frame format 2")
        self.entries = np.frombuffer(meta, ENTRY, h.slot_count, 512)
        if self.ended():  # A crash leaves its files, and pictures in them of any age.
            raise NoWriter
        with open_file(path, "frame.data") as data:
            if os.fstat(data.fileno()).st_ino != h.data_inode:
                raise FileNotFoundError("the epoch changed between the two opens")
            pixels = mmap.mmap(data.fileno(), h.slot_count * h.slot_stride, access=mmap.ACCESS_READ)
        strides = (h.slot_stride, h.stride, 1)
        self.planes = [np.ndarray((h.slot_count, *shape), "u1", pixels, start, strides)
                       for start, shape in ((0, luma), (h.uv_offset, chroma))]

    def live(self, name):  # Aligned and of its own type: one load, so never half old, half new.
        return int(self.header[name][0])

    def ended(self):  # The writer of a camera that is merely quiet still holds its lock.
        probe = read_lock(self.meta, fcntl.F_OFD_GETLK, 0, 0)
        return self.live("state") != 1 or probe == fcntl.F_UNLCK

    def find(self, last_id, newest_only, attached_ns, ended):
        # The head before the entries, and none above it: a frame published during the scan, in a
        # slot already passed, would be skipped for a later one. After the end nothing moves.
        before = self.live("head_sequence")
        newest, slot = self.live("frame_id"), self.live("newest_slot")
        if before % 2 or self.live("head_sequence") != before or slot >= self.fixed.slot_count:
            newest = slot = 0
        slots = zip(self.entries["frame_id"].tolist(), range(self.fixed.slot_count))
        slots = [(newest, slot)] if newest_only else sorted(s for s in slots if s[0] <= newest or ended)
        for frame_id, slot in (found for found in slots if found[0] > last_id):
            before = int(self.entries["sequence"][slot])
            frame = SimpleNamespace(**dict(zip(ENTRY.names, self.entries[slot].item())))
            # `copying` first: the other way an old resumed_frame_id could meet a new `copying`.
            current = frame.published_ns > attached_ns or (
                self.live("copying") == 1 and frame.frame_id >= self.live("resumed_frame_id"))
            expected = (frame_id, self.fixed.width, self.fixed.height)
            if before % 2 or not current or (frame.frame_id, frame.width, frame.height) != expected:
                continue
            frame.epoch = self.fixed.epoch
            frame.nv12 = np.concatenate([plane[slot].reshape(-1) for plane in self.planes])
            if int(self.entries["sequence"][slot]) == before:  # Otherwise overwritten: lost to us.
                return frame

class Camera:
    """A camera's frames, across epochs and writers, as objects with ENTRY's fields and `nv12`."""
    def __init__(self, name, directory="/dev/shm/vas"):
        if platform.machine() != "x86_64":
            raise OSError("Python has no fences, and only x86-64 needs none here")
        self.path, self.readers, self.ring = os.path.join(directory, name), None, None
        self.attached_ns = time.monotonic_ns()
        if not self.show_presence():
            raise NoWriter(f"{self.path}: no such camera")

    def show_presence(self):  # Again after a clean stop: the next writer makes a new `readers`.
        try:
            there = os.stat(os.path.join(self.path, "readers"))
            if not self.readers or not os.path.samestat(os.fstat(self.readers.fileno()), there):
                self.readers = open_file(self.path, "readers")
                read_lock(self.readers, fcntl.F_OFD_SETLK, 1048576, 1)
            return True
        except FileNotFoundError:
            return False

    def next_after(self, last_id=0, timeout=10.0, newest_only=False):
        """The oldest frame above last_id. Raises TimeoutError, NoWriter, or ValueError (format)."""
        deadline = time.monotonic() + timeout
        while True:
            # The end before the frames: what came before an end is then still found.
            ended = not self.ring or self.ring.ended()
            frame = self.ring and self.ring.find(last_id, newest_only, self.attached_ns, ended)
            if frame:
                return frame
            problem = TimeoutError if self.show_presence() else NoWriter
            try:
                self.ring = Ring(self.path) if ended else self.ring
            except (FileNotFoundError, NoWriter) as error:  # No picture yet, or between epochs.
                self.ring, problem = None, NoWriter if isinstance(error, NoWriter) else problem
            if time.monotonic() >= deadline:
                raise problem(f"{self.path}: no frame within {timeout} s")
            time.sleep(0.002)

    def latest(self, last_id=0, timeout=10.0):
        return self.next_after(last_id, timeout, newest_only=True)

def as_line(camera, frame, with_md5):
    key, corrupt, after_loss, unknown = (bool(frame.flags >> bit & 1) for bit in range(4))
    return json.dumps(dict(
        camera=camera, epoch=frame.epoch, frame_id=frame.frame_id,
        pts_ns=None if frame.pts_ns == -2**63 else frame.pts_ns, published_ns=frame.published_ns,
        age_ns=time.monotonic_ns() - frame.arrival_ns, width=frame.width, height=frame.height,
        key=key, corrupt=corrupt, after_loss="yes" if after_loss else "unknown" if unknown else "no",
        decoder={1: "software", 2: "vaapi", 3: "nvdec"}.get(frame.decoder, "unknown"),
        md5=hashlib.md5(frame.nv12).hexdigest() if with_md5 else None))

def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("camera")
    parser.add_argument("--dir", default="/dev/shm/vas")
    parser.add_argument("--count", type=int, help="frames to print; without it, no end")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds to wait for a frame")
    parser.add_argument("--md5", action="store_true")
    parser.add_argument("--latest", action="store_true", help="the newest each time, skipping some")
    args = parser.parse_args()
    if not re.fullmatch(r"(?![.-])[A-Za-z0-9._-]{1,63}", args.camera):
        parser.error(f"expected a camera id, not {args.camera!r}")
    if args.count is not None and args.count < 1 or not args.timeout >= 0:
        parser.error("--count and --timeout: expected a number above 0")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `reader.py cam | head` ends without a traceback.
    last_id = 0
    try:
        camera = Camera(args.camera, args.dir)
        read = camera.latest if args.latest else camera.next_after
        for _ in range(args.count) if args.count else itertools.count():
            frame = read(last_id, args.timeout)
            last_id = frame.frame_id
            print(as_line(args.camera, frame, args.md5), flush=True)
    except TimeoutError as error:
        print(error, file=sys.stderr)
        return 1
    except (NoWriter, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        pass
    return 0

if __name__ == "__main__":
    sys.exit(main())
