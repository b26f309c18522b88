//! A frame that belongs to Python: a copy.

use std::sync::Arc;

use numpy::{PyArray2, PyArray3};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use vas_frame::{FrameMeta, Geometry, RawPlane, RawView};

use crate::metadata::Metadata;
use crate::planes;
use crate::pool::Pooled;

/// A frame and its pixels, copied out of the ring. See the package's documentation.
#[pyclass(frozen, extends = Metadata, module = "vas_frames", weakref)]
pub(crate) struct Frame {
    geometry: Geometry,
    /// The first byte of `_image`'s buffer, which never moves; taken before any array exists.
    start: *mut u8,
    /// Not touched until it is dropped and returns to its pool.
    _image: Pooled,
}

// SAFETY: the buffer belongs to this frame alone, and is only read and written through raw pointers, in any thread.
unsafe impl Send for Frame {}
// SAFETY: as above; reads that race with writes by Python's threads go through `RawPlane`.
unsafe impl Sync for Frame {}

impl Frame {
    /// The frame whose pixels were copied into `image`.
    pub(crate) fn create(
        py: Python<'_>,
        camera: &Arc<str>,
        meta: &FrameMeta,
        geometry: Geometry,
        mut image: Pooled,
    ) -> PyResult<Py<Self>> {
        let start = image.image.data_mut().as_mut_ptr();
        let frame = Self { geometry, start, _image: image };
        Py::new(
            py,
            PyClassInitializer::from(Metadata::new(camera, meta, geometry)).add_subclass(frame),
        )
    }

    /// The planes, without padding.
    pub(crate) fn raw(&self) -> RawView<'_> {
        let (geometry, luma_bytes) =
            (&self.geometry, self.geometry.width() as usize * self.geometry.height() as usize);
        let plane = |start: *mut u8, row_bytes, rows| {
            // SAFETY: the buffer holds a tight picture of this geometry, and no Rust reference to it exists.
            unsafe { RawPlane::from_raw_parts(start, row_bytes, row_bytes, rows) }
        };
        RawView {
            y: plane(self.start, geometry.width() as usize, geometry.height() as usize),
            uv: plane(
                self.start.wrapping_add(luma_bytes),
                geometry.chroma_row_bytes() as usize,
                geometry.chroma_rows() as usize,
            ),
        }
    }
}

#[pymethods]
impl Frame {
    /// Luma: uint8 of shape (height, width).
    #[getter]
    fn y<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyArray2<u8>>> {
        // SAFETY: the frame keeps its buffer, and no Rust reference to it exists.
        unsafe { planes::luma(&slf.get().raw().y, slf.clone().into_any(), true) }
    }

    /// Chroma: uint8 of shape (ceil(height / 2), ceil(width / 2), 2), U and V.
    #[getter]
    fn uv<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyArray3<u8>>> {
        // SAFETY: as in `y`.
        unsafe { planes::chroma(&slf.get().raw().uv, slf.clone().into_any(), true) }
    }

    /// Both planes: uint8 of shape (height + ceil(height / 2), width), as OpenCV's NV12 conversions take them.
    ///
    /// ValueError if the width is odd: the rows of chroma are then longer than those of luma.
    #[getter]
    fn nv12<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyArray2<u8>>> {
        let RawView { y, uv } = slf.get().raw();
        if y.row_bytes() != uv.row_bytes() {
            return Err(PyValueError::new_err(format!(
                "the picture is {} pixels wide, and NV12 in one array needs an even width; use y and uv",
                y.row_bytes()
            )));
        }
        // SAFETY: chroma follows luma directly.
        let both = unsafe {
            RawPlane::from_raw_parts(y.as_ptr(), y.stride(), y.row_bytes(), y.rows() + uv.rows())
        };
        // SAFETY: as in `y`.
        unsafe { planes::luma(&both, slf.clone().into_any(), true) }
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        slf.as_super().get().describe("Frame")
    }
}
