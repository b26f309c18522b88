//! Which cameras there are.

use std::path::PathBuf;

use pyo3::prelude::*;
use vas_frame::DEFAULT_DIR;

/// The ids of the cameras that are exported, sorted.
#[pyfunction]
#[pyo3(signature = (dir = None))]
pub(crate) fn cameras(dir: Option<PathBuf>) -> PyResult<Vec<String>> {
    let dir = dir.unwrap_or_else(|| DEFAULT_DIR.into());
    let mut ids = Vec::new();
    let entries = match std::fs::read_dir(&dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(ids),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if let Ok(id) = entry.file_name().into_string()
            && entry.path().join("readers").exists()
        {
            ids.push(id);
        }
    }
    ids.sort();
    Ok(ids)
}
