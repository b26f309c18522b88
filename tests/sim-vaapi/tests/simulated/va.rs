//! VA-API as a program calls it, through libva: the few functions that the tests need.
//!
//! House rules. The functions are looked up by name, and their types are those of Debian's libva-dev 2.17.0
//! (`va/va.h`, `va/va_drm.h`); the arguments that the tests pass are valid for them.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::ptr::null_mut;

/// `VA_STATUS_SUCCESS`.
pub(crate) const OK: i32 = 0;
/// `VAProfileH264Main`, `VAProfileHEVCMain10`.
pub(crate) const H264: i32 = 6;
pub(crate) const HEVC_MAIN_10: i32 = 18;
/// `VA_RT_FORMAT_YUV420`.
pub(crate) const YUV420: u32 = 1;

/// `VAImage`, as far as it is used.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Image {
    pub(crate) id: u32,
    format: [u32; 12],
    pub(crate) buffer: u32,
    pub(crate) size: [u16; 2],
    pub(crate) bytes: u32,
    planes: u32,
    pub(crate) pitches: [u32; 3],
    pub(crate) offsets: [u32; 3],
    _more: [u32; 7],
}

/// `VA_FOURCC_NV12`, as the first of a `VAImageFormat`.
const NV12: u32 = u32::from_le_bytes(*b"NV12");

/// A function of a library that the process has loaded.
fn function(library: &CStr, name: &CStr) -> *mut c_void {
    // SAFETY: libva and its parts run no code that matters when they are loaded; the names are C strings.
    let library = unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_NOW) };
    assert!(!library.is_null());
    // SAFETY: the handle is of a loaded library.
    let function = unsafe { libc::dlsym(library, name.as_ptr()) };
    assert!(!function.is_null(), "{name:?}");
    function
}

/// Calls a function of libva.
macro_rules! va {
    ($name:ident($($arg:expr => $ty:ty),*) -> $result:ty) => {{
        const NAME: &str = concat!(stringify!($name), "\0");
        let function = function(c"libva.so.2", CStr::from_bytes_with_nul(NAME.as_bytes()).unwrap());
        #[allow(clippy::undocumented_unsafe_blocks, reason = "the house rules of this module")]
        let call: unsafe extern "C" fn($($ty),*) -> $result =
            unsafe { std::mem::transmute(function) };
        #[allow(clippy::undocumented_unsafe_blocks, reason = "the house rules of this module")]
        let result = unsafe { call($($arg),*) };
        result
    }};
    ($name:ident($($arg:expr => $ty:ty),*)) => { va!($name($($arg => $ty),*) -> i32) };
}

/// An open display.
#[derive(Debug)]
pub(crate) struct Display {
    display: *mut c_void,
    _file: File,
}

/// A display for another thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared<'a>(&'a Display);

// SAFETY: VA-API's functions may be called from any thread.
unsafe impl Send for Shared<'_> {}

impl<'a> Shared<'a> {
    pub(crate) fn get(self) -> &'a Display {
        self.0
    }
}

