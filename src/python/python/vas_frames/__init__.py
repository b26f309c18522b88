"""Decoded camera frames from VAS, as numpy arrays and as inputs of models.

    import vas_frames as vas

    with vas.open("gate", max_fps=5) as camera:
        for frame in camera:
            print(frame.id, frame.age, frame.y.mean())

The service decodes each camera once and exports its frames in local shared memory. This package reads them at the
program's own pace, and nothing that the program does disturbs the service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _processes
from ._cuda import Registration
from ._errors import Busy, Error, FormatError, NoCamera, NoFrame, Overwritten, WriterGone
from ._native import (
    Aligned,
    Camera,
    Decision,
    Frame,
    Gate,
    Metadata,
    Row,
    Site,
    Subscriptions,
    View,
    cameras,
    gate_replay,
    subscriptions,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._types import Path, Rate

__all__ = [
    "Aligned",
    "Busy",
    "Camera",
    "Decision",
    "Error",
    "Frame",
    "FormatError",
    "Gate",
    "Metadata",
    "NoCamera",
    "NoFrame",
    "Overwritten",
    "Registration",
    "Row",
    "Site",
    "Subscriptions",
    "View",
    "WriterGone",
    "cameras",
    "gate_replay",
    "open",
    "open_many",
    "subscriptions",
]


def open(
    name: str,
    *,
    max_fps: Rate | None = None,
    every: bool = False,
    timeout: float | None = None,
    follow: bool = False,
    dir: Path | None = None,
    label: str = "",
) -> Camera:
    """Opens a camera for reading.

    max_fps: the highest frame rate that the program wants: a number, a `fractions.Fraction`, or text such as
        "30000/1001". The service copies no more frames than its readers want together, and this reader gets no more
        than that in any second. None is every frame.
    every: iterate over every frame in order, instead of the newest one each time.
    timeout: the longest wait for a frame in seconds; None waits until there is one.
    follow: wait while the service is stopped, instead of raising WriterGone.
    dir: the export directory, `[export] dir` of the service's config; None is /dev/shm/vas.
    label: what the reader calls itself in `vas status`, such as the model's name, where the service has a readers
        directory.

    Raises NoCamera if the camera is not exported, WriterGone if the service died and left its files, FormatError if they
    have another format, ValueError for an invalid argument, OSError if a system call fails.
    """
    return _processes.opened(
        Camera(name, max_fps=max_fps, every=every, timeout=timeout, follow=follow, dir=dir, label=label)
    )


def open_many(
    names: Iterable[str],
    *,
    max_fps: Rate | None = None,
    threads: int | None = None,
    dir: Path | None = None,
    label: str = "",
) -> Site:
    """Opens several cameras to be read together: a `Site`.

    names: the cameras' ids, such as `cameras()`.
    max_fps: as for `open`, for each camera.
    threads: threads that fill batches, the caller's included; None is one for each processor, at most 4.
    dir, label: as for `open`.

    A camera that is not exported raises nothing: its rows say "gone" until it is. Raises ValueError for an invalid
    argument.
    """
    return _processes.opened(Site(list(names), max_fps=max_fps, threads=threads, dir=dir, label=label))
