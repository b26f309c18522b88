//! A frame's picture in other forms: packed colors, gray, another size, a PNG file.

use std::cell::RefCell;
use std::path::Path;

use numpy::{PyArrayDyn, PyArrayMethods as _, PyUntypedArrayMethods as _};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use vas_frame::{FrameMeta, Geometry, RawView};
use vas_picture::{encode_png, write_png};
use vas_tensor::{
    ColorSpace, Element, Fit, Layout, Order, Output, PassError, Plan, Request, Scratch, convert,
};

/// An array of bytes, of whatever shape.
pub(crate) type Bytes<'py> = Bound<'py, PyArrayDyn<u8>>;

thread_local! {
    /// Rows of the picture at hand: each thread of Python's keeps its own.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// A picture and the meaning of its samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Picture<'a> {
    pub(crate) raw: RawView<'a>,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) space: ColorSpace,
}

impl<'a> Picture<'a> {
    pub(crate) fn new(raw: RawView<'a>, geometry: &Geometry, meta: &FrameMeta) -> Self {
        // Without a matrix, the size of the camera's own picture counts.
        let space = ColorSpace::of(geometry.color(), meta.source.height);
        Self { raw, width: geometry.width(), height: geometry.height(), space }
    }

    /// The whole picture: (height, width, 3), or (height, width) of gray.
    pub(crate) fn converted<'py>(
        &self,
        py: Python<'py>,
        order: Order,
        out: Option<Bytes<'py>>,
    ) -> PyResult<Bytes<'py>> {
        let shape = shape(self.width, self.height, order);
        self.refuse_own(out.as_ref())?;
        fill(py, &shape, out, |bytes| {
            SCRATCH.with_borrow_mut(|scratch| {
                convert(self.raw.into(), self.space, order, bytes, scratch)
            })
        })
    }

    /// The picture in another size, as bytes.
    pub(crate) fn resized<'py>(
        &self,
        py: Python<'py>,
        request: &Request,
        out: Option<Bytes<'py>>,
    ) -> PyResult<Bytes<'py>> {
        let request = Request { layout: Layout::Nhwc, element: Element::U8, ..*request };
        let plan = Plan::new((self.width, self.height), self.space, &request).map_err(invalid)?;
        let shape = shape(request.width, request.height, request.order);
        self.refuse_own(out.as_ref())?;
        fill(py, &shape, out, |bytes| {
            SCRATCH.with_borrow_mut(|scratch| {
                plan.run(self.raw.into(), &mut Output::U8(bytes), scratch)
            })
        })
    }

    /// Refuses an array over the picture's own memory, which is read while the array is filled.
    fn refuse_own(&self, out: Option<&Bytes<'_>>) -> PyResult<()> {
        let planes = [self.raw.y, self.raw.uv];
        let overlaps = |out: &Bytes<'_>| {
            let start = out.data().addr();
            // Arrays with gaps are refused elsewhere.
            let end = start + out.len();
            planes.iter().any(|plane| {
                let first = plane.as_ptr().addr();
                let last = first + plane.rows() * plane.stride();
                start < last && first < end
            })
        };
        if out.is_some_and(overlaps) {
            return Err(PyValueError::new_err("out shares its memory with the frame"));
        }
        Ok(())
    }

    /// The picture as a PNG file's bytes, with RGB of 8 bits.
    pub(crate) fn png(&self, py: Python<'_>) -> PyResult<Vec<u8>> {
        let rgb = self.packed_rgb(py)?;
        let mut bytes = Vec::new();
        let encoded = py.detach(|| encode_png(&mut bytes, (self.width, self.height), &rgb));
        encoded.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok(bytes)
    }

    /// Writes the picture as a PNG file, completely or not at all.
    pub(crate) fn save(&self, py: Python<'_>, path: &Path) -> PyResult<()> {
        let rgb = self.packed_rgb(py)?;
        let written = py.detach(|| write_png(path, (self.width, self.height), &rgb));
        written.map_err(|error| match error.io().and_then(std::io::Error::raw_os_error) {
            // With its errno, so that Python chooses the subclass.
            Some(code) => PyOSError::new_err((code, error.to_string())),
            None => PyOSError::new_err(error.to_string()),
        })
    }

    fn packed_rgb(&self, py: Python<'_>) -> PyResult<Vec<u8>> {
        let mut rgb = vec![0; self.width as usize * self.height as usize * 3];
        let convert = || {
            SCRATCH.with_borrow_mut(|scratch| {
                convert(self.raw.into(), self.space, Order::Rgb, &mut rgb, scratch)
            })
        };
        py.detach(convert).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok(rgb)
    }
}

fn shape(width: u32, height: u32, order: Order) -> Vec<usize> {
    let mut shape = vec![height as usize, width as usize];
    if order.channels() > 1 {
        shape.push(order.channels());
    }
    shape
}

/// Fills `out`, or a new array, with the GIL released.
fn fill<'py>(
    py: Python<'py>,
    shape: &[usize],
    out: Option<Bytes<'py>>,
    work: impl FnOnce(&mut [u8]) -> Result<(), PassError> + Send,
) -> PyResult<Bytes<'py>> {
    let out = match out {
        None => {
            // SAFETY: all elements are written below, or the array is dropped without being seen.
            unsafe { PyArrayDyn::new(py, shape, false) }
        }
        Some(out) if out.shape() == shape => out,
        Some(out) => {
            return Err(PyValueError::new_err(format!(
                "out has the shape {:?}, expected {shape:?}",
                out.shape()
            )));
        }
    };
    let mut writable = out.try_readwrite()?;
    let bytes = writable.as_slice_mut().map_err(|_| {
        PyValueError::new_err("out is not contiguous: expected an array in C order without gaps")
    })?;
    py.detach(|| work(bytes)).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    drop(writable);
    Ok(out)
}

/// An argument that no plan can be made for.
pub(crate) fn invalid(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// An argument that is one of a few words.
pub(crate) fn word<T: Copy>(name: &str, value: &str, words: &[(&str, T)]) -> PyResult<T> {
    if let Some((_, found)) = words.iter().find(|(word, _)| *word == value) {
        return Ok(*found);
    }
    let expected: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    Err(PyValueError::new_err(format!("{name} is \"{value}\", expected {}", expected.join(" or "))))
}

/// The words for how a picture is fitted.
pub(crate) const FITS: [(&str, Fit); 3] =
    [("letterbox", Fit::Letterbox), ("stretch", Fit::Stretch), ("crop", Fit::Crop)];

/// The words for the channels.
pub(crate) const ORDERS: [(&str, Order); 3] =
    [("rgb", Order::Rgb), ("bgr", Order::Bgr), ("gray", Order::Gray)];

/// The words for where the elements lie.
pub(crate) const LAYOUTS: [(&str, Layout); 2] = [("nchw", Layout::Nchw), ("nhwc", Layout::Nhwc)];
