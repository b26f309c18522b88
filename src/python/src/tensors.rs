//! The array that a batch is written into.

use numpy::{
    PyArrayDescrMethods as _, PyArrayDyn, PyArrayMethods as _, PyReadwriteArrayDyn, PyUntypedArray,
    PyUntypedArrayMethods as _,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use vas_tensor::{Element, Layout, Output, f16};

use crate::convert::invalid;

/// The tensors of a batch, one after the other.
pub(crate) enum Tensors<'py> {
    U8(PyReadwriteArrayDyn<'py, u8>),
    F16(PyReadwriteArrayDyn<'py, f16>),
    F32(PyReadwriteArrayDyn<'py, f32>),
}

impl<'py> Tensors<'py> {
    /// The array that `out` is or shares its memory with.
    pub(crate) fn of(out: &Bound<'py, PyAny>) -> PyResult<Self> {
        let py = out.py();
        let array = py.import("vas_frames._arrays")?.getattr("writable")?.call1((out,))?;
        let untyped = array.cast::<PyUntypedArray>()?;
        let is = |element: Bound<'py, numpy::PyArrayDescr>| untyped.dtype().is_equiv_to(&element);
        if is(numpy::dtype::<f32>(py)) {
            Ok(Self::F32(array.cast::<PyArrayDyn<f32>>()?.try_readwrite()?))
        } else if is(numpy::dtype::<f16>(py)) {
            Ok(Self::F16(array.cast::<PyArrayDyn<f16>>()?.try_readwrite()?))
        } else if is(numpy::dtype::<u8>(py)) {
            Ok(Self::U8(array.cast::<PyArrayDyn<u8>>()?.try_readwrite()?))
        } else {
            Err(PyTypeError::new_err(format!(
                "out has elements of {}, expected float32, float16 or uint8",
                untyped.dtype()
            )))
        }
    }

    pub(crate) fn element(&self) -> Element {
        match self {
            Self::U8(_) => Element::U8,
            Self::F16(_) => Element::F16,
            Self::F32(_) => Element::F32,
        }
    }

    pub(crate) fn shape(&self) -> Vec<usize> {
        match self {
            Self::U8(array) => array.shape().to_vec(),
            Self::F16(array) => array.shape().to_vec(),
            Self::F32(array) => array.shape().to_vec(),
        }
    }

    /// The place of each tensor, `elements` long.
    pub(crate) fn each(&mut self, elements: usize) -> PyResult<Vec<Output<'_>>> {
        let gaps = |_| PyValueError::new_err("out is not contiguous: expected C order, no gaps");
        Ok(match self {
            Self::U8(array) => {
                let all = array.as_slice_mut().map_err(gaps)?;
                all.chunks_exact_mut(elements).map(Output::U8).collect()
            }
            Self::F16(array) => {
                let all = array.as_slice_mut().map_err(gaps)?;
                all.chunks_exact_mut(elements).map(Output::F16).collect()
            }
            Self::F32(array) => {
                let all = array.as_slice_mut().map_err(gaps)?;
                all.chunks_exact_mut(elements).map(Output::F32).collect()
            }
        })
    }
}

/// Width and height of the tensors in an array for `cameras` cameras.
pub(crate) fn target(
    shape: &[usize],
    cameras: usize,
    layout: Layout,
    channels: usize,
) -> PyResult<(u32, u32)> {
    let size = match (layout, shape) {
        (Layout::Nchw, &[n, c, height, width]) if (n, c) == (cameras, channels) => (width, height),
        (Layout::Nhwc, &[n, height, width, c]) if (n, c) == (cameras, channels) => (width, height),
        _ => {
            let expected = match layout {
                Layout::Nchw => format!("({cameras}, {channels}, height, width)"),
                Layout::Nhwc => format!("({cameras}, height, width, {channels})"),
            };
            return Err(PyValueError::new_err(format!(
                "out has the shape {shape:?}, expected {expected}: a place for each camera of the site"
            )));
        }
    };
    if size.0 == 0 || size.1 == 0 {
        return Err(PyValueError::new_err(format!(
            "out has places of {}x{} pixels, expected 1 or more on each side",
            size.0, size.1
        )));
    }
    let side = |side: usize| u32::try_from(side).map_err(invalid);
    Ok((side(size.0)?, side(size.1)?))
}

/// A number for each channel: one for all of them, or one for each.
pub(crate) fn per_channel(
    name: &str,
    given: Option<Vec<f32>>,
    channels: usize,
    without: f32,
) -> PyResult<[f32; 3]> {
    let Some(given) = given else { return Ok([without; 3]) };
    match *given.as_slice() {
        [all] => Ok([all; 3]),
        [first, second, third] if channels == 3 => Ok([first, second, third]),
        _ => Err(PyValueError::new_err(format!(
            "{name} has {} numbers, expected one for each of {channels} channels",
            given.len()
        ))),
    }
}
