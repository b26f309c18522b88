#!/usr/bin/python3
"""Reads a camera's decoded frames from shared memory and prints a line of JSON for each.

An example to copy: `Camera` is the part to keep. The format is docs/ref/frame-format.md.
Exit codes: 0 done, 1 no frame within --timeout, 2 wrong use, 3 no such camera or no writer."""
import argparse, ctypes, fcntl, functools, hashlib, json
import mmap, os, platform, re, signal, struct, sys, time, types
import numpy as np

def layout(size, fields):
    names, offsets, formats = zip(*(field.split() for field in fields.split(",")))
    return np.dtype(dict(names=names, formats=formats, offsets=[*map(int, offsets)], itemsize=size))

HEADER = layout(512, """version 0 <u4, frame_id 8 <u8, width 24 <u4, height 28 <u4, stride 36 <u4,
    pixel_format 32 <u4, head_sequence 48 <u8, newest_slot 56 <u4, magic 64 S8, epoch 128 <u8,
    layout_hash 72 <u8, header_size 88 <u4, entry_size 92 <u4, slot_count 96 <u4, state 256 <u4,
    uv_offset 100 <u4, slot_stride 104 <u8, data_inode 120 <u8, copying 260 <u4,
    resumed_frame_id 264 <u8""")
ENTRY = layout(128, """sequence 0 <u8, frame_id 8 <u8, pts_ns 16 <i8, arrival_ns 24 <u8,
    published_ns 48 <u8, flags 76 <u4, width 80 <u4, height 84 <u4, content_x 104 <u4,
    content_y 108 <u4, content_width 112 <u4, content_height 116 <u4, source_size 124 <u4, decoder 120 <u4""")

def read_lock(file, command, start=0, length=0):
    """Sets or probes an open-file-description read lock; returns the kernel's l_type."""
    flock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, start, length, 0)
    return struct.unpack_from("h", fcntl.fcntl(file, command, flock))[0]

def open_file(*path):
    return open(os.path.join(*path), "rb", 0, opener=lambda p, f: os.open(p, f | os.O_NOFOLLOW))

# Python's own mmap can't choose an address.
mmap_at = ctypes.CDLL(None, use_errno=True).mmap
mmap_at.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
mmap_at.restype = ctypes.c_void_p
MAP_FIXED = 0x10

def map_aligned(fd, size, huge=2 << 20):
    """Maps a file read-only, at an address where huge pages can back it."""
    if size < huge:
        return mmap.mmap(fd, size, access=mmap.ACCESS_READ)
    if os.fstat(fd).st_size < size:
        raise ValueError("frame.data is shorter than its slots")
    # The reservation unmaps all of it when nothing refers to it any more.
    reserved = np.frombuffer(
        mmap.mmap(-1, size + huge, mmap.MAP_PRIVATE, mmap.PROT_READ), np.uint8)
    start = -reserved.ctypes.data % huge
    place = reserved.ctypes.data + start
    if mmap_at(place, size, mmap.PROT_READ, mmap.MAP_SHARED | MAP_FIXED, fd, 0) != place:
        raise OSError(ctypes.get_errno(), "can't map frame.data")
    return reserved[start:start + size]

