"""Clips, made once by FFmpeg, and the MD5s of their pictures from FFmpeg."""

import functools
import hashlib
import os
import pathlib
import subprocess

from . import nal

SIZE, FPS, PICTURES, GROUP = "320x180", 15, 60, 15

# The folder for clips; set by the program that runs cameras.
folder = pathlib.Path("/tmp/scripted-clips")


def _ffmpeg(*arguments, **options):
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, **options).stdout


def _once(suffix, *key):
    """The path of the file that `key` describes."""
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.md5(repr(key).encode()).hexdigest()[:16]
    return folder / f"{name}{suffix}"


def _made(path, make):
    """Makes a file unless it exists; concurrent processes may do the same."""
    if not path.exists():
        unfinished = path.with_name(f"{path.stem}.{os.getpid()}{path.suffix}")
        make(unfinished)
        unfinished.rename(path)
    return path


def encoded(codec, arguments=(), x265="", size=SIZE, fps=FPS, pictures=PICTURES, group=GROUP,
            pixels="yuv420p", b_pictures=0, noise=8, look="testsrc2"):
    """The path of an Annex B stream with a delimiter before each picture."""
    path = _once(f".{codec}", codec, arguments, x265, size, fps, pictures, group, pixels, b_pictures, noise, look)
    source = f"{look}=size={size}:rate={fps},noise=alls={noise}:allf=t"

    def make(to):
        if codec == nal.H264:
            encoder = ["-c:v", "libx264", "-preset", "veryfast", "-bf", b_pictures, "-g", group, "-keyint_min", group,
                       "-sc_threshold", 0, *arguments, "-bsf:v", "h264_metadata=aud=insert", "-f", "h264"]
        else:
            x = (f"log-level=error:keyint={group}:min-keyint={group}:scenecut=0:bframes={b_pictures}:open-gop=0"
                 f":repeat-headers=1{x265}")
            encoder = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", x, *arguments,
                       "-bsf:v", "hevc_metadata=aud=insert", "-f", "hevc"]
        _ffmpeg("-f", "lavfi", "-i", source, "-frames:v", pictures, "-pix_fmt", pixels, *encoder, to)

    return _made(path, make)


@functools.cache
def order(codec, **how):
    """The position of each picture of a clip in display order, from FFmpeg's decoder."""
    path = encoded(codec, **how)
    # Pictures are identified by their offset in the file, which the decoder passes through.
    command = ["ffprobe", "-v", "error", "-threads", "1", "-show_entries", "frame=pkt_pos", "-of", "csv=p=0", path]
    shown = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    offsets = [int(one.strip(",")) for one in shown]
    ranks = {offset: rank for rank, offset in enumerate(offsets)}
    return [ranks[offset] for offset in sorted(offsets)]


@functools.cache
def units(codec, **how):
    """The clip's pictures, each a list of NAL units; callers must not change them."""
    return nal.access_units(codec, encoded(codec, **how).read_bytes())


@functools.cache
def jpegs(size, half_height=True, pictures=15):
    """Pictures of Motion JPEG with the standard's Huffman tables; chroma of half the height or not."""
    width, height = size.split("x")
    path = _once(".mjpeg", "jpeg", size, half_height, pictures)

    # FFmpeg's encoder has no 4:2:2 in RTP's form: one block of each chroma plane with two of luma.
    def make(to):
        import gi
        gi.require_version("Gst", "1.0")
        from gi.repository import Gst
        Gst.init(None)
        pixels = "I420" if half_height else "Y42B"
        pipeline = Gst.parse_launch(
            f"videotestsrc num-buffers={pictures} pattern=ball motion=sweep ! video/x-raw,format={pixels},"
            f"width={width},height={height},framerate=15/1 ! jpegenc quality=60 ! filesink location={to}")
        pipeline.set_state(Gst.State.PLAYING)
        pipeline.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS | Gst.MessageType.ERROR)
        pipeline.set_state(Gst.State.NULL)

    _made(path, make)
    pieces = path.read_bytes().split(b"\xff\xd8\xff")[1:]
    return [b"\xff\xd8\xff" + piece for piece in pieces]


@functools.cache
def judged(form, stream):
    """FFmpeg's MD5 of each picture of a stream as NV12, its range kept."""
    path = _once(".md5", 2, form, hashlib.md5(stream).hexdigest())

    def make(to):
        # JPEG is full range, which `-pix_fmt nv12` would squeeze.
        convert = ["-vf", "scale=in_range=pc:out_range=pc,format=nv12"] if form == "mjpeg" else ["-pix_fmt", "nv12"]
        lines = _ffmpeg("-threads", 1, "-f", form, "-i", "-", *convert, "-fps_mode", "passthrough",
                        "-f", "framemd5", "-", input=stream).decode()
        md5s = [line.split(",")[-1].strip() for line in lines.splitlines() if not line.startswith("#")]
        to.write_text("\n".join(md5s))

    return _made(path, lambda to: make(to)).read_text().split()
