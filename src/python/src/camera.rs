//! A camera as Python reads it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use numpy::{PyArrayDyn, PyArrayMethods as _};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use vas_frame::{DEFAULT_DIR, ReadError};

use crate::errors::{self, Kind};
use crate::frame::Frame;
use crate::lent::{Lent, Refused, Taken};
use crate::metadata::Metadata;
use crate::pool::Pool;
use crate::rate::MaxRate;
use crate::reading::{Options, Reading};
use crate::time::{SIGNALS, seconds};
use crate::view::View;
use crate::waiter::{self, WaitPoint};

/// A reader of one camera. See the package's documentation.
#[pyclass(frozen, module = "vas_frames", weakref)]
pub(crate) struct Camera {
    options: Options,
    pool: Arc<Pool>,
    reading: Lent<Reading>,
    /// Waits of coroutines, which closing ends.
    tickets: Mutex<Vec<u64>>,
}

impl Camera {
    fn tickets(&self) -> std::sync::MutexGuard<'_, Vec<u64>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, py: Python<'_>) -> PyResult<Taken<'_, Reading>> {
        self.reading.take().map_err(|refused| match refused {
            Refused::Busy => {
                let name = &self.options.name;
                let words = "is being read by another thread: open it once for each thread";
                Kind::Busy.error(py, format!("camera {name} {words}"))
            }
            Refused::Closed => self.is_closed(),
        })
    }

    /// The reader that a call took, or a new one: in a child of fork, also of one that Python's hooks don't know of.
    fn reading<'a>(
        &self,
        py: Python<'_>,
        taken: &'a mut Taken<'_, Reading>,
    ) -> PyResult<&'a mut Reading> {
        taken.get_or_try(|reading| reading.pid != std::process::id(), || self.options.open(py))
    }

    /// Calls `pick` in slices until it returns a frame or `timeout` is over, with the GIL released.
    fn wait<T: Send>(
        &self,
        py: Python<'_>,
        timeout: Option<Duration>,
        mut pick: impl FnMut(&mut Reading) -> Result<T, ReadError> + Send,
    ) -> PyResult<T> {
        let mut taken = self.take(py)?;
        let reading = self.reading(py, &mut taken)?;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = deadline
                .map_or(SIGNALS, |deadline| deadline.saturating_duration_since(Instant::now()));
            reading.reader.set_timeout(left.min(SIGNALS));
            let error = match py.detach(|| pick(reading)) {
                Ok(picked) => {
                    reading.gone = false;
                    return Ok(picked);
                }
                Err(error) => error,
            };
            py.check_signals()?;
            // By another thread.
            if self.closed() {
                return Err(self.is_closed());
            }
            match &error {
                ReadError::TimedOut { .. } | ReadError::NotYet { .. } => {}
                ReadError::WriterGone { .. } if reading.gone || self.options.follow => {
                    reading.gone = true;
                }
                ReadError::WriterGone { .. } => {
                    reading.gone = true;
                    return Err(errors::read_error(py, error));
                }
                _ => return Err(errors::read_error(py, error)),
            }
            if left.saturating_sub(SIGNALS).is_zero()
                && deadline.is_some_and(|d| d <= Instant::now())
            {
                return Err(self.nothing(py, &error, timeout.unwrap_or_default()));
            }
        }
    }

    fn is_closed(&self) -> PyErr {
        PyValueError::new_err(format!("camera {} is closed", self.options.name))
    }

    /// The exception after a whole timeout: each slice of it states its own.
    fn nothing(&self, py: Python<'_>, last: &ReadError, timeout: Duration) -> PyErr {
        let (name, seconds) = (&self.options.name, timeout.as_secs_f64());
        match last {
            ReadError::TimedOut { .. } => Kind::NoFrame.error(
                py,
                format!(
                    "camera {name} published no new frame within {seconds} s; its writer is alive"
                ),
            ),
            ReadError::WriterGone { .. } if self.options.follow => Kind::NoFrame.error(
                py,
                format!(
                    "camera {name} published no frame within {seconds} s: the service is stopped"
                ),
            ),
            ReadError::WriterGone { .. } => Kind::WriterGone.error(py, last),
            _ => Kind::NoFrame.error(
                py,
                format!(
                    "camera {name} published no frame within {seconds} s; the service is there"
                ),
            ),
        }
    }

    /// Waits for the frame that `pick` picks and copies it.
    fn copied(
        &self,
        py: Python<'_>,
        timeout: Option<Duration>,
        mut pick: impl FnMut(&mut Reading) -> Result<vas_frame::Frame, ReadError> + Send,
    ) -> PyResult<Py<Frame>> {
        let mut image = self.pool.take();
        let frame = self.wait(py, timeout, |reading| {
            loop {
                let frame = pick(reading)?;
                if frame.copy_if_valid(&mut image.image).is_ok() {
                    reading.gate.dispatched(frame.meta().into());
                    return Ok(frame);
                }
                reading.overwritten += 1;
            }
        })?;
        Frame::create(py, &self.options.name, frame.meta(), frame.geometry(), image)
    }
}

