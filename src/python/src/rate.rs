//! `max_fps`, as Python states it.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use vas_frame::MaxFps;
use vas_gate::{Limit, Rate};

/// The highest frame rate that a reader wants: nothing, an `int`, a `float`, a `fractions.Fraction`, or text such as
/// `"30000/1001"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MaxRate(Option<Rate>);

impl MaxRate {
    /// Without a maximum.
    pub(crate) const EVERY: Self = Self(None);

    /// The limit for the gate.
    pub(crate) fn limit(self) -> Limit {
        self.0.map_or(Limit::UNLIMITED, Limit::at_most)
    }

    /// What the reader asks of the service.
    pub(crate) fn demand(self) -> Option<MaxFps> {
        self.0.and_then(|rate| MaxFps::new(rate.num(), rate.den()))
    }

    /// As text that is read back as the same rate; `None` without a maximum.
    pub(crate) fn text(self) -> Option<String> {
        self.0.map(|rate| rate.to_string())
    }

    /// `at most 5 fps`, `every frame`
    pub(crate) fn words(self) -> String {
        self.0.map_or_else(|| "every frame".into(), |rate| format!("at most {rate} fps"))
    }
}

impl<'py> FromPyObject<'_, 'py> for MaxRate {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if object.is_none() {
            return Ok(Self(None));
        }
        if object.is_instance_of::<pyo3::types::PyBool>() {
            return Err(PyTypeError::new_err("max_fps is a bool, expected a number"));
        }
        let text = object.str()?;
        let exact: Option<Rate> = text.to_str()?.parse().ok();
        let rate = exact.or_else(|| rounded(object.extract().ok()?));
        let rate = rate.filter(|rate| MaxFps::new(rate.num(), rate.den()).is_some());
        rate.map(|rate| Self(Some(rate))).ok_or_else(|| {
            PyValueError::new_err(format!(
                "max_fps is {text}, expected a number above 0 and up to 1000000, or a fraction such as \"30000/1001\""
            ))
        })
    }
}

/// A rate such as a third of a frame a second, which no decimal states exactly, to a millionth.
fn rounded(fps: f64) -> Option<Rate> {
    const PARTS: f64 = 1e6;
    let parts = (fps * PARTS).round();
    (1.0..=f64::from(u32::MAX)).contains(&parts).then(|| Rate::new(parts as u32, PARTS as u32))?
}