impl Display {
    /// The display, for another thread.
    pub(crate) fn shared(&self) -> Shared<'_> {
        Shared(self)
    }

    /// Opens a node's display.
    pub(crate) fn open(node: &Path) -> Result<Self, i32> {
        let file = File::options().read(true).write(true).open(node).unwrap();
        let get = function(c"libva-drm.so.2", c"vaGetDisplayDRM");
        // SAFETY: the house rules.
        let get: extern "C" fn(c_int) -> *mut c_void = unsafe { std::mem::transmute(get) };
        let display = get(file.as_raw_fd());
        if display.is_null() {
            return Err(-1);
        }
        let (mut major, mut minor) = (0, 0);
        let status = va!(vaInitialize(
            display => *mut c_void, &mut major => &mut c_int, &mut minor => &mut c_int));
        if status == OK { Ok(Self { display, _file: file }) } else { Err(status) }
    }

    pub(crate) fn vendor(&self) -> String {
        let text = va!(vaQueryVendorString(self.display => *mut c_void) -> *const c_char);
        // SAFETY: libva returns a C string that lives as long as the display.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }

    pub(crate) fn close(self) -> i32 {
        va!(vaTerminate(self.display => *mut c_void))
    }

    pub(crate) fn config(&self, profile: i32) -> Result<u32, i32> {
        let mut id = 0;
        let status = va!(vaCreateConfig(
            self.display => *mut c_void, profile => i32, 1 => i32,
            null_mut() => *mut c_void, 0 => c_int, &mut id => &mut u32));
        if status == OK { Ok(id) } else { Err(status) }
    }

    pub(crate) fn destroy_config(&self, id: u32) -> i32 {
        va!(vaDestroyConfig(self.display => *mut c_void, id => u32))
    }

    pub(crate) fn context(&self, config: u32, surfaces: &[u32]) -> Result<u32, i32> {
        let mut id = 0;
        let status = va!(vaCreateContext(
            self.display => *mut c_void, config => u32, 64 => c_int, 64 => c_int, 1 => c_int,
            surfaces.as_ptr() => *const u32, surfaces.len() as c_int => c_int, &mut id => &mut u32));
        if status == OK { Ok(id) } else { Err(status) }
    }

    pub(crate) fn destroy_context(&self, id: u32) -> i32 {
        va!(vaDestroyContext(self.display => *mut c_void, id => u32))
    }

    /// Surfaces of 64x64.
    pub(crate) fn surfaces<const N: usize>(&self) -> Result<[u32; N], i32> {
        let mut ids = [0; N];
        let status = va!(vaCreateSurfaces(
            self.display => *mut c_void, YUV420 => u32, 64 => u32, 64 => u32,
            ids.as_mut_ptr() => *mut u32, N as u32 => u32, null_mut() => *mut c_void, 0 => u32));
        if status == OK { Ok(ids) } else { Err(status) }
    }

    pub(crate) fn destroy_surfaces(&self, ids: &[u32]) -> i32 {
        va!(vaDestroySurfaces(
            self.display => *mut c_void, ids.as_ptr() => *const u32, ids.len() as c_int => c_int))
    }

    /// A buffer of slice data.
    pub(crate) fn slice(&self, context: u32, data: &[u8]) -> Result<u32, i32> {
        let mut id = 0;
        let status = va!(vaCreateBuffer(
            self.display => *mut c_void, context => u32, 5 => i32, data.len() as u32 => u32,
            1 => u32, data.as_ptr() => *const u8, &mut id => &mut u32));
        if status == OK { Ok(id) } else { Err(status) }
    }

    pub(crate) fn destroy_buffer(&self, id: u32) -> i32 {
        va!(vaDestroyBuffer(self.display => *mut c_void, id => u32))
    }

    pub(crate) fn begin(&self, context: u32, surface: u32) -> i32 {
        va!(vaBeginPicture(self.display => *mut c_void, context => u32, surface => u32))
    }

    pub(crate) fn render(&self, context: u32, buffer: u32) -> i32 {
        va!(vaRenderPicture(
            self.display => *mut c_void, context => u32, &buffer => &u32, 1 => c_int))
    }

    pub(crate) fn end(&self, context: u32) -> i32 {
        va!(vaEndPicture(self.display => *mut c_void, context => u32))
    }

    /// Submits a picture of one slice.
    pub(crate) fn decode(&self, context: u32, surface: u32, data: &[u8]) {
        let buffer = self.slice(context, data).unwrap();
        let calls = [
            self.begin(context, surface),
            self.render(context, buffer),
            self.end(context),
            self.destroy_buffer(buffer),
        ];
        assert_eq!(calls, [OK; 4]);
    }

    pub(crate) fn sync(&self, surface: u32) -> i32 {
        va!(vaSyncSurface(self.display => *mut c_void, surface => u32))
    }

    /// Whether a surface's picture is decoded.
    pub(crate) fn is_ready(&self, surface: u32) -> bool {
        let mut state = 0;
        let status = va!(vaQuerySurfaceStatus(
            self.display => *mut c_void, surface => u32, &mut state => &mut i32));
        assert_eq!(status, OK);
        state == 4
    }

    /// An image of its own.
    pub(crate) fn image(&self, width: i32, height: i32) -> Result<Image, i32> {
        let mut format = [0u32; 12];
        format[0] = NV12;
        let mut image = EMPTY;
        let status = va!(vaCreateImage(
            self.display => *mut c_void, &mut format => &mut [u32; 12], width => c_int,
            height => c_int, &mut image => &mut Image));
        if status == OK { Ok(image) } else { Err(status) }
    }

    pub(crate) fn derive(&self, surface: u32) -> Result<Image, i32> {
        let mut image = EMPTY;
        let status = va!(vaDeriveImage(
            self.display => *mut c_void, surface => u32, &mut image => &mut Image));
        if status == OK { Ok(image) } else { Err(status) }
    }

    pub(crate) fn destroy_image(&self, image: &Image) -> i32 {
        va!(vaDestroyImage(self.display => *mut c_void, image.id => u32))
    }

    /// Copies a region that begins at (x, y).
    pub(crate) fn get(&self, surface: u32, at: (i32, i32), size: (u32, u32), image: &Image) -> i32 {
        va!(vaGetImage(
            self.display => *mut c_void, surface => u32, at.0 => c_int, at.1 => c_int,
            size.0 => u32, size.1 => u32, image.id => u32))
    }

    pub(crate) fn map(&self, buffer: u32) -> Result<*const u8, i32> {
        let mut address = null_mut();
        let status = va!(vaMapBuffer(
            self.display => *mut c_void, buffer => u32, &mut address => &mut *mut c_void));
        if status == OK { Ok(address.cast_const().cast()) } else { Err(status) }
    }

    pub(crate) fn unmap(&self, buffer: u32) -> i32 {
        va!(vaUnmapBuffer(self.display => *mut c_void, buffer => u32))
    }

    /// The planes of an image, rows tight: maps and unmaps it.
    pub(crate) fn read(&self, image: &Image, (width, height): (usize, usize)) -> Vec<u8> {
        let base = self.map(image.buffer).unwrap();
        // SAFETY: the size that the driver stated, while it is mapped.
        let bytes = unsafe { std::slice::from_raw_parts(base, image.bytes as usize) };
        let mut planes = Vec::new();
        for (plane, rows) in [(0, height), (1, height.div_ceil(2))] {
            let (offset, pitch) = (image.offsets[plane] as usize, image.pitches[plane] as usize);
            for row in 0..rows {
                planes.extend_from_slice(&bytes[offset + row * pitch..][..width]);
            }
        }
        assert_eq!(self.unmap(image.buffer), OK);
        planes
    }
}

const EMPTY: Image = Image {
    id: 0,
    format: [0; 12],
    buffer: 0,
    size: [0; 2],
    bytes: 0,
    planes: 0,
    pitches: [0; 3],
    offsets: [0; 3],
    _more: [0; 7],
};
