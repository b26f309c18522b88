//! Access units: what kind of picture a packet holds, and which pictures a loss may have spoilt.

mod kind;
mod loss;
mod nal;
pub(crate) mod picture_parameters;

pub(crate) use kind::Units;
pub(crate) use loss::{Coming, LossTracker};
