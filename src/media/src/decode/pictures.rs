//! Memory for the pictures of a decoder on the processor, on huge pages.
//!
//! FFmpeg's own allocator gives each plane small pages of its own. Between two pictures of a camera the translations of
//! small pages fall out of the processor's caches. docs/performance.md has what huge pages save.
//!
//! Each decoder has a pool of its own, so what a damaged stream leaves unwritten in a picture is at worst from the same
//! camera, as with FFmpeg's allocator.

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use ffmpeg_sys_next as ffi;
use memmap2::{Advice, MmapOptions, MmapRaw};

use crate::color::{descriptor, pixel_format};

const HUGE_PAGE: usize = 2 << 20;
/// The size in bytes from which pictures are put on huge pages. Eight smaller ones would fill one huge page or none.
const LEAST: usize = 256 << 10;
/// Pictures of one mapping. Memory is only taken as they are used.
const PICTURES: usize = 8;
/// What FFmpeg's allocator adds to each plane, for code that reads or writes past its end (libavcodec/get_buffer.c: 16
/// bytes and the largest alignment of a row, less one).
const PLANE_PADDING: usize = 16 + 64 - 1;
const PLANE_ALIGN: usize = 64;

/// The pictures of one decoder. FFmpeg calls it through the context's `opaque`.
#[derive(Default)]
pub(super) struct Pictures {
    /// Locked by the thread that decodes alone.
    current: Mutex<Option<Pool>>,
}

impl Pictures {
    /// Has a decoder that is not open yet take its pictures' memory from here.
    ///
    /// # Safety
    /// `context` is valid, not open, and freed before `self`, which does not move.
    pub(super) unsafe fn attach(&self, context: *mut ffi::AVCodecContext) {
        // SAFETY: valid by contract.
        unsafe {
            (*context).opaque = ptr::from_ref(self).cast_mut().cast();
            (*context).get_buffer2 = Some(get_buffer);
        }
    }

    /// Gives a frame memory. `None`: FFmpeg's own allocator should.
    ///
    /// # Safety
    /// As for FFmpeg's `get_buffer2`: `frame` has format and size, and no memory.
    unsafe fn fill(
        &self,
        context: *mut ffi::AVCodecContext,
        frame: *mut ffi::AVFrame,
    ) -> Option<()> {
        // SAFETY: a valid frame by contract.
        let (format, width, height) = unsafe { ((*frame).format, (*frame).width, (*frame).height) };
        let size = (format, width, height);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_none_or(|pool| pool.size != size) {
            // Frames of the previous size keep their memory.
            // SAFETY: valid by contract.
            *current = Some(Pool { size, memory: unsafe { Memory::new(context, size) } });
        }
        let Memory { layout, pool } = current.as_ref()?.memory.as_ref()?;
        // SAFETY: a pool that is not freed yet; null means no memory.
        let buffer = unsafe { ffi::av_buffer_pool_get(*pool) };
        if buffer.is_null() {
            return None;
        }
        // SAFETY: a valid frame, and a buffer of the layout's size, in which all planes lie.
        unsafe {
            (*frame).buf[0] = buffer;
            for plane in 0..layout.planes {
                (*frame).data[plane] = (*buffer).data.add(layout.offsets[plane]);
                (*frame).linesize[plane] = layout.linesizes[plane];
            }
            (*frame).extended_data = (*frame).data.as_mut_ptr();
        }
        Some(())
    }
}

/// The pool for one format and size.
struct Pool {
    /// Format, width and height.
    size: (c_int, c_int, c_int),
    /// `None`: such pictures are left to FFmpeg's allocator.
    memory: Option<Memory>,
}

struct Memory {
    layout: Layout,
    pool: *mut ffi::AVBufferPool,
}

impl Memory {
    /// # Safety
    /// `context` is valid, and calls for a picture of this size.
    unsafe fn new(context: *mut ffi::AVCodecContext, size: (c_int, c_int, c_int)) -> Option<Self> {
        // SAFETY: valid by contract.
        let layout =
            unsafe { Layout::new(context, size) }.filter(|layout| layout.bytes >= LEAST)?;
        let slabs = Box::into_raw(Box::<Slabs>::default()).cast();
        // SAFETY: the callbacks take what `slabs` is; the second one frees it.
        let pool = unsafe {
            ffi::av_buffer_pool_init2(layout.bytes, slabs, Some(allocate), Some(free_slabs))
        };
        if pool.is_null() {
            // SAFETY: nobody else has it.
            unsafe { free_slabs(slabs) };
            return None;
        }
        Some(Self { layout, pool })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: ours, and given up once; FFmpeg frees it when its last buffer comes back.
        unsafe { ffi::av_buffer_pool_uninit(&mut self.pool) };
    }
}

/// Where the planes of a picture lie in one buffer.
struct Layout {
    planes: usize,
    linesizes: [c_int; 4],
    offsets: [usize; 4],
    bytes: usize,
}

