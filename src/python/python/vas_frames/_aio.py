"""Frames for coroutines."""

import asyncio
import functools
from collections.abc import AsyncIterator

from ._native import Camera, Frame


async def read(camera: Camera, timeout: float | None = None) -> Frame:
    """The next frame; see `Camera.aread`."""
    if timeout is None:
        timeout = camera.timeout
    try:
        async with asyncio.timeout(timeout):
            return await _next(camera)
    except TimeoutError:
        # Without a limit there is no timeout.
        raise camera._timed_out(timeout or 0.0) from None


async def frames(camera: Camera) -> AsyncIterator[Frame]:
    """The frames until the camera is closed; see `Camera.__aiter__`."""
    while not camera.closed:
        try:
            frame = await read(camera)
        except ValueError:
            # Closed during the wait.
            if camera.closed:
                return
            raise
        yield frame


async def _next(camera: Camera) -> Frame:
    loop = asyncio.get_running_loop()
    while True:
        found = camera._poll()
        if isinstance(found, Frame):
            return found
        ready: asyncio.Future[None] = loop.create_future()
        ticket = camera._when_ready(found, functools.partial(_wake, loop, ready))
        try:
            await ready
        finally:
            camera._cancel(ticket)


def _wake(loop: asyncio.AbstractEventLoop, ready: asyncio.Future[None]) -> None:
    """Runs in the thread that waits."""
    try:
        loop.call_soon_threadsafe(_set, ready)
    except RuntimeError:
        # The loop was closed, and nobody waits any more.
        pass


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
