//! The process's end: leaks and totals.

use std::sync::Once;

use vas_sim_common::Peak;

use super::misuse::{Kind, remark, report};
use super::{config::config, registry::Registry, site};
use crate::driver::{context, copy, device, event, host, kernels, memory, module, stream};
use crate::nvcuvid::{decoder, lock as context_lock};

/// Runs when the process exits: the library is linked so that it is never unloaded.
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = at_exit;

extern "C" fn at_exit() {
    let calls = site::calls("*");
    if calls == 0 {
        // A program that links the device's support code, but did not use the device.
        return;
    }
    let leaks = report_leaks();
    remark(format_args!(
        "end of pid {}: {calls} calls, {leaks} leaks, peaks: {} contexts, {} decoders, {} maps, \
         {} pinned bytes; {} bytes copied",
        std::process::id(),
        context::CONTEXTS.count.peak(),
        decoder::DECODERS.count.peak(),
        decoder::MAPPED.peak(),
        host::PINNED.peak(),
        copy::COPIED.now(),
    ));
}

/// Writes into the report, once, that the simulated device is in use.
pub(crate) fn report_start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let (pid, devices, seed) = (std::process::id(), config().devices, config().seed);
        let kernels = kernels::FROM.unwrap_or("nothing");
        remark(format_args!(
            "simulated GPU in pid {pid}: {devices} devices, seed {seed}, kernels from {kernels}"
        ));
    });
}

/// Reports everything created and not released; returns the number.
pub(crate) fn report_leaks() -> usize {
    leaks_of("context", &context::CONTEXTS)
        + leaks_of("stream", &stream::STREAMS)
        + leaks_of("event", &event::EVENTS)
        + leaks_of("module", &module::MODULES)
        + leaks_of("decoder", &decoder::DECODERS)
        + leaks_of("context lock", &context_lock::LOCKS)
        + leaked("pinned range", host::leaks())
        + leaked("device memory", memory::leaks())
}

/// A level for tests, by name: `contexts`, `device_bytes`, ... with the prefix `peak_` for the highest
/// value.
pub(crate) fn level(name: &str) -> Option<u64> {
    let (name, pick): (&str, fn(&Peak) -> u64) = match name.strip_prefix("peak_") {
        Some(name) => (name, Peak::peak),
        None => (name, Peak::now),
    };
    let level = match name {
        "contexts" => &context::CONTEXTS.count,
        "streams" => &stream::STREAMS.count,
        "modules" => &module::MODULES.count,
        "events" => &event::EVENTS.count,
        "decoders" => &decoder::DECODERS.count,
        "maps" => &decoder::MAPPED,
        "pinned_bytes" => &host::PINNED,
        "copied_bytes" => &copy::COPIED,
        "pending_copies" => &copy::PENDING,
        "device_bytes" => return Some(device::all().iter().map(|device| pick(&device.used)).sum()),
        _ => return None,
    };
    Some(pick(level))
}

fn leaks_of<T>(kind: &str, registry: &Registry<T>) -> usize {
    leaked(kind, registry.all().iter().map(|(handle, _)| format!("{:#x}", handle.0)).collect())
}

fn leaked(kind: &str, items: Vec<String>) -> usize {
    for item in &items {
        report(Kind::Leak, format_args!("{kind} {item}"));
    }
    items.len()
}
