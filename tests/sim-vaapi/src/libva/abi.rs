//! libva's structures and constants, as Debian's libva-dev 2.17.0 declares them in `va/va.h` and
//! `va/va_backend.h`. Only what the driver uses; the fields keep their order, and the sizes are checked.

use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

/// `VAProfile`.
pub(crate) type Profile = i32;
pub(crate) const H264_MAIN: Profile = 6;
pub(crate) const H264_HIGH: Profile = 7;
pub(crate) const JPEG_BASELINE: Profile = 12;
pub(crate) const H264_CONSTRAINED_BASELINE: Profile = 13;
pub(crate) const HEVC_MAIN: Profile = 17;
pub(crate) const HEVC_MAIN_10: Profile = 18;

/// `VAEntrypointVLD`: decoding.
pub(crate) const DECODE: i32 = 1;

/// `VAConfigAttribRTFormat`.
pub(crate) const RT_FORMAT: i32 = 0;
/// `VA_RT_FORMAT_YUV420`.
pub(crate) const YUV420: u32 = 1;
/// `VA_RT_FORMAT_YUV420_10`.
pub(crate) const YUV420_10: u32 = 0x100;
/// `VA_ATTRIB_NOT_SUPPORTED`.
pub(crate) const ATTRIB_NOT_SUPPORTED: u32 = 0x8000_0000;

/// `VA_FOURCC_NV12`.
pub(crate) const NV12: u32 = u32::from_le_bytes(*b"NV12");
/// `VA_FOURCC_P010`.
pub(crate) const P010: u32 = u32::from_le_bytes(*b"P010");

/// `VAPictureParameterBufferType`.
pub(crate) const PICTURE_PARAMETERS: i32 = 0;
/// `VASliceDataBufferType`.
pub(crate) const SLICE_DATA: i32 = 5;
/// `VAImageBufferType`.
pub(crate) const IMAGE_BUFFER: i32 = 9;

/// `VASurfaceRendering` and `VASurfaceReady`.
pub(crate) const RENDERING: i32 = 1;
pub(crate) const READY: i32 = 4;

/// `VASurfaceAttribType`.
pub(crate) const PIXEL_FORMAT: i32 = 1;
pub(crate) const MIN_WIDTH: i32 = 2;
pub(crate) const MAX_WIDTH: i32 = 3;
pub(crate) const MIN_HEIGHT: i32 = 4;
pub(crate) const MAX_HEIGHT: i32 = 5;
pub(crate) const MEMORY_TYPE: i32 = 6;
/// `VA_SURFACE_ATTRIB_MEM_TYPE_VA`.
pub(crate) const MEMORY_VA: i32 = 1;
/// `VA_SURFACE_ATTRIB_GETTABLE` and `VA_SURFACE_ATTRIB_SETTABLE`.
pub(crate) const GETTABLE: u32 = 1;
pub(crate) const SETTABLE: u32 = 2;

/// `VAConfigAttrib`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct ConfigAttrib {
    pub(crate) kind: i32,
    pub(crate) value: u32,
}

/// `VASurfaceAttrib` with its `VAGenericValue`, whose union only ever holds an integer here.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct SurfaceAttrib {
    pub(crate) kind: i32,
    pub(crate) flags: u32,
    /// 1 is `VAGenericValueTypeInteger`.
    pub(crate) value_type: i32,
    _pad: u32,
    pub(crate) value: i32,
    _union: u32,
}

impl SurfaceAttrib {
    pub(crate) const fn integer(kind: i32, flags: u32, value: i32) -> Self {
        Self { kind, flags, value_type: 1, _pad: 0, value, _union: 0 }
    }
}

/// `VAImageFormat`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct ImageFormat {
    pub(crate) fourcc: u32,
    /// 1 is `VA_LSB_FIRST`.
    pub(crate) byte_order: u32,
    pub(crate) bits_per_pixel: u32,
    _depth_and_masks: [u32; 5],
    _reserved: [u32; 4],
}

impl ImageFormat {
    pub(crate) fn new(fourcc: u32, bits_per_pixel: u32) -> Self {
        Self { fourcc, byte_order: 1, bits_per_pixel, ..Self::default() }
    }
}

/// `VAImage`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct Image {
    pub(crate) image_id: u32,
    pub(crate) format: ImageFormat,
    pub(crate) buf: u32,
    pub(crate) width: u16,
    pub(crate) height: u16,
    pub(crate) data_size: u32,
    pub(crate) num_planes: u32,
    pub(crate) pitches: [u32; 3],
    pub(crate) offsets: [u32; 3],
    _palette: [u32; 3],
    _reserved: [u32; 4],
}