class Ring:
    """One epoch: a frame.meta and its frame.data, checked and mapped read-only."""
    def __init__(self, path):
        # Too short a file needs no check of its own: mmap and numpy raise ValueError for it.
        self.meta = open_file(path, "frame.meta")
        meta = mmap.mmap(self.meta.fileno(), 0, access=mmap.ACCESS_READ)
        self.header = np.frombuffer(meta, HEADER, 1)
        # Read once, and as Python's integers: numpy's wrap around, and a bad size could pass.
        self.fixed = h = types.SimpleNamespace(**dict(zip(HEADER.names, self.header[0].item())))
        luma, chroma = (h.height, h.width), ((h.height + 1) // 2, (h.width + 1) // 2 * 2)
        if not ((h.version, h.magic, h.layout_hash) == (2, b"VASFRAME", 0x85DFB6FFD4C6D070)
                and (h.header_size, h.entry_size, h.pixel_format) == (512, 128, 0)
                and 1 <= h.slot_count <= 1024 and 1 <= h.width <= 16384 and 1 <= h.height <= 16384
                and h.stride >= chroma[1] and h.uv_offset >= h.stride * h.height
                and h.slot_stride >= h.uv_offset + h.stride * chroma[0]):
            raise ValueError(f"{path}/frame.meta: expected a sound header of frame format 2")
        self.entries = np.frombuffer(meta, ENTRY, h.slot_count, 512)
        with open_file(path, "frame.data") as data:
            # A crash leaves its files, with pictures of any age; data alone may be a newer epoch's.
            if self.ended() or os.fstat(data.fileno()).st_ino != h.data_inode:
                raise FileNotFoundError(f"{path}: nothing that is being written")
            pixels = map_aligned(data.fileno(), h.slot_count * h.slot_stride)
        self.planes = [
            np.ndarray((h.slot_count, *shape), "u1", pixels, start, (h.slot_stride, h.stride, 1))
            for start, shape in ((0, luma), (h.uv_offset, chroma))]

    def live(self, name):  # Aligned and of its own type: one load, so never half old, half new.
        return int(self.header[name][0])

    def ended(self):  # The writer of a camera that is merely quiet still holds its lock.
        return self.live("state") != 1 or read_lock(self.meta, fcntl.F_OFD_GETLK) == fcntl.F_UNLCK

    def find(self, last_id, newest_only, attached_ns, ended):
        before, h = self.live("head_sequence"), self.fixed
        newest, slot = self.live("frame_id"), self.live("newest_slot") % h.slot_count
        whole = before % 2 == 0 and self.live("head_sequence") == before
        # `copying` first: the other way an old resumed_frame_id could meet a new `copying`.
        resumed_id = self.live("resumed_frame_id") if self.live("copying") == 1 else 2**64
        # None above the head, which was read first: a frame published during the scan, in a slot
        # already passed, would be skipped for a later one. After the end nothing moves.
        limit = 2**64 if ended else newest if whole else 0
        ids = [(slot, newest)] if newest_only else enumerate(self.entries["frame_id"].tolist())
        for frame_id, slot in sorted((id, slot) for slot, id in ids if last_id < id <= limit):
            before, entry = int(self.entries["sequence"][slot]), self.entries[slot]
            frame = types.SimpleNamespace(epoch=h.epoch, **dict(zip(ENTRY.names, entry.item())))
            current = frame.published_ns > attached_ns or frame_id >= resumed_id
            ours = (frame.frame_id, frame.width, frame.height) == (frame_id, h.width, h.height)
            if before % 2 == 0 and ours and current:
                frame.nv12 = np.concatenate([plane[slot].reshape(-1) for plane in self.planes])
                if int(self.entries["sequence"][slot]) == before:  # Else overwritten: lost to us.
                    return frame

class Camera:
    """A camera's frames across epochs and writers: objects with ENTRY's fields, epoch and nv12."""
    def __init__(self, name, directory="/dev/shm/vas"):
        if platform.machine() != "x86_64":
            raise OSError("needs x86_64: other processors need fences, which Python doesn't have")
        self.path, self.readers, self.ring = os.path.join(directory, name), None, None
        self.attached_ns = time.monotonic_ns()
        self.show_presence()

    def show_presence(self):  # Again after a clean stop: the next writer makes a new `readers`.
        inode = os.stat(self.path + "/readers").st_ino
        if not self.readers or os.fstat(self.readers.fileno()).st_ino != inode:
            self.readers = open_file(self.path, "readers")
            read_lock(self.readers, fcntl.F_OFD_SETLK, 1048576, 1)

    def next_after(self, last_id=0, timeout=10.0, newest_only=False):
        """The oldest frame above last_id. TimeoutError: a quiet camera. OSError: no writer."""
        deadline = time.monotonic() + timeout
        while True:
            # The end before the frames: what came before an end is then still found.
            ended = not self.ring or self.ring.ended()
            frame = self.ring and self.ring.find(last_id, newest_only, self.attached_ns, ended)
            if frame:
                return frame
            try:
                self.show_presence()
                self.ring = Ring(self.path) if ended else self.ring
            except (FileNotFoundError, PermissionError):  # Or not opened to readers yet.
                self.ring = None if ended else self.ring
            if time.monotonic() >= deadline:
                # No frame.meta: before the first picture. A lock but no ring: between two epochs.
                if "frame.meta" not in os.listdir(self.path) or fcntl.F_UNLCK != read_lock(
                        open_file(self.path, "frame.meta"), fcntl.F_OFD_GETLK):
                    raise TimeoutError(f"{self.path}: no frame within {timeout} s")
                raise ProcessLookupError(f"{self.path}: the writer stopped or died")
            time.sleep(0.002)

    latest = functools.partialmethod(next_after, newest_only=True)

def as_line(camera, frame, with_md5):
    return json.dumps(dict(
        camera=camera, epoch=frame.epoch, frame_id=frame.frame_id,
        pts_ns=None if frame.pts_ns == -2**63 else frame.pts_ns, published_ns=frame.published_ns,
        age_ns=time.monotonic_ns() - frame.arrival_ns, width=frame.width, height=frame.height,
        key=bool(frame.flags & 1), corrupt=bool(frame.flags & 2),
        after_loss=("no", "yes", "unknown", "yes")[frame.flags >> 2 & 3],
        decoder={1: "software", 2: "vaapi", 3: "nvdec"}.get(frame.decoder, "unknown"),
        md5=hashlib.md5(frame.nv12).hexdigest() if with_md5 else None))

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("camera")
    parser.add_argument("--dir", default="/dev/shm/vas")
    parser.add_argument("--count", type=int, default=sys.maxsize, help="frames to print")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds to wait for a frame")
    parser.add_argument("--md5", action="store_true")
    parser.add_argument("--latest", action="store_true", help="the newest each time, not every one")
    args = parser.parse_args()
    if not re.fullmatch(r"\w[\w.-]{0,62}", args.camera, re.A) or min(args.count, args.timeout) <= 0:
        parser.error("expected a camera id, a count and a timeout above 0")
    for number in (signal.SIGINT, signal.SIGPIPE):  # End as any filter does, without a traceback.
        signal.signal(number, signal.SIG_DFL)
    try:
        camera, last_id = Camera(args.camera, args.dir), 0
        for _ in range(args.count):
            frame = camera.next_after(last_id, args.timeout, args.latest)
            last_id = frame.frame_id
            print(as_line(args.camera, frame, args.md5), flush=True)
    except (OSError, OverflowError, ValueError) as error:
        parser.exit(1 if type(error) is TimeoutError else 3, f"{error}\n")
