//! What every call of the simulated driver passes through: settings, faults, log and misuse checks.

pub(crate) mod abi;
mod api;
pub(crate) mod config;
mod control;
pub(crate) mod exit;
pub(crate) mod fault;
mod log;
pub(crate) mod misuse;
pub(crate) mod node;
pub(crate) mod registry;
pub(crate) mod site;
pub(crate) mod status;
mod thread;
pub(crate) mod wait;

pub(crate) use vas_sim_common::lock;
