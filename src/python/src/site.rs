//! Several cameras that are read together.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use vas_frame::{DEFAULT_DIR, Frame, WaitPoint, WaitSet};
use vas_tensor::{Job, Normalize, PassError, Plan, Pool, Request};

use crate::aligned::{self, Aligned, Search};
use crate::batch::Row;
use crate::convert::{FITS, LAYOUTS, ORDERS, invalid, word};
use crate::errors::{self, Kind};
use crate::lent::{Lent, Refused, Taken};
use crate::member::{Member, Why};
use crate::metadata::Metadata;
use crate::rate::MaxRate;
use crate::reading::Options;
use crate::tensors::{Tensors, per_channel, target};
use crate::time::{SIGNALS, seconds};

/// Cameras that are read together. See the package's documentation.
#[pyclass(frozen, module = "vas_frames", weakref)]
pub(crate) struct Site {
    names: Vec<Arc<str>>,
    /// How each camera was opened, so that a child of fork can open it again.
    options: Vec<Options>,
    threads: NonZeroUsize,
    members: Lent<Members>,
}

/// What a call of a site uses.
struct Members {
    cameras: Vec<Member>,
    pool: Option<Pool>,
    wait_set: WaitSet,
    /// What the last wait was for.
    points: Vec<WaitPoint>,
    /// Images of aligned frames.
    images: Arc<crate::pool::Pool>,
    /// The process that opened the readers.
    pid: u32,
}

impl Members {
    /// Cameras that are opened when they are first read.
    fn new(options: &[Options]) -> Self {
        Self {
            cameras: options.iter().cloned().map(Member::new).collect(),
            pool: None,
            wait_set: WaitSet::new(),
            points: Vec::with_capacity(options.len()),
            images: crate::pool::Pool::new(),
            pid: std::process::id(),
        }
    }

    /// In a child of fork: gives up the readers, whose locks state the parent's demand, and the pool, whose threads are
    /// the parent's.
    fn leave_parent(&mut self) {
        if self.pid != std::process::id() {
            self.cameras.iter_mut().for_each(Member::reset);
            std::mem::forget(self.pool.take());
            self.pid = std::process::id();
        }
    }

    /// The newest frame of each camera: once one has a new frame and all others have, too, or `linger` has passed; or once
    /// `deadline` has come.
    fn newest(
        &mut self,
        py: Python<'_>,
        deadline: Option<Instant>,
        linger: Duration,
    ) -> PyResult<Vec<Result<Frame, Why>>> {
        let mut found: Vec<Result<Frame, Why>> =
            self.cameras.iter_mut().map(Member::newest_allowed).collect();
        let mut until = deadline;
        let mut lingers = false;
        loop {
            if !lingers && found.iter().any(Result::is_ok) {
                lingers = true;
                let last = Instant::now().checked_add(linger);
                until = [until, last].into_iter().flatten().min();
            }
            let left =
                until.map_or(SIGNALS, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() || found.iter().all(Result::is_ok) {
                break;
            }
            py.check_signals()?;
            py.detach(|| {
                let slice = Instant::now() + left.min(SIGNALS);
                loop {
                    // Before the look: what is published after it ends the wait.
                    self.points.clear();
                    let readers = self.cameras.iter().zip(&found);
                    let waited_for = readers.filter(|(_, found)| found.is_err());
                    let points = waited_for.filter_map(|(camera, _)| camera.wait_point());
                    self.points.extend(points);
                    let goes_on = self.look_again(&mut found, lingers);
                    let left = slice.saturating_duration_since(Instant::now());
                    if !goes_on || left.is_zero() {
                        break;
                    }
                    self.wait_set.wait(&self.points, left);
                }
            });
        }
        for (camera, found) in self.cameras.iter_mut().zip(&mut found) {
            match found {
                Err(why) => *why = camera.unless_quiet(*why),
                // A newer one may have come while the others were waited for.
                Ok(frame) if lingers && !linger.is_zero() => {
                    if let Ok(newer) = camera.newest_allowed() {
                        *frame = newer;
                    }
                }
                Ok(_) => {}
            }
        }
        Ok(found)
    }

    /// Looks for frames where there is none yet. Returns true if the wait goes on.
    fn look_again(&mut self, found: &mut [Result<Frame, Why>], lingers: bool) -> bool {
        let mut all = true;
        let mut any = false;
        for (camera, found) in self.cameras.iter_mut().zip(found) {
            if found.is_err() {
                *found = camera.newest_allowed();
            }
            all &= found.is_ok();
            any |= found.is_ok();
        }
        !all && (lingers || !any)
    }
}

impl Site {
    fn take(&self, py: Python<'_>) -> PyResult<Taken<'_, Members>> {
        self.members.take().map_err(|refused| match refused {
            Refused::Busy => {
                let words =
                    "the site is being read by another thread: open it once for each thread";
                Kind::Busy.error(py, words)
            }
            Refused::Closed => PyValueError::new_err("the site is closed"),
        })
    }

    /// The members that a call took, with a pool of this process.
    fn ready<'a>(&self, taken: &'a mut Taken<'_, Members>) -> PyResult<&'a mut Members> {
        let make = || Ok::<_, PyErr>(Box::new(Members::new(&self.options)));
        let members = taken.get_or_try(|_| false, make)?;
        // Python's hooks don't run for a fork by other code.
        members.leave_parent();
        if members.pool.is_none() {
            members.pool = Some(Pool::new(self.threads)?);
        }
        Ok(members)
    }
}

#[pymethods]
impl Site {
    #[new]
    #[pyo3(
        signature = (names, *, max_fps = MaxRate::EVERY, threads = None, dir = None, label = ""),
        text_signature = "(names, *, max_fps=None, threads=None, dir=None, label='')"
    )]
    fn new(
        py: Python<'_>,
        names: Vec<String>,
        max_fps: MaxRate,
        threads: Option<usize>,
        dir: Option<PathBuf>,
        label: &str,
    ) -> PyResult<Self> {
        let dir = dir.unwrap_or_else(|| DEFAULT_DIR.into());
        let available = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = NonZeroUsize::new(threads.unwrap_or_else(|| available.min(4)));
        let threads =
            threads.ok_or_else(|| PyValueError::new_err("threads is 0, expected 1 or more"))?;
        let options: Vec<_> = names
            .iter()
            .map(|name| Options {
                name: name.as_str().into(),
                dir: dir.clone(),
                max_fps,
                every: false,
                follow: true,
                timeout: None,
                label: label.into(),
            })
            .collect();
        let mut members = Members::new(&options);
        for camera in &mut members.cameras {
            camera.open().map_err(|error| errors::open_error(py, error))?;
        }
        let names: Vec<Arc<str>> = names.into_iter().map(Into::into).collect();
        Ok(Self { names, options, threads, members: Lent::new(Box::new(members)) })
    }

