//! A frame in the ring: no copy.

use std::sync::Arc;

use numpy::{PyArray2, PyArray3};
use pyo3::prelude::*;

use crate::errors;
use crate::frame::Frame;
use crate::metadata::Metadata;
use crate::planes;
use crate::pool::Pool;

/// A frame's pixels where the service writes them. See the package's documentation.
#[pyclass(frozen, extends = Metadata, module = "vas_frames", weakref)]
pub(crate) struct View {
    camera: Arc<str>,
    frame: vas_frame::Frame,
    pool: Arc<Pool>,
}

impl View {
    pub(crate) fn create(
        py: Python<'_>,
        camera: &Arc<str>,
        frame: vas_frame::Frame,
        pool: &Arc<Pool>,
    ) -> PyResult<Py<Self>> {
        let metadata = Metadata::new(camera, frame.meta(), frame.geometry());
        let view = Self { camera: Arc::clone(camera), frame, pool: Arc::clone(pool) };
        Py::new(py, PyClassInitializer::from(metadata).add_subclass(view))
    }
}

#[pymethods]
impl View {
    /// Luma in the ring: uint8 of shape (height, width), read-only, with padding between rows.
    #[getter]
    fn y<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyArray2<u8>>> {
        // SAFETY: the frame keeps its ring mapped. The memory is not writable, and neither is the array.
        unsafe { planes::luma(&slf.get().frame.raw().y, slf.clone().into_any(), false) }
    }

    /// Chroma in the ring: uint8 of shape (ceil(height / 2), ceil(width / 2), 2), U and V, read-only, with padding
    /// between rows.
    #[getter]
    fn uv<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyArray3<u8>>> {
        // SAFETY: as in `y`.
        unsafe { planes::chroma(&slf.get().frame.raw().uv, slf.clone().into_any(), false) }
    }

    /// Whether the ring still holds this frame. If so, everything that was read before this call is whole.
    fn still_valid(&self) -> bool {
        self.frame.still_valid()
    }

    /// Until when the frame is certain to stay, in seconds of `time.monotonic()`.
    #[getter]
    fn valid_until(&self) -> f64 {
        self.frame.meta().reuse_not_before_ns as f64 * 1e-9
    }

    /// Address and length in bytes of the mapping that holds this frame and all others of its epoch.
    #[getter]
    fn _mapping(&self) -> (usize, usize) {
        let (start, len) = self.frame.mapping();
        (start.addr(), len)
    }

    /// Copies the frame. Raises Overwritten if the ring no longer holds it.
    fn copy(&self, py: Python<'_>) -> PyResult<Py<Frame>> {
        let mut pooled = self.pool.take();
        py.detach(|| self.frame.copy_if_valid(&mut pooled.image))
            .map_err(|error| errors::overwritten(py, error))?;
        Frame::create(py, &self.camera, self.frame.meta(), self.frame.geometry(), pooled)
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// Releases nothing by itself: the ring stays mapped as long as the view or one of its arrays exists.
    fn __exit__(
        &self,
        _type: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) {
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        slf.as_super().get().describe("View")
    }
}
