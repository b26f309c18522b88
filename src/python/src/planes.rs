//! A picture's planes as numpy arrays.

use numpy::ndarray::{ArrayView2, ArrayView3, ShapeBuilder as _};
use numpy::{PyArray2, PyArray3, PyArrayMethods as _};
use pyo3::prelude::*;
use vas_frame::RawPlane;

/// An array of shape `(rows, columns)` over a plane of luma. Read-only unless `writable`.
///
/// # Safety
/// `base` keeps the plane mapped for as long as it exists. `writable` is only set for memory that this process may write,
/// and to which no Rust reference exists.
pub(crate) unsafe fn luma<'py>(
    plane: &RawPlane<'_>,
    base: Bound<'py, PyAny>,
    writable: bool,
) -> PyResult<Bound<'py, PyArray2<u8>>> {
    let shape = (plane.rows(), plane.row_bytes()).strides((plane.stride(), 1));
    // SAFETY: a view carries a pointer, a shape and strides, and is dropped before anything is read through it; the plane
    // is that large. The caller guarantees the base.
    let array = unsafe {
        PyArray2::borrow_from_array(&ArrayView2::from_shape_ptr(shape, plane.as_ptr()), base)
    };
    if !writable {
        array.try_readwrite()?.make_nonwriteable();
    }
    Ok(array)
}

/// An array of shape `(rows, columns, 2)` over a plane of interleaved chroma: U, then V. Read-only unless `writable`.
///
/// # Safety
/// As [`luma`].
pub(crate) unsafe fn chroma<'py>(
    plane: &RawPlane<'_>,
    base: Bound<'py, PyAny>,
    writable: bool,
) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let shape = (plane.rows(), plane.row_bytes() / 2, 2).strides((plane.stride(), 2, 1));
    // SAFETY: as in `luma`.
    let array = unsafe {
        PyArray3::borrow_from_array(&ArrayView3::from_shape_ptr(shape, plane.as_ptr()), base)
    };
    if !writable {
        array.try_readwrite()?.make_nonwriteable();
    }
    Ok(array)
}
