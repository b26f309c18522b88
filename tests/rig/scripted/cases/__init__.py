"""The cases: the unusual behavior of a camera, and the expected outcome."""

import dataclasses
from collections.abc import Callable

CLIENTS = ("auto", "ffmpeg")


@dataclasses.dataclass
class Case:
    name: str
    make: Callable
    # The expected outcome: `right` (every frame is one of the clip's), `right or marked`, `streams` (pictures with
    # any content), `refused` (the login), `words` (no picture; the reason contains `words`), `reported` (pictures, or
    # any state with a reason).
    expected: str = "right"
    # The clients to test.
    clients: tuple = CLIENTS
    # Further lines of the camera's table.
    config: str = ""
    # The text that the reason must contain, if `words` are expected.
    words: str = ""
    # The number of frames to wait for.
    frames: int = 40
    # Whether recordings are checked too.
    recorded: bool = False
    # Whether each recording must last a whole segment.
    segments: bool = False
    # Whether no picture may be delayed.
    steady: bool = False
    # Whether no picture may be dropped as overload.
    keeps_up: bool = False
    # Whether the session must last, without a reconnection.
    lasts: bool = False
    # The client that must finally play it under `auto`, if it matters.
    plays: str = ""
    # Too long for every run.
    long: bool = False

    @property
    def streams(self):
        """Whether pictures are expected."""
        return self.expected in ("right", "right or marked", "streams")


GROUPS: dict[str, list[Case]] = {}


def group(name):
    """Registers the cases that a function yields as a group."""
    def register(cases):
        GROUPS[name] = list(cases())
        return cases
    return register


def load():
    from . import (  # noqa: F401
        answers, endings, formats, logins, markers, parameter_sets, requests, slow, streams, transports)
    return GROUPS
