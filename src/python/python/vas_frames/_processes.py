"""Cameras in other processes than the one that opened them."""

from ._native import Camera


def reopen(name, options):
    """Opens a camera as `options` say: what unpickling one calls."""
    return Camera(name, **options)
