//! VA-API: finds render nodes, and opens one display for each, which FFmpeg's decoders and downloads share.
//!
//! Any call of a driver may hang. Nothing here guards against that: callers run these on threads that nothing else
//! waits for.

mod error;
mod map;
mod nodes;
mod release;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError, Weak};
use std::time::Duration;

use ffmpeg_sys_next as ffi;
use ffmpeg_sys_next::AVPixelFormat::{AV_PIX_FMT_NV12, AV_PIX_FMT_VAAPI};

use crate::av::{Options, check, init};
use crate::log;
pub use error::VaapiError;
pub use nodes::{RenderNode, render_node_of, render_nodes};

/// A render node in use: one display (VADisplay) in a process, however many decoders and downloads use it. It is closed
/// when this and every frame that was decoded with it are gone.
pub struct VaapiDevice {
    health: Arc<NodeHealth>,
    hardware: Hardware,
}

/// What is known of a node that is or was open. Holding it does not keep the node open, and nothing here calls a driver.
#[derive(Debug)]
pub struct NodeHealth {
    node: RenderNode,
    words: String,
    /// The error with which the node was first found lost.
    lost: OnceLock<VaapiError>,
}

impl NodeHealth {
    /// The node.
    pub fn node(&self) -> &RenderNode {
        &self.node
    }

    /// Marks the node as lost, permanently. Decoders on it fail from now on, and it can't be opened again until all
    /// users have dropped it.
    fn mark_lost(&self, cause: String) {
        let _first = self.lost.set(VaapiError::Lost { node: self.words.clone(), cause });
    }

    /// Whether the node is not marked as lost.
    ///
    /// # Errors
    /// [`VaapiError::Lost`].
    pub fn known(&self) -> Result<(), VaapiError> {
        self.lost.get().map_or(Ok(()), |lost| Err(lost.clone()))
    }
}

/// FFmpeg's reference to the display (AVHWDeviceContext).
struct Hardware(NonNull<ffi::AVBufferRef>);

// SAFETY: the count is atomic and the device is not written after it was created; FFmpeg's decoders and frames use it
// from any thread, and libva's displays may be used so.
unsafe impl Send for Hardware {}
// SAFETY: as above; a shared reference is only used to create another reference.
unsafe impl Sync for Hardware {}

impl Drop for Hardware {
    fn drop(&mut self) {
        let mut pointer = self.0.as_ptr();
        // SAFETY: our own reference, dropped once.
        unsafe { ffi::av_buffer_unref(&mut pointer) };
    }
}

/// libva's words for `VA_STATUS_ERROR_ALLOCATION_FAILED`.
const NO_MEMORY: &str = "resource allocation failed";

/// A node that was opened.
#[derive(Default)]
struct Entry {
    /// Locked while it is opened, which may take for ever.
    opening: Mutex<()>,
    /// Never locked during a call of a driver.
    current: Mutex<Option<Current>>,
    /// It was seen to hang while it was opened.
    hangs: AtomicBool,
}

/// A node's display, perhaps closed by now.
#[derive(Clone)]
struct Current {
    device: Weak<VaapiDevice>,
    health: Arc<NodeHealth>,
}

impl Entry {
    fn of(minor: u32) -> Option<Arc<Self>> {
        OPEN.lock().unwrap_or_else(PoisonError::into_inner).get(&minor).cloned()
    }

    /// The display that is open.
    fn current(&self) -> Option<Current> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.clone().filter(|current| current.device.strong_count() > 0)
    }
}

/// The nodes that were opened, by their numbers.
static OPEN: Mutex<BTreeMap<u32, Arc<Entry>>> = Mutex::new(BTreeMap::new());

impl VaapiDevice {
    /// The open node of this number, if there is one. Never waits for a driver. Whoever drops the result may be the last
    /// to do so, and then waits for the driver: see [`find_health`](Self::find_health).
    pub fn find(minor: u32) -> Option<Arc<Self>> {
        Entry::of(minor)?.current()?.device.upgrade()
    }

    /// As [`find`](Self::find), for threads that must not close the node: a reference that does not keep it open, and
    /// what is known of it.
    pub fn find_health(minor: u32) -> Option<(Weak<Self>, Arc<NodeHealth>)> {
        let Current { device, health } = Entry::of(minor)?.current()?;
        Some((device, health))
    }

    /// Notes that a call on this node has not returned for so long, and returns the error. Its other users fail from now
    /// on, without a call. Never waits for a driver.
    pub fn hangs(node: &RenderNode, within: Duration) -> VaapiError {
        let cause = format!("a call of its driver did not return within {} s", within.as_secs());
        if let Some(entry) = Entry::of(node.minor) {
            match entry.current() {
                Some(current) => current.health.mark_lost(cause.clone()),
                // It is being opened.
                None => entry.hangs.store(true, Ordering::Relaxed),
            }
        }
        VaapiError::Lost { node: node.to_string(), cause }
    }

