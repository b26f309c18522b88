//! The package's exceptions, which `python/vas_frames/_errors.py` defines.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use vas_frame::{OpenError, Overwritten, ReadError};

/// An exception of the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    NoCamera,
    NoFrame,
    WriterGone,
    Format,
    Overwritten,
    Busy,
}

impl Kind {
    fn class_name(self) -> &'static str {
        match self {
            Self::NoCamera => "NoCamera",
            Self::NoFrame => "NoFrame",
            Self::WriterGone => "WriterGone",
            Self::Format => "FormatError",
            Self::Overwritten => "Overwritten",
            Self::Busy => "Busy",
        }
    }

    fn class(self, py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
        static CLASSES: [PyOnceLock<Py<PyType>>; 6] = [const { PyOnceLock::new() }; 6];
        CLASSES[self as usize].import(py, "vas_frames._errors", self.class_name())
    }

    /// The exception with a message.
    pub(crate) fn error(self, py: Python<'_>, message: impl ToString) -> PyErr {
        match self.class(py) {
            Ok(class) => PyErr::from_type(class.clone(), message.to_string()),
            Err(error) => error,
        }
    }
}

/// The exception for a camera that can't be opened.
pub(crate) fn open_error(py: Python<'_>, error: OpenError) -> PyErr {
    match &error {
        OpenError::CameraId(_) | OpenError::MaxFps { .. } => {
            pyo3::exceptions::PyValueError::new_err(error.to_string())
        }
        OpenError::NoCamera { .. } => Kind::NoCamera.error(py, error),
        OpenError::NoWriter { .. } => Kind::WriterGone.error(py, error),
        OpenError::Format { .. } => Kind::Format.error(py, error),
        // With its errno, so that Python chooses the subclass: PermissionError and others.
        OpenError::Io { error: cause, .. } => match cause.raw_os_error() {
            Some(code) => pyo3::exceptions::PyOSError::new_err((code, error.to_string())),
            None => pyo3::exceptions::PyOSError::new_err(error.to_string()),
        },
        _ => pyo3::exceptions::PyOSError::new_err(error.to_string()),
    }
}

/// The exception for a frame that can't be read.
pub(crate) fn read_error(py: Python<'_>, error: ReadError) -> PyErr {
    match error {
        ReadError::Open(error) => open_error(py, error),
        ReadError::WriterGone { .. } => Kind::WriterGone.error(py, error),
        _ => Kind::NoFrame.error(py, error),
    }
}

/// The exception for a frame that was overwritten while it was read.
pub(crate) fn overwritten(py: Python<'_>, error: Overwritten) -> PyErr {
    Kind::Overwritten.error(py, error)
}
