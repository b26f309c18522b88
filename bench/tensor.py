#!/usr/bin/env python3
"""Does vas-tensor beat OpenCV, and is its result the same?

    bench/run.sh tensor [--picture FILE]... [--loop] [--only speed|equality]

Needs numpy and opencv-python-headless < 5. Both sides run in this process, in turns, on the same pictures and into the
same memory; `turns` is the number of pairs, `ratio` OpenCV's time over ours: the median of the pairs and, in brackets,
its quartiles.
"""

import argparse
import concurrent.futures
import ctypes
import os
import statistics
import time
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
MATRICES = ["BT.601", "BT.709", "BT.2020", "FCC", "SMPTE 240M"]
RGB, BGR, GRAY = range(3)
STRETCH, LETTERBOX, CROP = range(3)
NCHW, NHWC = range(2)
U8, F16, F32 = range(3)
PAUSE = 0.0

calls = ctypes.CDLL(os.environ.get("CALLS", ROOT / "target/release/examples/libcalls.so"))
calls.vas_plan.restype = calls.vas_pool.restype = ctypes.c_void_p
calls.vas_run.restype = ctypes.c_size_t


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def converter(nv12, size, order, to, matrix=0, full=0):
    """A call that converts, with arguments that were made once."""
    arguments = [pointer(nv12), *map(ctypes.c_uint32, (*size, matrix, full, order)), pointer(to)]
    return lambda: calls.vas_convert(*arguments)


class Batch:
    """A pool with a plan, pictures and tensors."""

    def __init__(self, threads, size, target, pictures, tensors, fit, order, layout, element, scale, mean, std):
        numbers = (ctypes.c_float * 7)(scale, *mean, *std)
        self.pool = ctypes.c_void_p(calls.vas_pool(threads))
        self.plan = ctypes.c_void_p(calls.vas_plan(*size, 0, 0, *target, fit, order, layout, element, numbers))
        pointers = ctypes.c_void_p * len(pictures)
        self.keep = pictures, tensors
        self.count = ctypes.c_size_t(len(pictures))
        self.pictures = pointers(*(array.ctypes.data for array in pictures))
        self.tensors = pointers(*(array.ctypes.data for array in tensors))

    def run(self):
        assert calls.vas_run(self.pool, self.plan, self.count, self.pictures, self.tensors) == 0


