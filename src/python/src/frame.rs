//! A frame that belongs to Python: a copy.

use std::path::PathBuf;
use std::sync::Arc;

use numpy::{PyArray2, PyArray3};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use vas_frame::{FrameMeta, Geometry, RawPlane, RawView};
use vas_tensor::{Order, Request};

use crate::convert::{Bytes, FITS, ORDERS, Picture, word};
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

    /// The picture as uint8 of shape (height, width, 3): blue, green, red, as OpenCV has them. By the frame's own matrix
    /// and range. `out` is filled instead of a new array.
    #[pyo3(signature = (out = None))]
    fn bgr<'py>(slf: &Bound<'py, Self>, out: Option<Bytes<'py>>) -> PyResult<Bytes<'py>> {
        picture(slf).converted(slf.py(), Order::Bgr, out)
    }

    /// The picture as uint8 of shape (height, width, 3): red, green, blue. As `bgr`.
    #[pyo3(signature = (out = None))]
    fn rgb<'py>(slf: &Bound<'py, Self>, out: Option<Bytes<'py>>) -> PyResult<Bytes<'py>> {
        picture(slf).converted(slf.py(), Order::Rgb, out)
    }

    /// The picture as uint8 of shape (height, width): luma, in full range. As `bgr`.
    #[pyo3(signature = (out = None))]
    fn gray<'py>(slf: &Bound<'py, Self>, out: Option<Bytes<'py>>) -> PyResult<Bytes<'py>> {
        picture(slf).converted(slf.py(), Order::Gray, out)
    }

    /// The picture in another size: uint8 of shape (height, width, 3), or (height, width) of gray.
    ///
    /// size: (width, height) in pixels.
    /// fit: "letterbox" keeps the aspect and adds bars of the level `pad`, "stretch" does not keep it, "crop" keeps it and
    ///     cuts off what does not fit.
    /// order: "rgb", "bgr" or "gray".
    #[pyo3(signature = (size, *, fit = "letterbox", order = "rgb", pad = 114, out = None))]
    fn resized<'py>(
        slf: &Bound<'py, Self>,
        size: (u32, u32),
        fit: &str,
        order: &str,
        pad: u8,
        out: Option<Bytes<'py>>,
    ) -> PyResult<Bytes<'py>> {
        let request = Request {
            fit: word("fit", fit, &FITS)?,
            order: word("order", order, &ORDERS)?,
            pad,
            ..Request::new(size.0, size.1)
        };
        picture(slf).resized(slf.py(), &request, out)
    }

    /// Writes the picture as a PNG file, completely or not at all.
    fn save(slf: &Bound<'_, Self>, path: PathBuf) -> PyResult<()> {
        if path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("png")) {
            return Err(PyValueError::new_err(format!(
                "cannot save {}: expected a name that ends in .png",
                path.display()
            )));
        }
        picture(slf).save(slf.py(), &path)
    }

    /// The picture as a PNG file's bytes, for notebooks.
    fn _repr_png_<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(slf.py(), &picture(slf).png(slf.py())?))
    }

    /// `nv12`, for numpy.
    #[pyo3(signature = (dtype = None, copy = None))]
    fn __array__<'py>(
        slf: &Bound<'py, Self>,
        dtype: Option<Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let array = Self::nv12(slf)?.into_any();
        let byte = numpy::dtype::<u8>(slf.py());
        let another = dtype.filter(|dtype| !dtype.eq(&byte).unwrap_or(false));
        match (another, copy) {
            (None, Some(true)) => array.call_method0("copy"),
            (None, _) => Ok(array),
            (Some(_), Some(false)) => {
                Err(PyValueError::new_err("a frame has uint8 elements: another dtype needs a copy"))
            }
            (Some(dtype), _) => array.call_method1("astype", (dtype,)),
        }
    }

    /// `nv12`, for other libraries' arrays, without a copy (DLPack).
    #[pyo3(signature = (**options))]
    fn __dlpack__<'py>(
        slf: &Bound<'py, Self>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::nv12(slf)?.call_method("__dlpack__", (), options)
    }

    /// The device of `__dlpack__`: the processor.
    fn __dlpack_device__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::nv12(slf)?.call_method0("__dlpack_device__")
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        slf.as_super().get().describe("Frame")
    }
}

fn picture<'a>(frame: &'a Bound<'_, Frame>) -> Picture<'a> {
    let this = frame.get();
    Picture::new(this.raw(), &this.geometry, frame.as_super().get().meta())
}
