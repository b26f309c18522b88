"""Cameras in other processes than the one that opened them."""

import os
import weakref

from ._native import Camera

_opened = weakref.WeakSet()


def opened(camera):
    """Remembers a camera or a site, so that a child of fork gives up what is its parent's. Returns it."""
    _opened.add(camera)
    return camera


def reopen(name, options):
    """Opens a camera as `options` say: what unpickling one calls."""
    return opened(Camera(name, **options))


def _after_fork():
    for camera in list(_opened):
        camera._after_fork()


os.register_at_fork(after_in_child=_after_fork)
