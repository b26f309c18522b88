#!/usr/bin/env python3
"""Counts the people in a camera's pictures, by OpenCV's built-in detector. Prints a line of JSON for each frame.

    people.py gate --max-fps 2

Needs vas-frames and opencv-python-headless < 5, which still has the detector.
"""

import argparse
import itertools
import json

import cv2
import numpy as np
import vas_frames as vas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("camera")
    parser.add_argument("--dir", help="the export directory, if it is not /dev/shm/vas")
    parser.add_argument("--max-fps", default="2", help="the highest rate of frames (default 2)")
    parser.add_argument("--count", type=int, help="stop after so many frames")
    args = parser.parse_args()

    detector = cv2.HOGDescriptor()
    detector.setSVMDetector(np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector(), np.float32))
    with vas.open(args.camera, dir=args.dir, max_fps=args.max_fps, follow=True) as camera:
        for frame in itertools.islice(camera, args.count):
            boxes, weights = detector.detectMultiScale(frame.bgr(), winStride=(8, 8), scale=1.05)
            # The detector gives (x, y, width, height), once for each scale at which it found somebody.
            corners = np.asarray(boxes, dtype=float).reshape(-1, 4)
            scores = np.ravel(weights).astype(float).tolist()
            kept = cv2.dnn.NMSBoxes(corners.tolist(), scores, score_threshold=0.5, nms_threshold=0.4)
            corners[:, 2:] += corners[:, :2]
            found = frame.to_original(corners)[np.ravel(kept).astype(int)]
            line = {
                "camera": frame.camera,
                "frame_id": frame.id,
                "time": frame.wall_time,
                "age_ms": round(frame.age * 1e3),
                "people": len(found),
                "boxes": found.round().astype(int).tolist(),
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