impl Layout {
    /// The layout that FFmpeg's allocator would choose (libavcodec/get_buffer.c), its planes one after the other.
    /// `None` for formats and decoders whose memory must be FFmpeg's own.
    ///
    /// # Safety
    /// `context` is valid, and calls for a picture of this size.
    unsafe fn new(
        context: *mut ffi::AVCodecContext,
        (format, mut width, mut height): (c_int, c_int, c_int),
    ) -> Option<Self> {
        const OTHER: u64 = (ffi::AV_PIX_FMT_FLAG_HWACCEL
            | ffi::AV_PIX_FMT_FLAG_PAL
            | ffi::AV_PIX_FMT_FLAG_BITSTREAM) as u64;
        // SAFETY: valid by contract, with the codec that it was opened for.
        let direct = unsafe { (*(*context).codec).capabilities as u32 & ffi::AV_CODEC_CAP_DR1 };
        if direct == 0 || descriptor(format)?.flags & OTHER != 0 {
            return None;
        }
        let format = pixel_format(format)?;
        let mut align = [0; ffi::AV_NUM_DATA_POINTERS as usize];
        // SAFETY: valid by contract; `align` has as many elements as FFmpeg writes.
        unsafe {
            ffi::avcodec_align_dimensions2(context, &mut width, &mut height, align.as_mut_ptr());
        }
        let mut linesizes = [0; 4];
        loop {
            // SAFETY: FFmpeg writes four elements.
            if unsafe { ffi::av_image_fill_linesizes(linesizes.as_mut_ptr(), format, width) } < 0 {
                return None;
            }
            let is_aligned = |(line, align): (&c_int, &c_int)| *align == 0 || line % align == 0;
            if linesizes.iter().zip(&align).all(is_aligned) {
                break;
            }
            // Rows of all planes stay in proportion: the width grows to a multiple of the next power of two.
            width = width.checked_add(width & width.wrapping_neg())?;
        }
        let (strides, mut sizes) = (linesizes.map(|line| line as isize), [0; 4]);
        // SAFETY: FFmpeg reads and writes four elements.
        let filled = unsafe {
            ffi::av_image_fill_plane_sizes(sizes.as_mut_ptr(), format, height, strides.as_ptr())
        };
        if filled < 0 {
            return None;
        }
        let planes = sizes.iter().take_while(|size| **size > 0).count();
        let (mut offsets, mut bytes) = ([0; 4], 0_usize);
        for plane in 0..planes {
            offsets[plane] = bytes;
            let end = bytes.checked_add(sizes[plane])?.checked_add(PLANE_PADDING)?;
            bytes = end.checked_next_multiple_of(PLANE_ALIGN)?;
        }
        Some(Self { planes, linesizes, offsets, bytes })
    }
}

/// Mappings that pictures are cut from. Each stays mapped as long as one of its pictures exists.
#[derive(Default)]
struct Slabs {
    newest: Option<Arc<MmapRaw>>,
    /// Where the next picture begins in it, and where it ends.
    at: usize,
    end: usize,
}

impl Slabs {
    /// A picture's first byte, and the mapping that it lies in.
    fn cut(&mut self, bytes: usize) -> Option<(*mut u8, Arc<MmapRaw>)> {
        if self.end - self.at < bytes {
            let len = bytes.checked_mul(PICTURES)?.checked_next_multiple_of(HUGE_PAGE)?;
            let slab =
                MmapOptions::new().len(len + HUGE_PAGE).map_anon().ok().map(MmapRaw::from)?;
            self.at = slab.as_ptr().align_offset(HUGE_PAGE);
            self.end = self.at + len;
            // A kernel without huge pages is no reason to fail.
            let _ = slab.advise_range(Advice::HugePage, self.at, len);
            self.newest = Some(Arc::new(slab));
        }
        let slab = Arc::clone(self.newest.as_ref()?);
        // SAFETY: `bytes` fit between here and the end of the mapping.
        let start = unsafe { slab.as_mut_ptr().add(self.at) };
        self.at += bytes;
        Some((start, slab))
    }
}

/// FFmpeg's `get_buffer2`.
unsafe extern "C" fn get_buffer(
    context: *mut ffi::AVCodecContext,
    frame: *mut ffi::AVFrame,
    flags: c_int,
) -> c_int {
    // SAFETY: `attach` set it, and what it points to outlives the context.
    let pictures = unsafe { &*(*context).opaque.cast::<Pictures>() };
    // SAFETY: as FFmpeg promises. A panic must not unwind into C.
    let filled = catch_unwind(AssertUnwindSafe(|| unsafe { pictures.fill(context, frame) }));
    match filled {
        Ok(Some(())) => 0,
        // SAFETY: the arguments are FFmpeg's own.
        _ => unsafe { ffi::avcodec_default_get_buffer2(context, frame, flags) },
    }
}

/// A pool's callback for a buffer more.
unsafe extern "C" fn allocate(slabs: *mut c_void, bytes: usize) -> *mut ffi::AVBufferRef {
    // SAFETY: `Memory::new` gave it to the pool, which calls under its lock.
    let slabs = unsafe { &mut *slabs.cast::<Slabs>() };
    let cut = catch_unwind(AssertUnwindSafe(|| slabs.cut(bytes)));
    let Ok(Some((start, slab))) = cut else { return ptr::null_mut() };
    let slab = Arc::into_raw(slab).cast_mut().cast();
    // SAFETY: `bytes` from `start` on are this buffer's alone, as long as it holds the slab.
    let buffer = unsafe { ffi::av_buffer_create(start, bytes, Some(free_picture), slab, 0) };
    if buffer.is_null() {
        // SAFETY: no buffer holds it.
        unsafe { free_picture(slab, start) };
    }
    buffer
}

unsafe extern "C" fn free_picture(slab: *mut c_void, _start: *mut u8) {
    // SAFETY: `allocate` made it of an `Arc`, for this one call.
    drop(unsafe { Arc::from_raw(slab.cast::<MmapRaw>()) });
}

unsafe extern "C" fn free_slabs(slabs: *mut c_void) {
    // SAFETY: `Memory::new` made it of a box, for this one call.
    drop(unsafe { Box::from_raw(slabs.cast::<Slabs>()) });
}
