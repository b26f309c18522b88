//! The gate of Ruth AI Core, and its agents and subscriptions, in the process that reads the frames.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyKeyError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use ruth_core::{CameraId, FrameBinding, ModelId, Registry, StreamAgent};
use vas_gate::{Limit, Rate, State, decide};
use vas_replay::{Recording, Replay, SubscriptionsError, read_subscriptions, report};

use crate::metadata::Metadata;
use crate::rate::MaxRate;

/// Whether a subscription may have a frame, and why. True if it may.
#[pyclass(frozen, eq, hash, module = "vas_frames")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Decision {
    allowed: bool,
    reason: &'static str,
}

#[pymethods]
impl Decision {
    /// Whether the subscription may have the frame.
    #[getter]
    fn allowed(&self) -> bool {
        self.allowed
    }

    /// Why, as one word: "elapsed", "first_frame", "too_soon" and others.
    #[getter]
    fn reason(&self) -> &'static str {
        self.reason
    }

    fn __bool__(&self) -> bool {
        self.allowed
    }

    fn __repr__(&self) -> String {
        let word = if self.allowed { "allow" } else { "skip" };
        format!("<vas.Decision {word} {}>", self.reason)
    }
}

impl From<vas_gate::Decision> for Decision {
    fn from(decision: vas_gate::Decision) -> Self {
        match decision {
            vas_gate::Decision::Allow(why) => Self { allowed: true, reason: why.name() },
            vas_gate::Decision::Skip(why) => Self { allowed: false, reason: why.name() },
        }
    }
}

impl From<ruth_core::Verdict> for Decision {
    fn from(verdict: ruth_core::Verdict) -> Self {
        Self { allowed: verdict.is_allow(), reason: verdict.reason() }
    }
}

/// One subscription's gate. See the package's documentation.
#[pyclass(frozen, module = "vas_frames")]
pub(crate) struct Gate {
    rate: MaxRate,
    limit: Limit,
    state: Mutex<State>,
}

#[pymethods]
impl Gate {
    #[new]
    #[pyo3(signature = (max_fps = MaxRate::EVERY), text_signature = "(max_fps=None)")]
    fn new(max_fps: MaxRate) -> Self {
        Self { rate: max_fps, limit: max_fps.limit(), state: Mutex::default() }
    }

    /// Whether the subscription may have this frame, and why. Changes nothing.
    fn decide(&self, frame: &Metadata) -> Decision {
        decide(&lock(&self.state), &self.limit, frame.meta().into()).into()
    }

    /// Records that the model got this frame: later decisions count from it.
    fn dispatched(&self, frame: &Metadata) {
        lock(&self.state).dispatched(frame.meta().into());
    }

    /// The highest frame rate as an exact fraction, such as "5" or "30000/1001"; None without one.
    #[getter]
    fn max_fps(&self) -> Option<String> {
        self.rate.text()
    }

