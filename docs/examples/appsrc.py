#!/usr/bin/env python3
"""Feeds a GStreamer pipeline of yours with a camera's frames.

    appsrc.py gate "videoconvert ! autovideosink"
    appsrc.py gate "videorate ! video/x-raw,framerate=5/1 ! jpegenc ! multifilesink location=%05d.jpg" --count 100

The pipeline gets NV12, with the frames' own times. A new size of the camera is new caps of the stream.
Needs vas-frames, and GStreamer with its Python module (Debian: python3-gst-1.0, gstreamer1.0-plugins-base).
"""

import argparse
import itertools
import sys

import gi
import vas_frames as vas

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("camera")
    parser.add_argument("pipeline", help="what follows the source, as for gst-launch-1.0")
    parser.add_argument("--dir", help="the export directory, if it is not /dev/shm/vas")
    parser.add_argument("--max-fps", help="the highest rate of frames (default: every frame)")
    parser.add_argument("--count", type=int, help="stop after so many frames")
    args = parser.parse_args()

    Gst.init(None)
    # A pipeline that falls behind drops the oldest frames instead of holding this program up.
    source = "appsrc name=source format=time is-live=true max-buffers=4 leaky-type=downstream"
    pipeline = Gst.parse_launch(f"{source} ! {args.pipeline}")
    appsrc, bus = pipeline.get_by_name("source"), pipeline.get_bus()
    pipeline.set_state(Gst.State.PLAYING)
    epoch, start = None, None
    with vas.open(args.camera, dir=args.dir, max_fps=args.max_fps, every=args.max_fps is None) as camera:
        for frame in itertools.islice(camera, args.count):
            if frame.epoch != epoch:
                epoch, (width, height) = frame.epoch, frame.size
                range_ = "full" if frame.full_range else "limited"
                print(f"{frame.camera}: {width}x{height}, {range_} range", file=sys.stderr)
                caps = f"video/x-raw,format=NV12,width={width},height={height},framerate=0/1"
                appsrc.set_property("caps", Gst.Caps.from_string(caps))
            start = frame.arrival if start is None else start
            buffer = Gst.Buffer.new_wrapped(frame.nv12.tobytes())
            buffer.pts = round((frame.arrival - start) * Gst.SECOND)
            if appsrc.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                break
    appsrc.emit("end-of-stream")
    message = bus.timed_pop_filtered(10 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    pipeline.set_state(Gst.State.NULL)
    if message is None or message.type == Gst.MessageType.ERROR:
        sys.exit(f"appsrc.py: {message.parse_error() if message else 'the pipeline did not end'}")


if __name__ == "__main__":
    main()
