"""Registering a camera's ring with the caller's CUDA context."""

from __future__ import annotations

import ctypes
import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from ._native import View

# CU_MEMHOSTREGISTER_PORTABLE: for all contexts. CU_MEMHOSTREGISTER_READ_ONLY: the mapping is.
_PORTABLE, _READ_ONLY = 1, 8


class _Driver:
    """The functions of the driver's library that are called."""

    def __init__(self) -> None:
        # By the name that every program loads: the caller's library, if it has loaded one.
        self._library = ctypes.CDLL("libcuda.so.1")

    def call(self, function: str, *arguments: Any) -> str | None:
        """Returns None, or the name of the error."""
        code: int = getattr(self._library, function)(*arguments)
        if code == 0:
            return None
        name = ctypes.c_char_p()
        if self._library.cuGetErrorName(code, ctypes.byref(name)) == 0 and name.value:
            return f"{function} failed: {name.value.decode()}"
        return f"{function} failed: error {code}"


class Registration:
    """A ring registered with a CUDA context, or why it is not: see `Camera.register_cuda`.

    Without it, everything works, but copies to the device go through a buffer of the driver's and block. A context
    manager: it is unregistered at the end of the block, by `close()`, or when the object is dropped.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._driver: _Driver | None = None
        self._context: ctypes.c_void_p | None = None
        self._pid = os.getpid()
        self._why = self._register()

    def _register(self) -> str | None:
        try:
            driver = _Driver()
        except OSError as error:
            return f"there is no CUDA driver: {error}"
        context = ctypes.c_void_p()
        failure = driver.call("cuCtxGetCurrent", ctypes.byref(context))
        # CUDA_ERROR_NOT_INITIALIZED: nothing in this process uses CUDA yet.
        if failure and "NOT_INITIALIZED" not in failure:
            return failure
        if not context.value:
            return "no CUDA context is current in this thread: create one first, or make a tensor on the device"
        start, length = self._view._mapping
        failure = driver.call(
            "cuMemHostRegister_v2",
            ctypes.c_void_p(start),
            ctypes.c_size_t(length),
            ctypes.c_uint(_PORTABLE | _READ_ONLY),
        )
        if failure:
            return failure
        self._driver, self._context = driver, context
        return None

    @property
    def pinned(self) -> bool:
        """Whether the ring is registered; if not, it is pageable, and `why` says why."""
        return self._driver is not None

    @property
    def why(self) -> str | None:
        """Why the ring is not registered; None if it is."""
        return self._why

    @property
    def epoch(self) -> int:
        """The epoch whose ring this is."""
        return self._view.epoch

    @property
    def nbytes(self) -> int:
        """Bytes of the ring's pictures."""
        return self._view._mapping[1]

    def close(self) -> None:
        """Unregisters the ring, once. Copies from it must have ended."""
        driver, self._driver = self._driver, None
        # A child of fork has no right to its parent's context.
        if driver is None or self._pid != os.getpid():
            return
        self._why = "it was closed"
        failure = driver.call("cuCtxPushCurrent_v2", self._context)
        if failure is None:
            start, _ = self._view._mapping
            failure = driver.call("cuMemHostUnregister", ctypes.c_void_p(start))
            driver.call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))
        if failure:
            self._why = failure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "pinned" if self.pinned else f"pageable: {self._why}"
        return f"<vas.Registration of {self._view.camera}, epoch {self.epoch}, {state}>"
