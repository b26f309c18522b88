#!/usr/bin/python3
"""A consumer of shmsrc: gstreamer.py SOCKET WIDTH HEIGHT FPS CAMERA FILE. Copies each frame and notes its age."""

import sys

import gi
import numpy

import stamp

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import Gst, GstApp  # noqa: E402,F401


def main():
    socket, width, height, fps, camera, path = sys.argv[1:]
    Gst.init(None)
    pipeline = Gst.parse_launch(
        f"shmsrc socket-path={socket} is-live=true ! video/x-raw,format=I420,width={width},height={height},"
        f"framerate={fps}/1 ! appsink name=sink sync=false"
    )
    width, height = int(width), int(height)
    seen = stamp.Sightings(camera, int(fps), path, width)
    sink = pipeline.get_by_name("sink")
    pipeline.set_state(Gst.State.PLAYING)
    image = numpy.empty((height * 3 // 2, width), numpy.uint8)
    while (sample := sink.emit("pull-sample")) is not None:
        # python3-gst-1.0 maps without a copy of its own.
        with sample.get_buffer().map(Gst.MapFlags.READ) as mapped:
            numpy.copyto(image, numpy.frombuffer(mapped.data, numpy.uint8).reshape(image.shape))
        # Held, it would keep the sender's memory.
        del mapped, sample
        seen.add(image)


if __name__ == "__main__":
    main()
