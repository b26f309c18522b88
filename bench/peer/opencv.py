#!/usr/bin/python3
"""A consumer that decodes by itself: opencv.py URL FPS CAMERA FILE. Notes the age of each frame, which is BGR."""

import os
import sys

os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp|threads;1"
import cv2  # noqa: E402

import stamp  # noqa: E402


def main():
    url, fps, camera, path = sys.argv[1:]
    cv2.setNumThreads(1)
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG)
    seen, frame = None, None
    while True:
        whole, frame = capture.read(frame)
        if not whole:
            sys.exit(f"{url}: no frame")
        seen = seen or stamp.Sightings(camera, int(fps), path, frame.shape[1])
        seen.add(frame[:, :, 1])


if __name__ == "__main__":
    main()