    fn __repr__(&self) -> String {
        format!("<vas.Gate {}>", self.rate.words())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The agents of the cameras that a subscriptions file names. See the package's documentation.
#[pyclass(frozen, module = "vas_frames")]
pub(crate) struct Subscriptions {
    registry: Mutex<Registry>,
}

/// Reads a subscriptions file: an agent for each camera, started, with a subscription for each model.
///
/// Raises ValueError, with each problem and its line, if something in it is wrong; OSError if it can't be read.
#[pyfunction]
pub(crate) fn subscriptions(path: PathBuf) -> PyResult<Subscriptions> {
    let mut registry = Registry::default();
    for wanted in read(&path)? {
        // Refused for a camera's second subscription on: its agent is there and runs.
        if let Ok(agent) = registry.create(wanted.camera.clone()) {
            agent.start().map_err(value_error)?;
        }
        let agent = registry.agent_mut(&wanted.camera);
        let agent = agent.ok_or_else(|| unknown_camera(wanted.camera.as_str()))?;
        agent.subscribe(wanted.model.clone(), wanted.limit).map_err(value_error)?;
        if !wanted.active {
            agent.deactivate(&wanted.model).map_err(value_error)?;
        }
    }
    Ok(Subscriptions { registry: Mutex::new(registry) })
}

fn read(path: &Path) -> PyResult<Vec<vas_replay::Wanted>> {
    read_subscriptions(path).map_err(|error| match &error {
        SubscriptionsError::Read { source, .. } => match source.raw_os_error() {
            Some(code) => PyOSError::new_err((code, error.to_string())),
            None => PyOSError::new_err(error.to_string()),
        },
        SubscriptionsError::Problems(_) => value_error(error),
    })
}

fn value_error(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn unknown_camera(camera: &str) -> PyErr {
    PyKeyError::new_err(format!("no subscription to camera {camera}"))
}

impl Subscriptions {
    /// Calls `with` with the agent of a camera.
    fn agent<T>(
        &self,
        camera: &str,
        with: impl FnOnce(&mut StreamAgent) -> PyResult<T>,
    ) -> PyResult<T> {
        let id = CameraId::new(camera).map_err(value_error)?;
        let mut registry = lock(&self.registry);
        with(registry.agent_mut(&id).ok_or_else(|| unknown_camera(camera))?)
    }

    /// Calls `with` with the agent of a frame's camera, bound to the frame's epoch if that is the latest.
    fn agent_of<T>(
        &self,
        frame: &Metadata,
        with: impl FnOnce(&mut StreamAgent) -> PyResult<T>,
    ) -> PyResult<T> {
        self.agent(frame.camera_id(), |agent| {
            let meta = frame.meta();
            if agent.binding().is_none_or(|bound| bound.epoch < meta.epoch) {
                let binding = FrameBinding {
                    path: frame.camera_id().to_owned(),
                    epoch: meta.epoch,
                    width: meta.width,
                    height: meta.height,
                };
                agent.bind(binding).map_err(value_error)?;
            }
            with(agent)
        })
    }
}

fn model_id(model: &str) -> PyResult<ModelId> {
    ModelId::new(model).map_err(value_error)
}

#[pymethods]
impl Subscriptions {
    /// The cameras that have subscriptions, sorted.
    #[getter]
    fn cameras(&self) -> Vec<String> {
        lock(&self.registry).agents().map(|agent| agent.camera_id().to_string()).collect()
    }

    /// The models subscribed to a camera, sorted. Raises KeyError for a camera without subscriptions.
    fn models(&self, camera: &str) -> PyResult<Vec<String>> {
        self.agent(camera, |agent| {
            Ok(agent.subscriptions().map(|(model, _)| model.to_string()).collect())
        })
    }

    /// The highest rate that a camera's active subscriptions have, for `open(camera, max_fps=...)`; None if one of them
    /// has no maximum. Raises KeyError for a camera without subscriptions.
    fn max_fps(&self, camera: &str) -> PyResult<Option<String>> {
        self.agent(camera, |agent| {
            let active = agent.subscriptions().filter(|(_, subscription)| subscription.is_active());
            let mut highest: Option<Rate> = None;
            for (_, subscription) in active {
                let Some(rate) = subscription.limit().rate() else { return Ok(None) };
                let faster = |than: Rate| {
                    u64::from(rate.num()) * u64::from(than.den())
                        > u64::from(than.num()) * u64::from(rate.den())
                };
                if highest.is_none_or(faster) {
                    highest = Some(rate);
                }
            }
            Ok(highest.map(|rate| rate.to_string()))
        })
    }

    /// Whether a model may have this frame, and why. Binds the camera's agent to the frame's epoch if that is the latest;
    /// changes nothing else. Raises KeyError for a camera without subscriptions.
    fn decide(&self, model: &str, frame: &Metadata) -> PyResult<Decision> {
        let model = model_id(model)?;
        self.agent_of(frame, |agent| Ok(agent.decide(&model, frame.meta().into()).into()))
    }

    /// The models that may have this frame, sorted; as `decide` for each.
    fn allowed(&self, frame: &Metadata) -> PyResult<Vec<String>> {
        self.agent_of(frame, |agent| {
            let each = agent.decide_each(frame.meta().into());
            Ok(each
                .filter(|(_, verdict)| verdict.is_allow())
                .map(|(model, _)| model.to_string())
                .collect())
        })
    }

    /// Records that a model got this frame: later decisions count from it. Raises ValueError if the model has no
    /// subscription to the frame's camera, KeyError for a camera without subscriptions.
    fn dispatched(&self, model: &str, frame: &Metadata) -> PyResult<()> {
        let model = model_id(model)?;
        self.agent_of(frame, |agent| {
            agent.record_dispatch(&model, frame.meta().into()).map_err(value_error)
        })
    }

    /// Switches a subscription on. Raises ValueError if there is none.
    fn activate(&self, camera: &str, model: &str) -> PyResult<()> {
        let model = model_id(model)?;
        self.agent(camera, |agent| agent.activate(&model).map_err(value_error))
    }

    /// Switches a subscription off; what it was given stays on record. Raises ValueError if there is none.
    fn deactivate(&self, camera: &str, model: &str) -> PyResult<()> {
        let model = model_id(model)?;
        self.agent(camera, |agent| agent.deactivate(&model).map_err(value_error))
    }

    fn __repr__(&self) -> String {
        let registry = lock(&self.registry);
        let of = |agent: &StreamAgent| {
            let models: Vec<_> = agent.subscriptions().map(|(model, _)| model.as_str()).collect();
            format!("{}: {}", agent.camera_id(), models.join(", "))
        };
        let agents: Vec<_> = registry.agents().map(of).collect();
        format!("<vas.Subscriptions {}>", agents.join("; "))
    }
}

/// Shows recorded metadata (lines of `vas watch --json`) to the subscriptions of a file, as `vas gate replay` does.
///
/// Returns a dict for each subscription, with the keys of `vas gate replay --json`. `explain`, if given, is called with a
/// dict for each answer. Raises ValueError for an invalid file, OSError for one that can't be read.
#[pyfunction]
#[pyo3(signature = (recording, subscriptions, *, explain = None))]
pub(crate) fn gate_replay<'py>(
    py: Python<'py>,
    recording: PathBuf,
    subscriptions: PathBuf,
    explain: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyList>> {
    let loads = py.import("json")?.getattr("loads")?;
    let mut replay = Replay::new(&read(&subscriptions)?);
    for frame in Recording::new(BufReader::new(File::open(&recording)?)) {
        let frame =
            frame.map_err(|error| value_error(format!("{}: {error}", recording.display())))?;
        let mut called = Ok(());
        replay.show(&frame, |model, verdict| {
            if let Some(explain) = explain
                && called.is_ok()
            {
                let answer = loads.call1((report::explained_json(&frame, model, verdict),));
                called = answer.and_then(|answer| explain.call1((answer,))).map(drop);
            }
        });
        called?;
        py.check_signals()?;
    }
    let summaries = PyList::empty(py);
    for (camera, tally) in replay.tallies() {
        summaries.append(loads.call1((report::json(camera, tally),))?.cast_into::<PyDict>()?)?;
    }
    Ok(summaries)
}
