#!/usr/bin/env python3
"""Runs a classifier of yours on the newest frames of many cameras, a batch at a time.

    onnx_batch.py model.onnx gate yard hall

The model's input is (batch, 3, height, width), float32, RGB from 0 to 1; its output is a row of scores for each picture.
Prints a line of JSON for each picture. Needs vas-frames and onnxruntime.
"""

import argparse
import itertools
import json

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import vas_frames as vas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("cameras", nargs="+")
    parser.add_argument("--dir", help="the export directory, if it is not /dev/shm/vas")
    parser.add_argument("--max-fps", default="5", help="the highest rate of frames of each camera (default 5)")
    parser.add_argument("--count", type=int, help="stop after so many batches")
    args = parser.parse_args()

    session = onnxruntime.InferenceSession(args.model, providers=onnxruntime.get_available_providers())
    wanted = session.get_inputs()[0]
    height, width = wanted.shape[2:]
    # One array for all batches: each camera has its place in it.
    batch = np.zeros((len(args.cameras), 3, height, width), np.float32)
    with vas.open_many(args.cameras, dir=args.dir, max_fps=args.max_fps) as site:
        for _ in itertools.count() if args.count is None else range(args.count):
            # Once one camera has a frame, the others get 20 ms to have theirs.
            rows = site.pull_batch(batch, scale=1 / 255, max_age=0.5, linger=0.02)
            filled = [row for row in rows if row.frame]
            if not filled:
                continue
            scores = np.asarray(session.run(None, {wanted.name: batch[[row.index for row in filled]]})[0])
            for row, score in zip(filled, scores):
                assert row.frame
                line = {
                    "camera": row.camera,
                    "frame_id": row.frame.id,
                    "age_ms": round(row.frame.age * 1e3),
                    "class": int(score.argmax()),
                    "score": round(float(score.max()), 4),
                }
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
