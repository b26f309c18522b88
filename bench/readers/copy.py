"""Times the copies of docs/examples/reader.py: copy.py DIR...

A line on standard input with a number asks for as many frames of the camera `bench` of each directory, in turn. The
answer is "ready", and then a line with the nanoseconds of processor that each copy took. A copy is the reader's
`np.concatenate`, which makes a new array for each frame.
"""

import os
import sys
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../docs/examples"))
import reader  # noqa: E402

TIMEOUT_S = 10
concatenate = np.concatenate
times = []


def timed(planes):
    start = time.thread_time_ns()
    copy = concatenate(planes)
    times.append(time.thread_time_ns() - start)
    return copy


np.concatenate = timed
cameras = [reader.Camera("bench", directory) for directory in sys.argv[1:]]
last_ids = [0] * len(cameras)
for line in sys.stdin:
    for index, camera in enumerate(cameras):
        if camera.ring:  # Skip what is old.
            last_ids[index] = camera.ring.live("frame_id")
    ends = [last_id + int(line) for last_id in last_ids]
    print("ready", flush=True)
    times.clear()
    for _ in range(int(line)):
        for index, camera in enumerate(cameras):
            if last_ids[index] >= ends[index]:  # Some were lost: the machine is busy.
                continue
            last_ids[index] = camera.next_after(last_ids[index], TIMEOUT_S).frame_id
    print(*times, flush=True)
