"""Cameras in other processes than the one that opened them."""

import atexit
import os
import weakref
from typing import Any, TypeVar

from ._native import Camera, Site, _stop_waiter

_T = TypeVar("_T", Camera, Site)
_opened: weakref.WeakSet[Camera | Site] = weakref.WeakSet()


def opened(camera: _T) -> _T:
    """Remembers a camera or a site, so that a child of fork gives up what is its parent's. Returns it."""
    _opened.add(camera)
    return camera


def reopen(name: str, options: dict[str, Any]) -> Camera:
    """Opens a camera as `options` say: what unpickling one calls."""
    return opened(Camera(name, **options))


def _after_fork() -> None:
    for camera in list(_opened):
        camera._after_fork()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_stop_waiter)
