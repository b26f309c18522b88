//! The writer's side: exclusive directories, admitted memory, and a ring that never waits.

mod access;
mod admission;
mod cgroup;
mod exclusion;
mod export;
mod files;
mod notifier;
mod notifier_handle;
mod options;
mod pages;
mod predecessor;
mod refused;
mod retired;
mod ring;
mod root;
mod sweep;
mod watcher;

pub use access::Access;
pub use admission::{MemoryLimit, MemoryScope, Shortage, check_memory, memory_limits};
pub use export::{CameraExport, OpenRing};
pub use notifier::Notifier;
#[cfg(loom)]
pub(crate) use notifier_handle::NotifierHandle;
pub use options::{FrameRate, RingOptions};
#[cfg(loom)]
pub(crate) use pages::Mapping;
pub use pages::RingPages;
pub use refused::{PictureTooSmall, Refused};
#[cfg(loom)]
pub(crate) use ring::Ring;
pub use ring::{ClaimedSlot, RingWriter};
pub use root::ExportRoot;
pub use sweep::sweep;
pub use watcher::{Watch, WatchEvent, WatchId, Watcher};
