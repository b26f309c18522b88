//! The driver's entry point.

use super::abi::{DriverContext, VTable};
use crate::driver::caps::{self, VENDOR};
use crate::driver::{buffer, context, display, image, stubs, surface};
use crate::sim::node;
use crate::sim::site::Site;
use crate::sim::status::Status;

/// Opens a display: libva calls this within `vaInitialize`. The name says for which of libva's interfaces the
/// driver was written; libva from 2.17 on takes it.
#[unsafe(no_mangle)]
extern "C" fn __vaDriverInit_1_17(context: *mut DriverContext) -> Status {
    static SITE: Site = Site::new("vaInitialize");
    // SAFETY: libva passes its own driver context, whose vtable and DRM state it has allocated.
    let Some(context) = (unsafe { context.as_mut() }) else { return Status::INVALID_DISPLAY };
    // SAFETY: as above; the state is the one of `display.rs`, or of a real libva-drm.
    let fd = unsafe { context.drm_state.as_ref() }.map(|state| state.fd);
    let node = fd.and_then(node::opened_as);
    SITE.run_on(node.map(|node| &**node), |_| {
        let node = node.ok_or(Status::UNKNOWN)?;
        // SAFETY: as above.
        let vtable = unsafe { context.vtable.as_mut() }.ok_or(Status::INVALID_DISPLAY)?;
        fill(vtable);
        context.version_major = 1;
        context.version_minor = 17;
        context.max_profiles = caps::MAX_PROFILES;
        context.max_entrypoints = 1;
        context.max_attributes = 1;
        context.max_image_formats = 2;
        context.max_subpic_formats = 1;
        context.max_display_attributes = 1;
        context.str_vendor = VENDOR.as_ptr();
        context.driver_data = display::create(node);
        Ok(())
    })
}

macro_rules! fill {
    ($vtable:ident, $($module:ident: $($name:ident)*;)*) => {
        $($($vtable.$name = $module::$name as *const _;)*)*
    };
}

fn fill(vtable: &mut VTable) {
    fill! { vtable,
        display: vaTerminate;
        caps: vaQueryConfigProfiles vaQueryConfigEntrypoints vaGetConfigAttributes vaQueryImageFormats;
        context: vaCreateConfig vaDestroyConfig vaQueryConfigAttributes vaCreateContext vaDestroyContext
            vaBeginPicture vaRenderPicture vaEndPicture;
        surface: vaCreateSurfaces vaCreateSurfaces2 vaDestroySurfaces vaQuerySurfaceAttributes vaSyncSurface
            vaQuerySurfaceStatus;
        buffer: vaCreateBuffer vaMapBuffer vaUnmapBuffer vaDestroyBuffer;
        image: vaCreateImage vaDeriveImage vaDestroyImage vaGetImage;
        stubs: vaPutSurface vaSetImagePalette vaPutImage vaQuerySubpictureFormats vaCreateSubpicture
            vaDestroySubpicture vaSetSubpictureImage vaSetSubpictureChromakey vaSetSubpictureGlobalAlpha
            vaAssociateSubpicture vaDeassociateSubpicture vaQueryDisplayAttributes vaGetDisplayAttributes
            vaSetDisplayAttributes vaBufferInfo vaLockSurface vaUnlockSurface vaAcquireBufferHandle
            vaReleaseBufferHandle vaExportSurfaceHandle vaBufferSetNumElements vaQuerySurfaceError;
    }
}