class OpenCv:
    """The same by OpenCV and numpy, with every buffer made once."""

    def __init__(self, size, target, scale, mean, std):
        (width, height), (self.width, self.height) = size, target
        ratio = min(target[0] / width, target[1] / height)
        self.inner = round(width * ratio), round(height * ratio)
        self.top, self.left = (target[1] - self.inner[1]) // 2, (target[0] - self.inner[0]) // 2
        self.size = size
        self.copy = np.empty((height * 3 // 2, width), np.uint8)
        self.rgb = np.empty((height, width, 3), np.uint8)
        self.small = np.empty((*self.inner[::-1], 3), np.uint8)
        self.box = np.empty((*target[::-1], 3), np.uint8)
        self.floats = np.empty((*target[::-1], 3), np.float32)
        self.factor = (scale / np.array(std)).astype(np.float32)
        self.summand = (-np.array(mean) / np.array(std)).astype(np.float32)

    def run(self, nv12, to):
        np.copyto(self.copy, nv12)
        cv2.cvtColor(self.copy, cv2.COLOR_YUV2RGB_NV12, dst=self.rgb)
        cv2.resize(self.rgb, self.inner, dst=self.small, interpolation=cv2.INTER_LINEAR)
        top, left = self.top, self.left
        bottom, right = self.height - self.inner[1] - top, self.width - self.inner[0] - left
        bars = cv2.BORDER_CONSTANT
        cv2.copyMakeBorder(self.small, top, bottom, left, right, bars, dst=self.box, value=(114, 114, 114))
        np.multiply(self.box, self.factor, out=self.floats, casting="unsafe")
        if self.summand.any():
            np.add(self.floats, self.summand, out=self.floats)
        np.copyto(to, self.floats.transpose(2, 0, 1))


def in_turns(name, theirs, ours, turns):
    """`PAUSE`: as between a camera's frames, in which caches and clocks forget."""
    for _ in range(3):
        theirs(), ours()
    times = []
    for turn in range(turns):
        pair = [0, 0]
        # The first of a pair alternates.
        for which in ((0, 1), (1, 0))[turn % 2]:
            time.sleep(PAUSE)
            began = time.perf_counter()
            (theirs, ours)[which]()
            pair[which] = time.perf_counter() - began
        times.append(pair)
    low, ratio, high = statistics.quantiles([a / b for a, b in times], n=4)
    their, our = (statistics.median(side) * 1e3 for side in zip(*times))
    sides = f"OpenCV {their:8.3f} ms   ours {our:8.3f} ms"
    print(f"{name:44} {sides}   ratio {ratio:5.2f} [{low:.2f}, {high:.2f}]", flush=True)


def random_picture(size, seed):
    width, height = size
    return np.random.default_rng(seed).integers(0, 256, (height * 3 // 2, width), dtype=np.uint8)


def legal_picture(size, seed):
    """Random samples, but no luma below black, which OpenCV takes for black."""
    nv12 = random_picture(size, seed)
    np.maximum(nv12[: size[1]], 16, out=nv12[: size[1]])
    return nv12


def picture_of(file, size):
    """A photograph as NV12 (BT.601, limited), by OpenCV."""
    bgr = cv2.resize(cv2.imread(str(file)), size, interpolation=cv2.INTER_CUBIC)
    width, height = size
    i420 = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)
    luma, u, v = np.split(i420.reshape(-1), [width * height, width * height * 5 // 4])
    return np.concatenate([luma, np.stack([u, v], axis=1).reshape(-1)]).reshape(height * 3 // 2, width)


def speed(args):
    print("\n# One picture to BGR bytes, BT.601 limited, one thread")
    for size in [(1920, 1080), (1280, 720), (640, 360), (3840, 2160)]:
        width, height = size
        nv12 = random_picture(size, 1)
        to = np.empty((height, width, 3), np.uint8)
        in_turns(
            f"bgr {width}x{height}, one buffer again and again",
            lambda: cv2.cvtColor(nv12, cv2.COLOR_YUV2BGR_NV12, dst=to),
            converter(nv12, size, BGR, to),
            args.turns,
        )
    size = width, height = 1920, 1080
    many = [random_picture(size, seed) for seed in range(args.cameras)]
    outputs = [np.empty((height, width, 3), np.uint8) for _ in many]
    at = [0, 0]

    def theirs():
        at[0] = (at[0] + 1) % len(many)
        cv2.cvtColor(many[at[0]], cv2.COLOR_YUV2BGR_NV12, dst=outputs[at[0]])

    converters = [converter(nv12, size, BGR, to) for nv12, to in zip(many, outputs)]

    def ours():
        at[1] = (at[1] + 1) % len(many)
        assert converters[at[1]]() == 0

    in_turns(f"bgr 1920x1080, {len(many)} cameras' buffers", theirs, ours, args.turns)

    print(f"\n# {args.cameras} cameras, letterboxed float32 NCHW: copy, cvtColor, resize, copyMakeBorder, normalize")
    ones, zeros = [1.0] * 3, [0.0] * 3
    imagenet = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    cases = [((1920, 1080), 640), ((1280, 720), 640), ((1920, 1080), 416), ((3840, 2160), 640), ((640, 360), 640)]
    for (width, height), target in cases:
        size, goal = (width, height), (target, target)
        many = [random_picture(size, seed) for seed in range(args.cameras)]
        tensors = np.empty((args.cameras, 3, target, target), np.float32)
        for threads in args.threads:
            for mean, std, words in [(zeros, ones, "scale"), (*imagenet, "mean, std")]:
                kind = LETTERBOX, RGB, NCHW, F32
                batch = Batch(threads, size, goal, many, list(tensors), *kind, 1 / 255, mean, std)
                workers = [OpenCv(size, goal, 1 / 255, mean, std) for _ in range(threads)]
                executor = concurrent.futures.ThreadPoolExecutor(threads)

                def part(worker):
                    for index in range(worker, args.cameras, threads):
                        workers[worker].run(many[index], tensors[index])

                def theirs():
                    if threads == 1:
                        part(0)
                    else:
                        list(executor.map(part, range(threads)))

                name = f"{width}x{height} to {target}, {words}, {threads} threads"
                in_turns(name, theirs, batch.run, max(10, args.turns // 8))


def difference(name, ours, theirs):
    off = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    far = np.mean(off > 2)
    most = f"99.9 % {np.quantile(off, 0.999):6.2f}   largest {off.max():6.2f}"
    print(f"{name:60} mean {off.mean():6.3f}   {most}   above 2: {far:.5%}", flush=True)


def equality(args):
    print("\n# Difference from OpenCV in levels (BT.601 limited)")
    ones, zeros = [1.0] * 3, [0.0] * 3
    sources = {"random": lambda size: random_picture(size, 7)}
    sources |= {"random, luma from 16": lambda size: legal_picture(size, 7)}
    sources |= {Path(file).name: lambda size, file=file: picture_of(file, size) for file in args.picture}
    for what, make in sources.items():
        size = 1920, 1080
        nv12 = make(size)
        ours, theirs = np.empty((1080, 1920, 3), np.uint8), np.empty((1080, 1920, 3), np.uint8)
        assert converter(nv12, size, BGR, ours)() == 0
        cv2.cvtColor(nv12, cv2.COLOR_YUV2BGR_NV12, dst=theirs)
        difference(f"{what}: bgr 1920x1080", ours, theirs)
        cases = [((1920, 1080), 640), ((1280, 720), 640), ((1920, 1080), 416), ((640, 360), 640), ((768, 432), 224)]
        for size, target in cases:
            nv12, goal = make(size), (target, target)
            tensors = np.full((1, 3, target, target), np.nan, np.float32)
            Batch(1, size, goal, [nv12], list(tensors), LETTERBOX, RGB, NCHW, F32, 1.0, zeros, ones).run()
            expected = np.empty((3, target, target), np.float32)
            OpenCv(size, goal, 1.0, zeros, ones).run(nv12, expected)
            difference(f"{what}: {size[0]}x{size[1]} to {target}", tensors[0], expected)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--picture", action="append", default=[], help="a photograph, for the differences")
    parser.add_argument("--only", choices=["speed", "equality"])
    parser.add_argument("--loop", action="store_true", help="without pauses")
    args = parser.parse_args()
    global PAUSE
    PAUSE = 0.0 if args.loop else 0.033
    cv2.setNumThreads(1)
    model = next(line for line in open("/proc/cpuinfo") if line.startswith("model name")).split(":")[1].strip()
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"# {model}, {os.cpu_count()} CPUs, load {load}; OpenCV {cv2.__version__}, numpy {np.__version__}")
    print(f"# {args.turns} turns, {'without pauses' if args.loop else '33 ms before each measured call'}")
    if args.only != "speed":
        equality(args)
    if args.only != "equality":
        speed(args)
    print(f"\n# load at the end: {' '.join(f'{value:.2f}' for value in os.getloadavg())}")


main()
