"""Arrays over memory that a caller gave."""

from typing import Any

import numpy as np
import numpy.typing as npt


def writable(out: Any) -> npt.NDArray[Any]:
    """The numpy array that `out` is, or one over the same memory: a tensor of torch or another library, a buffer."""
    if isinstance(out, np.ndarray):
        return out
    if type(out).__module__.partition(".")[0] == "torch":
        # It shares the memory; numpy's from_dlpack gives a read-only array before numpy 2.1. Others' may be a copy.
        array: npt.NDArray[Any] = out.numpy()
        return array
    if hasattr(out, "__dlpack__"):
        return np.from_dlpack(out)
    return np.asarray(memoryview(out))
