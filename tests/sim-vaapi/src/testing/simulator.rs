//! The driver in this process.

use std::ops::Deref;
use std::path::PathBuf;

use vas_sim_common::testing::Library;

use super::session::node_in;

/// The simulated driver that this process has loaded, with what [`Library`] offers.
///
/// Its settings are those of the README. Its levels are `displays`, `surfaces`, `surface_bytes` and `contexts`, each with
/// `@renderD128` for one node alone, `configs`, `buffers`, `images`, `mapped` and `read_bytes`.
#[derive(Clone, Copy, Debug)]
pub struct Simulator(Library);

impl Simulator {
    /// The driver of this process.
    ///
    /// # Panics
    /// If `libva-drm.so.2` is not found or is not the simulated one.
    pub fn of_this_process() -> Self {
        Self(Library::of_this_process(c"libva-drm.so.2", "sim_va_"))
    }

    /// The path of a node, from 0 on.
    ///
    /// # Panics
    /// If the process has no nodes.
    pub fn node(&self, index: usize) -> PathBuf {
        let dir = std::env::var_os("SIM_VA_NODES").expect("a process with nodes");
        node_in(&PathBuf::from(dir), index)
    }
}

impl Deref for Simulator {
    type Target = Library;

    fn deref(&self) -> &Library {
        &self.0
    }
}
