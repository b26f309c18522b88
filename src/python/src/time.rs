//! Waits, as Python states them.

use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// How often a waiting call lets Python handle signals: Ctrl-C works within this time.
pub(crate) const SIGNALS: Duration = Duration::from_millis(50);

/// A timeout that Python states in seconds; None is without a limit.
pub(crate) fn seconds(name: &str, value: Option<f64>) -> PyResult<Option<Duration>> {
    let Some(value) = value else { return Ok(None) };
    match Duration::try_from_secs_f64(value) {
        Ok(time) => Ok(Some(time)),
        // Infinity, and what no clock counts to.
        Err(_) if value > 0.0 => Ok(Some(Duration::MAX)),
        Err(_) => Err(PyValueError::new_err(format!(
            "{name} is {value}, expected seconds, 0 or more, or None"
        ))),
    }
}
