"""The exceptions of the package."""


class Error(Exception):
    """The base class of all exceptions of this package."""


class NoCamera(Error, FileNotFoundError):
    """The camera is not exported: the service does not run, does not have it, or exports no frames."""


class NoFrame(Error, TimeoutError):
    """No frame came within the timeout. The service is there; the camera may be silent."""


class WriterGone(Error, ConnectionError):
    """The service stopped or died. The next call waits for it to start again, and goes on from there."""


class FormatError(Error, ValueError):
    """The export's files have a format that this package does not support."""


class Overwritten(Error, RuntimeError):
    """The frame was overwritten while it was read: what was read is not whole."""


class Busy(Error, RuntimeError):
    """Another thread is in a call of the same camera. Open it once for each thread."""
