//! What every call of the simulated device passes through: configuration, faults, log and misuse
//! checks.

pub(crate) mod abi;
pub(crate) mod api;
pub(crate) mod config;
pub(crate) mod control;
pub(crate) mod delay;
pub(crate) mod exit;
pub(crate) mod fault;
pub(crate) mod log;
pub(crate) mod misuse;
pub(crate) mod registry;
pub(crate) mod site;
pub(crate) mod status;
pub(crate) mod thread;

pub(crate) use vas_sim_common::lock;