/// `struct drm_state` (va_drmcommon.h).
#[repr(C)]
pub(crate) struct DrmState {
    pub(crate) fd: c_int,
    /// 3 is `VA_DRM_AUTH_CUSTOM`.
    pub(crate) auth_type: c_int,
    _reserved: [c_int; 8],
}

/// `struct VADriverContext`.
#[repr(C)]
pub(crate) struct DriverContext {
    /// The driver's own: the display's number.
    pub(crate) driver_data: usize,
    pub(crate) vtable: *mut VTable,
    _vtables: [*mut c_void; 3],
    _native_dpy: *mut c_void,
    _x11_screen: c_int,
    pub(crate) version_major: c_int,
    pub(crate) version_minor: c_int,
    pub(crate) max_profiles: c_int,
    pub(crate) max_entrypoints: c_int,
    pub(crate) max_attributes: c_int,
    pub(crate) max_image_formats: c_int,
    pub(crate) max_subpic_formats: c_int,
    pub(crate) max_display_attributes: c_int,
    pub(crate) str_vendor: *const c_char,
    _handle: *mut c_void,
    pub(crate) drm_state: *mut DrmState,
    _glx: *mut c_void,
    pub(crate) display_type: c_ulong,
    _more: [*mut c_void; 7],
    _reserved: [c_ulong; 37],
}

/// `struct VADisplayContext`.
#[repr(C)]
pub(crate) struct DisplayContext {
    _magic: c_int,
    _next: *mut c_void,
    pub(crate) driver_context: *mut DriverContext,
    pub(crate) is_valid: Option<extern "C" fn(*mut DisplayContext) -> c_int>,
    pub(crate) destroy: Option<extern "C" fn(*mut DisplayContext)>,
    pub(crate) driver_name: Option<extern "C" fn(*mut DisplayContext, *mut *mut c_char) -> i32>,
    _opaque_and_callbacks: [*mut c_void; 7],
    pub(crate) num_candidates: Option<extern "C" fn(*mut DisplayContext, *mut c_int) -> i32>,
    pub(crate) driver_name_by_index:
        Option<extern "C" fn(*mut DisplayContext, *mut *mut c_char, c_int) -> i32>,
    /// Reserved before libva 2.20, which calls it in place of the three above.
    pub(crate) driver_names:
        Option<extern "C" fn(*mut DisplayContext, *mut *mut c_char, *mut c_uint) -> i32>,
    _reserved: [c_ulong; 29],
}

macro_rules! vtable {
    ($($name:ident)*) => {
        /// `struct VADriverVTable`: functions, each with its own parameters after the driver context.
        #[allow(non_snake_case, reason = "libva's own names")]
        #[repr(C)]
        pub(crate) struct VTable {
            $(pub(crate) $name: *const c_void,)*
            _reserved: [c_ulong; 54],
        }
    };
}

vtable! {
    vaTerminate vaQueryConfigProfiles vaQueryConfigEntrypoints vaGetConfigAttributes vaCreateConfig
    vaDestroyConfig vaQueryConfigAttributes vaCreateSurfaces vaDestroySurfaces vaCreateContext
    vaDestroyContext vaCreateBuffer vaBufferSetNumElements vaMapBuffer vaUnmapBuffer vaDestroyBuffer
    vaBeginPicture vaRenderPicture vaEndPicture vaSyncSurface vaQuerySurfaceStatus vaQuerySurfaceError
    vaPutSurface vaQueryImageFormats vaCreateImage vaDeriveImage vaDestroyImage vaSetImagePalette vaGetImage
    vaPutImage vaQuerySubpictureFormats vaCreateSubpicture vaDestroySubpicture vaSetSubpictureImage
    vaSetSubpictureChromakey vaSetSubpictureGlobalAlpha vaAssociateSubpicture vaDeassociateSubpicture
    vaQueryDisplayAttributes vaGetDisplayAttributes vaSetDisplayAttributes vaBufferInfo vaLockSurface
    vaUnlockSurface vaGetSurfaceAttributes vaCreateSurfaces2 vaQuerySurfaceAttributes vaAcquireBufferHandle
    vaReleaseBufferHandle vaCreateMFContext vaMFAddContext vaMFReleaseContext vaMFSubmit vaCreateBuffer2
    vaQueryProcessingRate vaExportSurfaceHandle vaSyncSurface2 vaSyncBuffer vaCopy
}

// As a C compiler lays them out on 64-bit Linux.
const _: () = assert!(size_of::<SurfaceAttrib>() == 24);
const _: () = assert!(size_of::<ImageFormat>() == 48);
const _: () = assert!(size_of::<Image>() == 120);
const _: () = assert!(size_of::<DriverContext>() == 480);
const _: () = assert!(size_of::<DisplayContext>() == 360);
const _: () = assert!(size_of::<VTable>() == 904);
