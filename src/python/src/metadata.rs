//! What is known of a frame apart from its pixels.

use std::sync::Arc;

use numpy::ndarray::ArrayView2;
use numpy::{AllowTypeChange, PyArray2, PyArrayLike2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use vas_frame::{Flags, FrameMeta, Geometry, Loss, Range};

const NS: f64 = 1e-9;

/// The base class of `Frame` and `View`.
#[pyclass(frozen, subclass, module = "vas_frames")]
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    camera: Arc<str>,
    meta: FrameMeta,
    geometry: Geometry,
}

impl Metadata {
    pub(crate) fn new(camera: &Arc<str>, meta: &FrameMeta, geometry: Geometry) -> Self {
        Self { camera: Arc::clone(camera), meta: *meta, geometry }
    }

    pub(crate) fn meta(&self) -> &FrameMeta {
        &self.meta
    }

    pub(crate) fn camera_id(&self) -> &str {
        &self.camera
    }

    /// `<vas.Frame 812 of gate: 1920x1080, 43 ms old, key frame>`
    pub(crate) fn describe(&self, class: &str) -> String {
        let Self { camera, meta, .. } = self;
        let mut text = format!(
            "<vas.{class} {} of {camera}: {}x{}, {} ms old",
            meta.frame_id,
            meta.width,
            meta.height,
            meta.age().as_millis()
        );
        let marks = [
            (Flags::KEY, "key frame"),
            (Flags::AFTER_LOSS, "after loss"),
            (Flags::CORRUPT, "corrupt"),
            (Flags::INTERLACED, "interlaced"),
        ];
        for (flag, words) in marks {
            if meta.flags.contains(flag) {
                text.push_str(", ");
                text.push_str(words);
            }
        }
        text.push('>');
        text
    }
}

#[pymethods]
impl Metadata {
    /// The camera's id.
    #[getter]
    fn camera(&self) -> &str {
        &self.camera
    }

    /// Rises with every frame of a camera, across restarts of the service. A gap is frames that were not exported, or
    /// that this reader did not take.
    #[getter]
    fn id(&self) -> u64 {
        self.meta.frame_id
    }

    /// Rises when the camera's size, format or color changes, and when the service restarts.
    #[getter]
    fn epoch(&self) -> u64 {
        self.meta.epoch
    }

    /// Seconds since the frame's first packet arrived, as of now.
    #[getter]
    fn age(&self) -> f64 {
        self.meta.age().as_secs_f64()
    }

    /// The camera's own wall clock for this frame, in seconds since 1970 (as `time.time()`); None if it states none.
    #[getter]
    fn wall_time(&self) -> Option<f64> {
        self.meta.wall_clock_ns.map(|ns| ns as f64 * NS)
    }

    /// Presentation time on the camera's own time line, in seconds; None if it sent none.
    #[getter]
    fn pts(&self) -> Option<f64> {
        self.meta.pts_ns.map(|ns| ns as f64 * NS)
    }

    /// When the frame's first packet arrived, in seconds of `time.monotonic()`.
    #[getter]
    fn arrival(&self) -> f64 {
        self.meta.arrival_ns as f64 * NS
    }

    /// When the decoder returned the frame, in seconds of `time.monotonic()`.
    #[getter]
    fn decoded(&self) -> f64 {
        self.meta.decoded_ns as f64 * NS
    }

    /// When the frame was published, in seconds of `time.monotonic()`.
    #[getter]
    fn published(&self) -> f64 {
        self.meta.published_ns as f64 * NS
    }

    /// Whether this is a key frame.
    #[getter]
    fn key(&self) -> bool {
        self.meta.flags.contains(Flags::KEY)
    }

    /// Whether packets were lost since the last clean key frame, so that the picture may be damaged; None if the source
    /// can't tell.
    #[getter]
    fn after_loss(&self) -> Option<bool> {
        match self.meta.flags.loss() {
            Loss::None => Some(false),
            Loss::AfterLoss => Some(true),
            Loss::Unknown => None,
        }
    }

    /// Whether the decoder or the demuxer marked the frame as corrupt.
    #[getter]
    fn corrupt(&self) -> bool {
        self.meta.flags.contains(Flags::CORRUPT)
    }

    /// Whether this is the first frame after a break in the camera's time line.
    #[getter]
    fn discontinuity(&self) -> bool {
        self.meta.flags.contains(Flags::DISCONTINUITY)
    }

    /// Whether the picture is two woven fields.
    #[getter]
    fn interlaced(&self) -> bool {
        self.meta.flags.contains(Flags::INTERLACED)
    }

    /// Width and height of the picture in pixels.
    #[getter]
    fn size(&self) -> (u32, u32) {
        (self.meta.width, self.meta.height)
    }

    /// Width and height of the camera's own picture in pixels, before a scaled export made it smaller.
    #[getter]
    fn original_size(&self) -> (u32, u32) {
        (self.meta.source.width, self.meta.source.height)
    }

    /// The part of the picture that the camera's picture fills, as (x, y, width, height): the rest are the bars of a
    /// letterboxed export.
    #[getter]
    fn content(&self) -> (u32, u32, u32, u32) {
        let content = self.meta.content;
        (content.x, content.y, content.width, content.height)
    }

    /// The decoder: "software", "vaapi", "nvdec" or "unknown".
    #[getter]
    fn decoder(&self) -> String {
        self.meta.decoder.to_string()
    }

    /// The matrix that turns YUV into RGB, a code of ITU-T H.273 table 4: 1 is BT.709, 5 and 6 are BT.601, 9 is BT.2020,
    /// 2 is unspecified.
    #[getter]
    fn matrix(&self) -> u8 {
        self.geometry.color().matrix
    }

    /// Whether samples use all of 0 to 255. Otherwise, luma is 16 to 235 and chroma 16 to 240.
    #[getter]
    fn full_range(&self) -> bool {
        self.geometry.color().range == Range::Full
    }

    fn __repr__(&self) -> String {
        self.describe("Metadata")
    }

    /// Points or boxes of this picture, in the camera's own picture.
    ///
    /// `boxes` is an array of shape (n, 2), points (x, y), or (n, 4), boxes (left, top, right, bottom), in pixels from the
    /// upper left corner. Returns float64 of the same shape. What lies in a bar is moved to the picture's edge.
    fn to_original<'py>(
        &self,
        py: Python<'py>,
        boxes: PyArrayLike2<'py, f64, AllowTypeChange>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        map_points(py, &boxes.as_array(), |x, y| self.meta.to_source(x, y))
    }
}

/// Maps the points of an array of points or boxes.
pub(crate) fn map_points<'py>(
    py: Python<'py>,
    boxes: &ArrayView2<'_, f64>,
    map: impl Fn(f64, f64) -> (f64, f64),
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    if !matches!(boxes.ncols(), 2 | 4) {
        return Err(PyValueError::new_err(format!(
            "boxes has the shape {:?}, expected (n, 2) for points or (n, 4) for boxes",
            boxes.shape()
        )));
    }
    let mut mapped = boxes.to_owned();
    for mut row in mapped.rows_mut() {
        for first in (0..row.len()).step_by(2) {
            (row[first], row[first + 1]) = map(row[first], row[first + 1]);
        }
    }
    Ok(PyArray2::from_owned_array(py, mapped))
}
