//! The process's end: leaks and totals.

use std::sync::Once;
use std::sync::atomic::Ordering;

use vas_sim_common::Peak;

use super::misuse::{self, Kind, remark, report};
use super::{config::config, node, site};
use crate::driver::{buffer, context, display, image, surface};

/// Runs when the process exits: the library is linked so that it is never unloaded.
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = at_exit;

extern "C" fn at_exit() {
    let calls = site::count("*");
    if calls == 0 {
        // A program that links the support code, but did not use the driver.
        return;
    }
    for display in display::open() {
        report(Kind::Leak, format_args!("display of {}: no vaTerminate", display.node.name));
    }
    let leaks = misuse::found().iter().filter(|line| line.starts_with("leak:")).count();
    remark(format_args!(
        "end of pid {}: {calls} calls, {leaks} leaks, peaks: {} surfaces, {} images; {} bytes read",
        std::process::id(),
        surface::SURFACES.count.peak(),
        image::IMAGES.count.peak(),
        image::READ.load(Ordering::Relaxed),
    ));
}

/// Writes into the report, once, that the simulated driver is in use.
pub(crate) fn report_start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let (pid, nodes, seed) = (std::process::id(), node::all().len(), config().seed);
        remark(format_args!("simulated VA-API in pid {pid}: {nodes} nodes, seed {seed}"));
    });
}

/// A level for tests, by name: `surfaces`, `surface_bytes@renderD128`, ...; with the prefix `peak_` the
/// highest value.
pub(crate) fn level(name: &str) -> Option<u64> {
    let (name, pick): (&str, fn(&Peak) -> u64) = match name.strip_prefix("peak_") {
        Some(name) => (name, Peak::peak),
        None => (name, Peak::now),
    };
    let (name, only) = match name.split_once('@') {
        Some((name, node)) => (name, Some(node::named(node)?)),
        None => (name, None),
    };
    let level_of: fn(&node::Node) -> &Peak = match name {
        "displays" => |node| &node.displays,
        "surfaces" => |node| &node.surfaces,
        "surface_bytes" => |node| &node.memory,
        "contexts" => |node| &node.contexts,
        "buffers" => return Some(pick(&buffer::BUFFERS.count)),
        "images" => return Some(pick(&image::IMAGES.count)),
        "mapped" => return Some(pick(&buffer::MAPPED)),
        "configs" => return Some(pick(&context::CONFIGS.count)),
        "read_bytes" => return Some(image::READ.load(Ordering::Relaxed)),
        _ => return None,
    };
    let nodes = node::all().iter().filter(|node| only.is_none_or(|only| only.name == node.name));
    Some(nodes.map(|node| pick(level_of(node))).sum())
}
