"""What the package's functions take and give."""

from fractions import Fraction
from os import PathLike
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Rate: TypeAlias = int | float | Fraction | str
Path: TypeAlias = str | PathLike[str]
Bytes: TypeAlias = npt.NDArray[np.uint8]
Fit: TypeAlias = Literal["letterbox", "stretch", "crop"]
Order: TypeAlias = Literal["rgb", "bgr", "gray"]
Layout: TypeAlias = Literal["nchw", "nhwc"]
Why: TypeAlias = Literal[
    "quiet", "gone", "too_old", "unchanged", "too_soon", "overwritten", "unreadable"
]
WhyApart: TypeAlias = Literal["quiet", "gone", "apart", "overwritten", "unreadable"]
