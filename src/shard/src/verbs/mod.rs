//! The commands of `vas` that connect to a camera: one file a verb, and what they share.

mod probe;
pub(crate) mod producer_parameters;
mod profile;
mod stanza;
pub(crate) mod r#try;

pub(crate) use probe::ProbeError;
pub(crate) use profile::NoParameters;