    /// Opens a render node; all users of the same node share what this returns.
    ///
    /// # Errors
    /// [`VaapiError::NoPermission`], [`VaapiError::NoDriver`], [`VaapiError::Lost`] while a lost node is still held,
    /// [`VaapiError::Unsupported`] if this FFmpeg was built without VA-API.
    pub fn open(node: &RenderNode) -> Result<Arc<Self>, VaapiError> {
        let entry = {
            let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(open.entry(node.minor).or_default())
        };
        // A driver that hangs while it is opened keeps the lock of its node alone.
        let _turn = match entry.opening.try_lock() {
            Err(TryLockError::WouldBlock) if entry.hangs.load(Ordering::Relaxed) => {
                let cause = "its driver hangs while it is opened".into();
                return Err(VaapiError::Lost { node: node.to_string(), cause });
            }
            Err(TryLockError::WouldBlock) => {
                entry.opening.lock().unwrap_or_else(PoisonError::into_inner)
            }
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Ok(turn) => turn,
        };
        entry.hangs.store(false, Ordering::Relaxed);
        if let Some(device) = entry.current().and_then(|current| current.device.upgrade()) {
            device.known_health()?;
            return Ok(device);
        }
        let device = Arc::new(Self::create(node)?);
        let current =
            Current { device: Arc::downgrade(&device), health: Arc::clone(&device.health) };
        *entry.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(current);
        Ok(device)
    }

    fn create(node: &RenderNode) -> Result<Self, VaapiError> {
        init();
        node.check_access()?;
        let words = node.to_string();
        let path = CString::new(node.path.as_os_str().as_bytes()).map_err(|error| {
            VaapiError::Failed { node: words.clone(), cause: error.to_string() }
        })?;
        let mut options = Options::new();
        // Otherwise FFmpeg also tries an X server of that name.
        options.set(c"connection_type", c"drm");
        let mut device = ptr::null_mut();
        // SAFETY: FFmpeg writes a reference of ours, or none; path and options are valid for the call.
        let code = log::capture(|| unsafe {
            ffi::av_hwdevice_ctx_create(
                &mut device,
                ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_VAAPI,
                path.as_ptr(),
                *options.as_mut_ptr(),
                0,
            )
        });
        match (check(code), NonNull::new(device)) {
            (Ok(_), Some(device)) => {
                tracing::info!("opened {words} for VA-API");
                let health = NodeHealth { node: node.clone(), words, lost: OnceLock::new() };
                Ok(Self { health: Arc::new(health), hardware: Hardware(device) })
            }
            (Err(error), _) if error.code() == -libc::ENOMEM && log::captured().is_empty() => {
                // FFmpeg knows no such kind of device.
                Err(VaapiError::Unsupported { what: "this FFmpeg was built without VA-API".into() })
            }
            (failed, _) => {
                let error =
                    failed.err().map_or_else(|| "no device".into(), |error| error.to_string());
                let lines = log::captured();
                let cause = if lines.is_empty() { error } else { lines.join("; ") };
                Err(VaapiError::NoDriver { node: words, cause })
            }
        }
    }

    /// The node.
    pub fn node(&self) -> &RenderNode {
        &self.health.node
    }

    /// The node in words.
    pub(crate) fn words(&self) -> &str {
        &self.health.words
    }

    /// Whether the node is not marked as lost. Makes no driver call.
    ///
    /// # Errors
    /// [`VaapiError::Lost`].
    pub fn known_health(&self) -> Result<(), VaapiError> {
        self.health.known()
    }

    /// Whether the node still works, after a call failed: VA-API has no call that asks, so this creates a small surface.
    /// Marks the node as lost if that fails, unless the node only has no memory left.
    ///
    /// # Errors
    /// [`VaapiError::Lost`].
    pub fn health(&self) -> Result<(), VaapiError> {
        self.known_health()?;
        // SAFETY: a valid device; the frames context is ours and freed here.
        let (code, has_no_memory) = log::logs(NO_MEMORY, || unsafe {
            let mut frames = ffi::av_hwframe_ctx_alloc(self.hardware.0.as_ptr());
            if frames.is_null() {
                // Out of memory. This does not mean that the node fails.
                return 0;
            }
            let pool = (*frames).data.cast::<ffi::AVHWFramesContext>();
            (*pool).format = AV_PIX_FMT_VAAPI;
            (*pool).sw_format = AV_PIX_FMT_NV12;
            ((*pool).width, (*pool).height) = (64, 64);
            (*pool).initial_pool_size = 1;
            let code = ffi::av_hwframe_ctx_init(frames);
            ffi::av_buffer_unref(&mut frames);
            code
        });
        let Err(error) = check(code) else { return Ok(()) };
        // FFmpeg's code is the same for all of the driver's; its line in the log has the driver's status.
        if has_no_memory {
            return Ok(());
        }
        self.health.mark_lost(format!("it can't create a surface ({error})"));
        self.known_health()
    }

    /// A new reference, owned by the caller's decoder.
    pub(crate) fn hardware_ref(&self) -> *mut ffi::AVBufferRef {
        // SAFETY: a valid reference with an atomic count; null when out of memory, which FFmpeg's decoders treat as no
        // device.
        unsafe { ffi::av_buffer_ref(self.hardware.0.as_ptr()) }
    }
}

impl fmt::Debug for VaapiDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaapiDevice").field("node", &self.words()).finish_non_exhaustive()
    }
}
