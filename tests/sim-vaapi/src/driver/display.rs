//! Displays: what `vaInitialize` opens and `vaTerminate` closes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::{buffer, context, image, surface};
use crate::libva::abi::DriverContext;
use crate::sim::lock;
use crate::sim::misuse::{Kind, report};
use crate::sim::node::Node;
use crate::sim::site::calls;

/// An open display.
pub(crate) struct Display {
    pub(crate) number: usize,
    pub(crate) node: Arc<Node>,
}

static DISPLAYS: Mutex<BTreeMap<usize, Arc<Display>>> = Mutex::new(BTreeMap::new());

/// Opens a display and returns its number, never 0.
pub(crate) fn create(node: &Arc<Node>) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    if node.displays.now() > 0 {
        report(Kind::SecondDisplay, format_args!("{} has a display already", node.name));
    }
    node.displays.add(1);
    lock(&DISPLAYS).insert(number, Arc::new(Display { number, node: Arc::clone(node) }));
    number
}

/// The display of a driver context.
pub(crate) fn of(context: *mut DriverContext) -> Option<Arc<Display>> {
    // SAFETY: libva passes the context of an initialised display, or frees it after vaTerminate.
    let number = unsafe { context.as_ref() }?.driver_data;
    lock(&DISPLAYS).get(&number).cloned()
}

/// The displays that are open.
pub(crate) fn open() -> Vec<Arc<Display>> {
    lock(&DISPLAYS).values().cloned().collect()
}

calls! {
    /// Reports as leaks what the program left, and destroys it.
    fn vaTerminate() |call| {
        let display = call.display;
        image::IMAGES.end(display);
        buffer::BUFFERS.end(display);
        context::CONTEXTS.end(display);
        context::CONFIGS.end(display);
        surface::SURFACES.end(display);
        if lock(&DISPLAYS).remove(&display.number).is_some() {
            display.node.displays.subtract(1);
        }
        Ok(())
    }
}
