//! A batch: a tensor of each camera's newest frame, and what became of each.

use std::sync::Arc;

use numpy::{AllowTypeChange, PyArray2, PyArrayLike2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use vas_tensor::Plan;

use crate::member::Why;
use crate::metadata::{Metadata, map_points};

/// What became of one camera in a batch. True if its place in `out` was filled.
#[pyclass(frozen, module = "vas_frames")]
pub(crate) struct Row {
    pub(crate) camera: Arc<str>,
    pub(crate) index: usize,
    pub(crate) why: Option<Why>,
    pub(crate) frame: Option<Py<Metadata>>,
    pub(crate) plan: Option<Arc<Plan>>,
}

#[pymethods]
impl Row {
    /// Whether `out[index]` holds the frame.
    #[getter]
    fn ok(&self) -> bool {
        self.why.is_none()
    }

    /// The camera's id.
    #[getter]
    fn camera(&self) -> &str {
        &self.camera
    }

    /// The camera's place in the site and in `out`.
    #[getter]
    fn index(&self) -> usize {
        self.index
    }

    /// The frame's metadata; None if there is no frame.
    #[getter]
    fn frame(&self, py: Python<'_>) -> Option<Py<Metadata>> {
        self.frame.as_ref().map(|frame| frame.clone_ref(py))
    }

    /// Why there is no frame: "quiet", "gone", "too_old", "unchanged", "too_soon", "overwritten" or "unreadable"; None if
    /// there is one.
    #[getter]
    fn why(&self) -> Option<&'static str> {
        self.why.map(Why::word)
    }

    /// Points or boxes of the model's picture, in the frame's picture.
    ///
    /// `boxes` is an array of shape (n, 2), points (x, y), or (n, 4), boxes (left, top, right, bottom), in pixels from the
    /// upper left corner. Returns float64 of the same shape. What lies in a bar is moved to the picture's edge.
    fn to_picture<'py>(
        &self,
        py: Python<'py>,
        boxes: PyArrayLike2<'py, f64, AllowTypeChange>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let plan = self.plan.as_ref().ok_or_else(|| {
            PyValueError::new_err(format!("camera {} has no frame in this batch", self.camera))
        })?;
        map_points(py, &boxes.as_array(), |x, y| plan.to_picture(x, y))
    }

    fn __bool__(&self) -> bool {
        self.ok()
    }

    fn __repr__(&self) -> String {
        let Self { camera, index, .. } = self;
        match (&self.why, &self.frame) {
            (None, Some(frame)) => {
                let described = frame.get().describe("Metadata");
                format!(
                    "<vas.Row {index}: {}>",
                    described.trim_start_matches("<vas.Metadata ").trim_end_matches('>')
                )
            }
            (why, _) => {
                format!("<vas.Row {index}: nothing of {camera}, {}>", why.map_or("", Why::word))
            }
        }
    }
}