/// What a look at a camera finds.
#[derive(IntoPyObject)]
enum Polled {
    Frame(Py<Frame>),
    Waits(Py<WaitPoint>),
}

/// What `__reduce__` returns: a function and its arguments.
type Reduced<'py> = (Bound<'py, PyAny>, (String, Bound<'py, PyDict>));

#[pymethods]
impl Camera {
    #[new]
    #[pyo3(
        signature = (name, *, max_fps = MaxRate::EVERY, every = false, timeout = None, follow = false, dir = None, label = ""),
        text_signature = "(name, *, max_fps=None, every=False, timeout=None, follow=False, dir=None, label='')"
    )]
    #[expect(clippy::too_many_arguments, reason = "keywords of a function in Python")]
    fn new(
        py: Python<'_>,
        name: &str,
        max_fps: MaxRate,
        every: bool,
        timeout: Option<f64>,
        follow: bool,
        dir: Option<PathBuf>,
        label: &str,
    ) -> PyResult<Self> {
        let dir = dir.unwrap_or_else(|| DEFAULT_DIR.into());
        let timeout = seconds("timeout", timeout)?;
        let label = label.into();
        let options = Options { name: name.into(), dir, max_fps, every, follow, timeout, label };
        let reading = options.open(py)?;
        Ok(Self {
            options,
            pool: Pool::new(),
            reading: Lent::new(reading),
            tickets: Mutex::default(),
        })
    }

    /// The camera's id.
    #[getter]
    fn name(&self) -> &str {
        &self.options.name
    }

    /// Waits for the next frame and copies it, as iteration does: the newest frame that was not given before, or with `every`
    /// the next one in order, if the gate allows it.
    ///
    /// Raises NoFrame if none came within `timeout` seconds (`open`'s if it is None), WriterGone once when the service
    /// stopped or died; later calls wait for it to start again, and raise it again after `timeout`. With `follow` they
    /// raise NoFrame.
    #[pyo3(signature = (timeout = None))]
    fn read(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<Frame>> {
        let timeout = seconds("timeout", timeout)?.or(self.options.timeout);
        self.copied(py, timeout, |reading| reading.next_allowed(self.options.every))
    }

    /// As `read`, into an array of the caller's: uint8, C order, of shape (height + ceil(height / 2), width) or any other with
    /// as many elements as the picture's two planes. Returns the frame's metadata.
    ///
    /// ValueError if the camera's picture has another size than the array; the frame is then lost.
    #[pyo3(signature = (out, timeout = None))]
    fn read_into(
        &self,
        py: Python<'_>,
        out: &Bound<'_, PyArrayDyn<u8>>,
        timeout: Option<f64>,
    ) -> PyResult<Metadata> {
        let timeout = seconds("timeout", timeout)?.or(self.options.timeout);
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let frame = self.wait(py, left, |reading| reading.next_allowed(self.options.every))?;
            // For the copy alone: other calls may use the array during the wait.
            let mut writable = out.try_readwrite()?;
            let bytes = writable.as_slice_mut().map_err(|_| {
                PyValueError::new_err("out is not contiguous: expected C order, no gaps")
            })?;
            let geometry = frame.geometry();
            if bytes.len() != geometry.tight_bytes() {
                return Err(PyValueError::new_err(format!(
                    "out has {} bytes, expected {}: camera {} sends {}x{}",
                    bytes.len(),
                    geometry.tight_bytes(),
                    self.options.name,
                    geometry.width(),
                    geometry.height()
                )));
            }
            let raw = frame.raw();
            let (luma, chroma) = bytes.split_at_mut(raw.y.rows() * raw.y.row_bytes());
            py.detach(|| {
                raw.y.copy_to(luma);
                raw.uv.copy_to(chroma);
            });
            let mut taken = self.take(py)?;
            let reading = self.reading(py, &mut taken)?;
            if frame.still_valid() {
                reading.gate.dispatched(frame.meta().into());
                return Ok(Metadata::new(&self.options.name, frame.meta(), geometry));
            }
            reading.overwritten += 1;
        }
    }

    /// Copies the newest frame, which may be the last one again, whatever the gate says. Waits only if there is none.
    ///
    /// Raises as `read`.
    #[pyo3(signature = (timeout = None))]
    fn latest(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<Frame>> {
        let timeout = seconds("timeout", timeout)?.or(self.options.timeout);
        self.copied(py, timeout, Reading::newest)
    }

    /// The newest frame where it is, without a copy: a `View`. Otherwise as `latest`.
    #[pyo3(signature = (timeout = None))]
    fn borrow(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<View>> {
        let timeout = seconds("timeout", timeout)?.or(self.options.timeout);
        let frame = self.wait(py, timeout, |reading| {
            let frame = reading.newest()?;
            reading.gate.dispatched(frame.meta().into());
            Ok(frame)
        })?;
        View::create(py, &self.options.name, frame, &self.pool)
    }

    /// Registers the ring's mapping with the CUDA context that is current in this thread, so that copies from `borrow`'s
    /// arrays to the device are asynchronous. Waits for a frame, as `borrow`.
    ///
    /// Returns a `Registration`. It holds for one epoch: register again when a frame has another `epoch`.
    #[pyo3(signature = (timeout = None))]
    fn register_cuda<'py>(
        slf: &Bound<'py, Self>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let view = slf.get().borrow(slf.py(), timeout)?;
        slf.py().import("vas_frames._cuda")?.getattr("Registration")?.call1((view,))
    }

    /// The next frame if there is one, copied, or what to wait for: for coroutines.
    fn _poll(&self, py: Python<'_>) -> PyResult<Polled> {
        let mut taken = self.take(py)?;
        let reading = self.reading(py, &mut taken)?;
        reading.reader.set_timeout(Duration::ZERO);
        loop {
            // Before the look: what is published after it ends the wait.
            let point = reading.reader.wait_point();
            let frame = match reading.next_allowed(self.options.every) {
                Ok(frame) => frame,
                Err(ReadError::TimedOut { .. } | ReadError::NotYet { .. }) => {
                    return Ok(Polled::Waits(Py::new(py, WaitPoint { point })?));
                }
                Err(ReadError::WriterGone { .. }) if reading.gone || self.options.follow => {
                    reading.gone = true;
                    return Ok(Polled::Waits(Py::new(py, WaitPoint { point })?));
                }
                Err(error) => {
                    reading.gone |= matches!(error, ReadError::WriterGone { .. });
                    return Err(errors::read_error(py, error));
                }
            };
            reading.gone = false;
            let mut image = self.pool.take();
            if py.detach(|| frame.copy_if_valid(&mut image.image)).is_ok() {
                reading.gate.dispatched(frame.meta().into());
                let (meta, geometry) = (frame.meta(), frame.geometry());
                let copied = Frame::create(py, &self.options.name, meta, geometry, image)?;
                return Ok(Polled::Frame(copied));
            }
            reading.overwritten += 1;
        }
    }

    /// The exception for a wait of so many seconds without a frame: for coroutines.
    fn _timed_out(&self, py: Python<'_>, timeout: f64) -> PyResult<Py<PyAny>> {
        let mut taken = self.take(py)?;
        let reading = self.reading(py, &mut taken)?;
        // A frame that came in the last moment is for the next call.
        let error = match reading.reader.peek() {
            Ok(_) => {
                let camera = reading.reader.camera().clone();
                ReadError::TimedOut { camera, timeout: Duration::ZERO }
            }
            Err(error) => {
                reading.gone |= matches!(error, ReadError::WriterGone { .. });
                error
            }
        };
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or_default();
        Ok(self.nothing(py, &error, timeout).into_value(py).into_any())
    }

    /// The longest wait for a frame in seconds; None is without a limit.
    #[getter]
    fn timeout(&self) -> Option<f64> {
        self.options.timeout.map(|timeout| timeout.as_secs_f64())
    }

    /// As `read`, for coroutines: other coroutines run during the wait.
    #[pyo3(signature = (timeout = None))]
    fn aread<'py>(slf: &Bound<'py, Self>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("vas_frames._aio")?.getattr("read")?.call1((slf, timeout))
    }

    /// The camera's frames, for `async for`; ends when the camera is closed.
    fn __aiter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("vas_frames._aio")?.getattr("frames")?.call1((slf,))
    }

    /// Frames that were overwritten before this reader had copied them.
    #[getter]
    fn overwritten(&self, py: Python<'_>) -> PyResult<u64> {
        let mut taken = self.take(py)?;
        Ok(self.reading(py, &mut taken)?.overwritten)
    }

    /// Ends the reader's demand, and waits of other threads and coroutines. Frames stay usable.
    fn close(&self) {
        self.reading.close();
        waiter::end(&std::mem::take(&mut *self.tickets()));
    }

    /// Calls `callback`, from another thread, once there may be a frame or the camera is closed. Returns a ticket.
    fn _when_ready(&self, point: &Bound<'_, WaitPoint>, callback: Py<PyAny>) -> PyResult<u64> {
        let ticket = waiter::when_ready(point.get(), callback)?;
        self.tickets().push(ticket);
        Ok(ticket)
    }

    /// Gives up a wait, which may have ended.
    fn _cancel(&self, ticket: u64) {
        self.tickets().retain(|other| *other != ticket);
        waiter::cancel(ticket);
    }

    /// In a child of fork: gives up the parent's reader, whose lock states the parent's demand for as long as any process
    /// has it open. The next call opens a reader of this process.
    fn _after_fork(&self) {
        self.reading.after_fork(drop);
    }

    /// Whether the camera was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.reading.is_closed()
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

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// Ends when the camera is closed.
    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<Frame>>> {
        if self.closed() {
            return Ok(None);
        }
        let timeout = self.options.timeout;
        match self.copied(py, timeout, |reading| reading.next_allowed(self.options.every)) {
            // Not what a signal's handler raised.
            Err(error) if self.closed() && error.is_instance_of::<PyValueError>(py) => Ok(None),
            next => next.map(Some),
        }
    }

    /// How to open the camera again in another process.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py>> {
        let (py, options) = (slf.py(), &slf.get().options);
        let keywords = PyDict::new(py);
        keywords.set_item("max_fps", options.max_fps.text())?;
        keywords.set_item("every", options.every)?;
        keywords.set_item("timeout", options.timeout.map(|timeout| timeout.as_secs_f64()))?;
        keywords.set_item("follow", options.follow)?;
        keywords.set_item("dir", &options.dir)?;
        keywords.set_item("label", &*options.label)?;
        let open = py.import("vas_frames._processes")?.getattr("reopen")?;
        Ok((open, (options.name.to_string(), keywords)))
    }

    fn __repr__(&self) -> String {
        let Options { name, max_fps, .. } = &self.options;
        let rate = max_fps.words();
        let closed = if self.closed() { ", closed" } else { "" };
        format!("<vas.Camera {name}: {rate}{closed}>")
    }
}
