//! The Python package `vas_frames`: decoded camera frames as numpy arrays and as inputs of models.
//!
//! This is the edge between Python and `vas-frame`, which reads the frames, and `vas-gate`, which decides which of
//! them a model may have. The package's own documentation is in its docstrings, in `python/vas_frames/` and in
//! `docs/guide/python.md`.
//!
//! House rules for `unsafe`. Memory that Python sees is kept by the object that is an array's base, for as long as the
//! array exists, and never moves. No Rust reference to it is made after that: other threads may write it through their
//! arrays, and the writer of the ring may overwrite it; it is read through `vas_frame::RawPlane`. The exception is an array
//! that a call was given to fill (`out`): for the call it is a Rust slice, under numpy's borrow checks, which other
//! threads of the program must not use meanwhile, as with any function that works without the GIL.

use pyo3::prelude::*;

mod aligned;
mod batch;
mod camera;
mod convert;
mod errors;
mod frame;
mod gate;
mod lent;
mod listing;
mod member;
mod metadata;
mod planes;
mod pool;
mod rate;
mod reading;
mod site;
mod tensors;
mod time;
mod view;
mod waiter;

/// What `vas_frames` exports. Its names and docstrings are in `python/vas_frames/__init__.py`.
#[pymodule(gil_used = false)]
mod _native {
    use numpy::{PyArray1, PyArrayMethods as _};
    use pyo3::prelude::*;

    /// Loads numpy's two interfaces for C now: a signal during the first call that needs one would be a panic.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        PyArray1::<u8>::zeros(module.py(), 1, false).try_readwrite()?;
        Ok(())
    }

    #[pymodule_export]
    use crate::aligned::Aligned;
    #[pymodule_export]
    use crate::batch::Row;
    #[pymodule_export]
    use crate::camera::Camera;
    #[pymodule_export]
    use crate::frame::Frame;
    #[pymodule_export]
    use crate::gate::{Decision, Gate, Subscriptions, gate_replay, subscriptions};
    #[pymodule_export]
    use crate::listing::cameras;
    #[pymodule_export]
    use crate::metadata::Metadata;
    #[pymodule_export]
    use crate::site::Site;
    #[pymodule_export]
    use crate::view::View;
    #[pymodule_export]
    use crate::waiter::{_stop_waiter, WaitPoint};
}
