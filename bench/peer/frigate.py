#!/usr/bin/python3
"""Frames as Frigate passes them: frigate.py WIDTH HEIGHT FPS CONSUMERS FOLDER NAME=URL...

For each camera a process that starts ffmpeg, reads rawvideo from its pipe and copies each frame into
multiprocessing.shared_memory, and a queue of names to each consumer, which is skipped when it is full (frigate/video:
capture_frames). What Frigate does beside (scaling, motion) is left out. Prints the process ids of the consumers.
"""

import json
import multiprocessing
import queue
import subprocess
import sys
from multiprocessing.shared_memory import SharedMemory

import numpy

import stamp

# Frames that Frigate holds of a camera, and its limit of waiting names.
SLOTS = 10
INPUT = ["-avoid_negative_ts", "make_zero", "-fflags", "+genpts+discardcorrupt", "-rtsp_transport", "tcp",
         "-timeout", "5000000", "-use_wallclock_as_timestamps", "1"]


def capture(url, slots, frame_bytes, queues):
    ffmpeg = subprocess.Popen(
        ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-threads", "1", *INPUT, "-i", url,
         "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "pipe:"],
        stdout=subprocess.PIPE, bufsize=frame_bytes * 10,
    )
    for number in range(sys.maxsize):
        frame = ffmpeg.stdout.read(frame_bytes)
        if len(frame) < frame_bytes:
            sys.exit("ffmpeg has ended")
        slots[number % SLOTS].buf[:frame_bytes] = frame
        for names in queues:
            try:
                names.put(number % SLOTS, False)
            except queue.Full:
                pass


def consume(camera, fps, path, slots, names, width, height):
    shape = height * 3 // 2, width
    seen = stamp.Sightings(camera, fps, path, width)
    views = [numpy.ndarray(shape, numpy.uint8, slot.buf) for slot in slots]
    image = numpy.empty(shape, numpy.uint8)
    while True:
        numpy.copyto(image, views[names.get()])
        seen.add(image)


def main():
    width, height, fps, consumers = map(int, sys.argv[1:5])
    folder, cameras = sys.argv[5], [camera.split("=", 1) for camera in sys.argv[6:]]
    frame_bytes = width * height * 3 // 2
    # Frigate's own way until 0.16; its processes share the interpreter's pages.
    context = multiprocessing.get_context("fork")
    memory, processes, ids = [], [], {}
    try:
        for camera, url in cameras:
            slots = [SharedMemory(create=True, size=frame_bytes) for _ in range(SLOTS)]
            memory += slots
            queues = [context.Queue(SLOTS - 1) for _ in range(consumers)]
            of_camera = [
                context.Process(target=consume, daemon=True,
                                args=(camera, fps, f"{folder}/{camera}.{number}", slots, names, width, height))
                for number, names in enumerate(queues)
            ]
            capturing = context.Process(target=capture, args=(url, slots, frame_bytes, queues))
            for process in [*of_camera, capturing]:
                process.start()
            processes += [*of_camera, capturing]
            ids[camera] = [process.pid for process in of_camera]
        print(json.dumps(ids), flush=True)
        sys.stdin.read()
    finally:
        for process in processes:
            process.kill()
        for slot in memory:
            slot.close()
            slot.unlink()


if __name__ == "__main__":
    main()
