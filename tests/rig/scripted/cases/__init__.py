"""The cases: what a camera does out of the ordinary, and what is expected of the service."""

import dataclasses
from collections.abc import Callable

CLIENTS = ("auto", "ffmpeg")


@dataclasses.dataclass
class Case:
    name: str
    make: Callable
    # What is expected: `right` (every frame is one of the clip's), `right or marked`, `streams` (pictures come, of
    # any content), `refused` (the login), `words` (no picture; the reason says what it is), `told` (pictures, or else
    # any state with a reason).
    expected: str = "right"
    # Clients that it is tried with.
    clients: tuple = CLIENTS
    # Further lines of the camera's table.
    config: str = ""
    # What the reason must say, where `words` are expected.
    words: str = ""
    # Frames to wait for.
    frames: int = 40
    # Whether recordings are decoded, too.
    recorded: bool = False
    # Whether recordings last a segment.
    segments: bool = False
    # Whether no picture may be held up.
    steady: bool = False
    # Whether the session must last: it is not begun again.
    lasts: bool = False
    # The client that plays it in the end under `auto`, where it must be this one.
    plays: str = ""
    # Takes too long for every run.
    long: bool = False

    @property
    def streams(self):
        """Whether pictures are expected."""
        return self.expected in ("right", "right or marked", "streams")


GROUPS: dict[str, list[Case]] = {}


def group(name):
    """Registers what a function yields as the cases of a group."""
    def register(cases):
        GROUPS[name] = list(cases())
        return cases
    return register


def load():
    from . import (  # noqa: F401
        answers, endings, formats, logins, markers, parameter_sets, requests, slow, streams, transports)
    return GROUPS
