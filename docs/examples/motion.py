#!/usr/bin/env python3
"""Says how much of a camera's picture moves, by background subtraction. Prints a line of JSON for each frame.

    motion.py gate --max-fps 10

It may run beside people.py on the same camera, at another rate: the service decodes each frame once.
Needs vas-frames and opencv-python-headless.
"""

import argparse
import itertools
import json

import cv2
import numpy as np
import vas_frames as vas

SIZE = (320, 180)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("camera")
    parser.add_argument("--dir", help="the export directory, if it is not /dev/shm/vas")
    parser.add_argument("--max-fps", default="10", help="the highest rate of frames (default 10)")
    parser.add_argument("--count", type=int, help="stop after so many frames")
    args = parser.parse_args()

    background = cv2.createBackgroundSubtractorMOG2(history=100, detectShadows=False)
    small = np.empty((SIZE[1], SIZE[0]), np.uint8)
    with vas.open(args.camera, dir=args.dir, max_fps=args.max_fps, follow=True) as camera:
        for frame in itertools.islice(camera, args.count):
            mask = background.apply(frame.resized(SIZE, fit="stretch", order="gray", out=small))
            moving = float(np.count_nonzero(mask)) / mask.size
            line = {"camera": frame.camera, "frame_id": frame.id, "age_ms": round(frame.age * 1e3), "moving": round(moving, 4)}
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
