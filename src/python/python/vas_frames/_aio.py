"""Frames for coroutines."""

import asyncio

from ._native import Frame, _cancel, _when_ready


async def read(camera, timeout=None):
    """The next frame; see `Camera.aread`."""
    if timeout is None:
        timeout = camera.timeout
    try:
        async with asyncio.timeout(timeout):
            return await _next(camera)
    except TimeoutError:
        raise camera._timed_out(timeout) from None


async def frames(camera):
    """The frames until the camera is closed; see `Camera.__aiter__`."""
    while not camera.closed:
        yield await read(camera)


async def _next(camera):
    loop = asyncio.get_running_loop()
    while True:
        found = camera._poll()
        if isinstance(found, Frame):
            return found
        ready = loop.create_future()
        ticket = _when_ready(found, lambda: _wake(loop, ready))
        try:
            await ready
        except asyncio.CancelledError:
            _cancel(ticket)
            raise


def _wake(loop, ready):
    """Runs in the thread that waits."""
    try:
        loop.call_soon_threadsafe(_set, ready)
    except RuntimeError:
        # The loop was closed, and nobody waits any more.
        pass


def _set(ready):
    if not ready.done():
        ready.set_result(None)