    /// The cameras' ids, in the order of the rows.
    #[getter]
    fn names(&self) -> Vec<&str> {
        self.names.iter().map(|name| &**name).collect()
    }

    /// The threads that fill batches, the caller's included.
    #[getter]
    fn threads(&self) -> usize {
        self.threads.get()
    }

    /// Writes each camera's newest frame into its place in `out`, resized, in color and normalized.
    ///
    /// Waits until a camera has a frame that was not given before and that the gate allows. Returns a `Row` for each camera,
    /// which says whether `out[row.index]` was filled, and if not, why: it then holds what it held before, or part of a
    /// picture that was overwritten meanwhile. Nothing is copied in between: pixels go from the ring into `out`.
    ///
    /// out: float32, float16 or uint8 in C order, of shape (cameras, channels, height, width) or, with `layout="nhwc"`,
    ///     (cameras, height, width, channels): a numpy array, a tensor of torch on the processor, or another buffer.
    /// fit, order, pad: as for `Frame.resized`.
    /// scale, mean, std: each level x from 0 to 255 becomes (x * scale - mean) / std; `mean` and `std` have a number for
    ///     each channel, or one for all. Not for uint8.
    /// max_age: frames older than this, in seconds, are left out.
    /// timeout: the longest wait in seconds; None waits until there is a frame.
    /// linger: how long to wait for the other cameras once one has a frame, in seconds.
    ///
    /// Raises ValueError or TypeError for an array that does not fit.
    #[pyo3(
        signature = (
            out, *, fit = "letterbox", order = "rgb", layout = "nchw", scale = 1.0, mean = None, std = None, pad = 114,
            max_age = None, timeout = Some(1.0), linger = 0.0
        ),
        text_signature = "($self, out, *, fit='letterbox', order='rgb', layout='nchw', scale=1.0, mean=None, std=None, \
                          pad=114, max_age=None, timeout=1.0, linger=0.0)"
    )]
    #[expect(clippy::too_many_arguments, reason = "keywords of a function in Python")]
    fn pull_batch(
        &self,
        py: Python<'_>,
        out: &Bound<'_, PyAny>,
        fit: &str,
        order: &str,
        layout: &str,
        scale: f32,
        mean: Option<Vec<f32>>,
        std: Option<Vec<f32>>,
        pad: u8,
        max_age: Option<f64>,
        timeout: Option<f64>,
        linger: f64,
    ) -> PyResult<Vec<Row>> {
        let (order, layout) = (word("order", order, &ORDERS)?, word("layout", layout, &LAYOUTS)?);
        let mut tensors = Tensors::of(out)?;
        let (width, height) = target(&tensors.shape(), self.names.len(), layout, order.channels())?;
        let channels = order.channels();
        let normalize = Normalize {
            scale,
            mean: per_channel("mean", mean, channels, 0.0)?,
            std: per_channel("std", std, channels, 1.0)?,
        };
        let element = tensors.element();
        let fit = word("fit", fit, &FITS)?;
        let request = Request { width, height, fit, pad, order, layout, element, normalize };
        let max_age = seconds("max_age", max_age)?;
        let timeout = seconds("timeout", timeout)?;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));

        let mut taken = self.take(py)?;
        let members = self.ready(&mut taken)?;
        let linger = seconds("linger", Some(linger))?.unwrap_or(Duration::MAX);
        let mut found = members.newest(py, deadline, linger)?;
        let mut plans: Vec<Option<Arc<Plan>>> = Vec::with_capacity(found.len());
        for (camera, found) in members.cameras.iter_mut().zip(&mut found) {
            if let (Ok(frame), Some(max_age)) = (&found, max_age)
                && frame.meta().age() > max_age
            {
                *found = Err(Why::TooOld);
            }
            let plan = found.as_ref().ok().map(|frame| camera.plan(frame, &request));
            plans.push(plan.transpose().map_err(invalid)?);
        }
        let elements = width as usize * height as usize * channels;
        let mut outputs = tensors.each(elements)?.into_iter();
        let mut jobs = Vec::with_capacity(found.len());
        let mut rows_of_jobs = Vec::with_capacity(found.len());
        for (row, (found, plan)) in found.iter().zip(&plans).enumerate() {
            let output = outputs.next();
            if let (Ok(frame), Some(plan), Some(output)) = (found, plan, output) {
                jobs.push(Job::new(frame.into(), plan, output));
                rows_of_jobs.push(row);
            }
        }
        if let Some(pool) = &mut members.pool {
            py.detach(|| pool.run(&mut jobs));
        }
        let results: Vec<_> = jobs.iter().map(Job::result).collect();
        drop(jobs);
        for (row, result) in rows_of_jobs.into_iter().zip(results) {
            match result {
                Ok(()) => {}
                Err(PassError::Overwritten { .. }) => {
                    members.cameras[row].overwritten();
                    found[row] = Err(Why::Overwritten);
                }
                Err(error) => return Err(PyRuntimeError::new_err(error.to_string())),
            }
        }
        let mut rows = Vec::with_capacity(found.len());
        for (index, (found, plan)) in found.into_iter().zip(plans).enumerate() {
            let camera = Arc::clone(&self.names[index]);
            let (why, frame) = match found {
                Err(why) => (Some(why), None),
                Ok(frame) => {
                    members.cameras[index].given(&frame);
                    let metadata = Metadata::new(&camera, frame.meta(), frame.geometry());
                    (None, Some(Py::new(py, metadata)?))
                }
            };
            let plan = plan.filter(|_| why.is_none());
            rows.push(Row { camera, index, why, frame, plan });
        }
        Ok(rows)
    }

    /// Copies a frame of each camera, all of about the same time. Returns an `Aligned`. The gate is not asked: `max_fps`
    /// states only what the service is to copy.
    ///
    /// at: the time in seconds of the clock by which the frames are aligned (`Aligned.clock`), or "newest", the latest time
    ///     that all cameras have reached. Frames are there for as long as the rings hold them, half a second by default.
    /// tolerance: how far from that time a frame may lie, in seconds.
    /// timeout: the longest wait in seconds for frames of all cameras, one of them new; None waits until there are. Then
    ///     what there is is returned. A camera that is gone is not waited for.
    #[pyo3(
        signature = (*, at = None, tolerance = 0.04, timeout = Some(1.0)),
        text_signature = "($self, *, at=None, tolerance=0.04, timeout=1.0)"
    )]
    fn pull_aligned(
        &self,
        py: Python<'_>,
        at: Option<&Bound<'_, PyAny>>,
        tolerance: f64,
        timeout: Option<f64>,
    ) -> PyResult<Aligned> {
        let tolerance = seconds("tolerance", Some(tolerance))?.unwrap_or(Duration::MAX);
        let at = match at {
            None => None,
            Some(at) if at.extract().is_ok_and(|word: String| word == "newest") => None,
            Some(at) => Some(at.extract::<f64>().map_err(|_| {
                PyValueError::new_err("at is neither \"newest\" nor a time in seconds")
            })?),
        };
        let timeout = seconds("timeout", timeout)?;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut taken = self.take(py)?;
        let members = self.ready(&mut taken)?;
        let search = Search {
            at_ns: at.map(|seconds| (seconds * 1e9) as i64),
            tolerance_ns: i64::try_from(tolerance.as_nanos()).unwrap_or(i64::MAX),
            deadline,
        };
        let Members { cameras, wait_set, images, .. } = members;
        aligned::pull(py, cameras, wait_set, images, &self.names, &search)
    }

    /// Ends the readers' demand. A call of another thread ends with what it has.
    fn close(&self) {
        self.members.close();
    }

    /// In a child of fork: as `Camera._after_fork`.
    fn _after_fork(&self) {
        self.members.after_fork(|mut members| members.leave_parent());
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(
        &self,
        _type: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) {
        self.close();
    }

    fn __len__(&self) -> usize {
        self.names.len()
    }

    fn __repr__(&self) -> String {
        let names: Vec<_> = self.names.iter().take(4).map(|name| &**name).collect();
        let more = if self.names.len() > names.len() { ", ..." } else { "" };
        format!("<vas.Site of {} cameras: {}{more}>", self.names.len(), names.join(", "))
    }
}
