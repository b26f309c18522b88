//! The replacement for libva-drm: a display for a descriptor of one of `SIM_VA_NODES`.
//!
//! House rules. A display context here is one that libva's `va_newDisplayContext` allocated, with the driver
//! context and the DRM state of [`create`].

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

use super::abi::{DisplayContext, DriverContext, DrmState};
use crate::sim::node;
use crate::sim::site::Site;
use crate::sim::status::Status;

/// libva finds `sim_drv_video.so` by this.
const NAME: &CStr = c"sim";
/// `VA_DISPLAY_DRM_RENDERNODES` (va_backend.h).
const DISPLAY_DRM_RENDERNODES: u64 = 0x31;

type Get = extern "C" fn(c_int) -> *mut DisplayContext;

/// What libavutil calls. A test's own program has this function too, and may be asked in place of the shared
/// library; it hands the call to whatever `libva-drm.so.2` is in use, simulated or real.
#[unsafe(no_mangle)]
extern "C" fn vaGetDisplayDRM(fd: c_int) -> *mut DisplayContext {
    let Some(library) = open(c"libva-drm.so.2") else { return std::ptr::null_mut() };
    let function = match symbol(library, c"sim_va_get_display") {
        Some(simulated) => simulated,
        None => match symbol(library, c"vaGetDisplayDRM") {
            Some(real) => real,
            None => return std::ptr::null_mut(),
        },
    };
    // SAFETY: both have this type.
    let get: Get = unsafe { std::mem::transmute(function) };
    get(fd)
}

/// The simulated library's `vaGetDisplayDRM`.
#[unsafe(no_mangle)]
extern "C" fn sim_va_get_display(fd: c_int) -> *mut DisplayContext {
    static SITE: Site = Site::new("vaGetDisplayDRM");
    let node = node::opened_as(fd);
    let mut made = std::ptr::null_mut();
    SITE.run_on(node.map(|node| &**node), |_| {
        // As libva-drm refuses a descriptor that is not a DRM device's.
        node.ok_or(Status::INVALID_DISPLAY)?;
        made = create(fd).ok_or(Status::ALLOCATION_FAILED)?;
        Ok(())
    });
    made
}

fn create(fd: c_int) -> Option<*mut DisplayContext> {
    let libva = open(c"libva.so.2")?;
    let (new_display, new_driver) =
        (symbol(libva, c"va_newDisplayContext")?, symbol(libva, c"va_newDriverContext")?);
    // SAFETY: libva 2.17, va/va_internal.h.
    let new_display: extern "C" fn() -> *mut DisplayContext =
        unsafe { std::mem::transmute(new_display) };
    // SAFETY: as above.
    let new_driver: extern "C" fn(*mut DisplayContext) -> *mut DriverContext =
        unsafe { std::mem::transmute(new_driver) };
    let display = new_display();
    // SAFETY: libva's own allocation, or null.
    let fields = unsafe { display.as_mut() }?;
    fields.is_valid = Some(is_valid);
    fields.destroy = Some(destroy);
    fields.driver_name = Some(driver_name);
    fields.num_candidates = Some(num_candidates);
    fields.driver_name_by_index = Some(driver_name_by_index);
    fields.driver_names = Some(driver_names);
    // SAFETY: as above.
    let driver = unsafe { new_driver(display).as_mut() }?;
    driver.display_type = DISPLAY_DRM_RENDERNODES;
    // SAFETY: a new allocation of this size, zeroed, or null.
    let state = unsafe { libc::calloc(1, size_of::<DrmState>()) }.cast::<DrmState>();
    // SAFETY: as above.
    unsafe { state.as_mut() }?.fd = fd;
    driver.drm_state = state;
    Some(display)
}

extern "C" fn is_valid(display: *mut DisplayContext) -> c_int {
    // SAFETY: the house rules.
    unsafe { display.as_ref() }.is_some_and(|d| !d.driver_context.is_null()).into()
}

extern "C" fn destroy(display: *mut DisplayContext) {
    // SAFETY: the house rules; libva frees the rest, and uses none of this afterwards.
    unsafe {
        if let Some(fields) = display.as_ref() {
            if let Some(driver) = fields.driver_context.as_ref() {
                libc::free(driver.drm_state.cast());
            }
            libc::free(fields.driver_context.cast());
            libc::free(display.cast());
        }
    }
}

extern "C" fn driver_name(_: *mut DisplayContext, name: *mut *mut c_char) -> i32 {
    // SAFETY: libva passes where it wants the name, which it frees.
    unsafe { name.write(libc::strdup(NAME.as_ptr())) };
    0
}

extern "C" fn num_candidates(_: *mut DisplayContext, count: *mut c_int) -> i32 {
    // SAFETY: libva passes where it wants the number.
    unsafe { count.write(1) };
    0
}

extern "C" fn driver_name_by_index(
    display: *mut DisplayContext,
    name: *mut *mut c_char,
    _index: c_int,
) -> i32 {
    driver_name(display, name)
}

extern "C" fn driver_names(
    display: *mut DisplayContext,
    names: *mut *mut c_char,
    count: *mut c_uint,
) -> i32 {
    // SAFETY: libva passes an array and its length, in which it wants the number of names.
    if unsafe { count.read() } > 0 {
        driver_name(display, names);
        // SAFETY: as above.
        unsafe { count.write(1) };
    }
    0
}

fn open(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: a C string; libva's libraries are loaded already, so this runs no code.
    let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
    (!library.is_null()).then_some(library)
}

fn symbol(library: *mut c_void, name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the handle is of a loaded library, the name is a C string.
    let symbol = unsafe { libc::dlsym(library, name.as_ptr()) };
    (!symbol.is_null()).then_some(symbol)
}
