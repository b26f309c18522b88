//! The promises made to users, one module each, tested against real parts.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bare;
mod calls;
mod cameras;
mod current;
mod decode;
mod demand;
mod descriptors;
mod flag;
mod frame_path;
mod gate;
mod gpu;
mod idle;
mod memory;
mod pixels;
mod plan;
mod producer;
mod producer_reload;
mod producer_start;
mod programs;
mod readers;
mod reconnect;
mod record;
mod record_sound;
mod reload;
mod removal;
mod secrets;
mod shards;
mod size_change;
mod status;
mod stopping;
mod systemd;
mod telemetry;
mod vaapi;
mod without_tap;
