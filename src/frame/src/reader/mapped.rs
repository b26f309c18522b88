//! A mapped pair of `frame.meta` and `frame.data`, checked before anything in it is used.
//!
//! House rules. Both mappings are read-only: loads only. The header's sizes are copied and checked once;
//! later changes to them are ignored, so a hostile writer can spoil pictures but can't make a reader leave
//! its mapping. The mapping has the checked length, whatever happens to the file. A process with write
//! permission could still shrink the files, and a reader would be killed by SIGBUS: the files' mode
//! prevents that.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
#[cfg(not(loom))]
use std::sync::Arc;

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;

use crate::camera_id::CameraId;
use crate::color::{Color, Range};
use crate::error::{FormatProblem, OpenError};
use crate::geometry::{Geometry, MAX_SIDE};
use crate::huge_pages::AlignedMap;
use crate::layout::{self, DATA_FILE, Entry, Header, META_FILE};
use crate::lock;
use crate::memory::Meta;
use crate::meta::{Crop, Decoder, Flags, FrameMeta, Rect, Size};
use crate::seqlock::{HEAD, SLOT};
use crate::site::Site;
use crate::sync::{AtomicU32, ModelU32, Ordering};
#[cfg(not(loom))]
use crate::telemetry::Page;

/// How often meta and data are reopened when they do not belong together. Under a fuzzer they never change,
/// so further attempts would only cost time.
const PAIRING_TRIES: u32 = if cfg!(fuzzing) { 2 } else { 200 };

/// The header's constant fields, checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) stride: usize,
    pub(crate) uv_offset: usize,
    pub(crate) slot_stride: usize,
    pub(crate) slots: u32,
    pub(crate) epoch: u64,
    pub(crate) color: Color,
    pub(crate) bit_depth: u8,
}

/// The outcome of an attempt to map the two files.
enum Pair {
    Mapped(Mapped),
    /// The directory exists, without a `frame.meta`.
    NotYet,
    /// Meta and data belong to different epochs: the epoch changed between the two opens.
    Apart,
}

#[derive(Debug)]
pub(crate) struct Mapped {
    meta: Meta,
    data: AlignedMap,
    meta_file: File,
    shape: Shape,
    /// Where the reader counts frames that were overwritten while they were read.
    #[cfg(not(loom))]
    page: Option<Arc<Page>>,
}

impl Mapped {
    /// Opens and maps a camera's files; `None` if they do not exist yet.
    pub(super) fn open(dir: &Path, camera: &CameraId) -> Result<Option<Self>, OpenError> {
        for _ in 0..PAIRING_TRIES {
            match Self::try_open(dir)? {
                Pair::Mapped(pair) => return Ok(Some(pair)),
                Pair::NotYet => return Ok(None),
                Pair::Apart => std::thread::yield_now(),
            }
        }
        // The writer was suspended between the two renames, or died there.
        if is_held(dir) { Ok(None) } else { Err(OpenError::NoWriter { camera: camera.clone() }) }
    }

    fn try_open(dir: &Path) -> Result<Pair, OpenError> {
        let meta_path = dir.join(META_FILE);
        let Some((meta_file, meta_stat)) = open_file(&meta_path)? else {
            return if dir.is_dir() {
                Ok(Pair::NotYet)
            } else {
                Err(OpenError::NoCamera { path: dir.into() })
            };
        };
        let format = |problem| OpenError::Format { path: meta_path.clone(), problem };
        let (found, least) = (meta_stat.st_size as u64, size_of::<Header>() as u64);
        if found < least {
            return Err(format(FormatProblem::NoHeader { found, least }));
        }
        let meta_len = found;
        let meta =
            Meta::new(map(&meta_file, meta_len, &meta_path)?).expect("the length was just checked");
        let header = meta.header();
        let shape = Shape::read(header, meta_len).map_err(format)?;
        let data_path = dir.join(DATA_FILE);
        let Some((data_file, data_stat)) = open_file(&data_path)? else { return Ok(Pair::Apart) };
        if data_stat.st_ino != header.data_inode.load(Ordering::Relaxed) {
            return Ok(Pair::Apart);
        }
        let need = shape.slot_stride as u64 * u64::from(shape.slots);
        let found = data_stat.st_size as u64;
        if found < need {
            let problem = FormatProblem::NoSlots { found, expected: need };
            return Err(OpenError::Format { path: data_path, problem });
        }
        let data = map_data(&data_file, need, &data_path)?;
        Ok(Pair::Mapped(Self::new(meta, data, meta_file, shape)))
    }

    /// Takes mappings that were checked against the shape.
    pub(crate) fn new(meta: Meta, data: AlignedMap, meta_file: File, shape: Shape) -> Self {
        assert!(shape.slots <= meta.entries(), "the meta mapping holds its entries");
        assert!(
            shape.slot_stride * shape.slots as usize <= data.len(),
            "and the data mapping its slots"
        );
        Self {
            meta,
            data,
            meta_file,
            shape,
            #[cfg(not(loom))]
            page: None,
        }
    }

    /// This ring, whose overwritten frames are counted in a reader's telemetry.
    #[cfg(not(loom))]
    pub(super) fn counted_in(mut self, page: Option<&Arc<Page>>) -> Self {
        self.page = page.map(Arc::clone);
        self
    }

    /// Counts a frame that was overwritten while it was read.
    #[cfg(not(loom))]
    pub(super) fn count_overwritten(&self, frame_id: u64) {
        if let Some(page) = &self.page {
            page.overwritten(frame_id);
        }
    }

    fn header(&self) -> &Header {
        self.meta.header()
    }

    fn entry(&self, slot: u32) -> &Entry {
        self.meta.entry(slot)
    }

    #[cfg(loom)]
    pub(crate) fn slots(&self) -> u32 {
        self.shape.slots
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The first byte of all slots, and their length in bytes.
    pub(super) fn mapping(&self) -> (*const u8, usize) {
        (self.data.as_ptr(), self.shape.slots as usize * self.shape.slot_stride)
    }

    /// A slot's first byte; `slot_stride` bytes from there are mapped.
    pub(super) fn slot(&self, slot: u32) -> *const u8 {
        assert!(slot < self.shape.slots);
        // SAFETY: the mapping holds all slots (`new`).
        unsafe { self.data.as_ptr().add(slot as usize * self.shape.slot_stride) }
    }

    pub(crate) fn published_word(&self) -> &ModelU32 {
        &self.header().published
    }

    pub(crate) fn published(&self) -> u32 {
        let value = self.published_word().load(Ordering::Relaxed);
        // Partner: the release addition in `Ring::count`.
        Site::CountLoad.fence(Ordering::Acquire);
        value
    }

    pub(super) fn ever_published(&self) -> bool {
        self.header().frame_id.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn is_live(&self) -> bool {
        let state = self.header().state.load(Ordering::Relaxed);
        // Partner: the release store in `Ring::close`. A reader that sees the end sees everything
        // published before it.
        Site::StateLoad.fence(Ordering::Acquire);
        state == layout::STATE_LIVE
    }

    /// Whether nothing more will be published here, because the epoch or its writer ended.
    pub(super) fn has_ended(&self) -> bool {
        !self.is_live() || !self.writer_lives()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.header().state.load(Ordering::Relaxed) == layout::STATE_STOPPED
    }

    /// Whether the writer holds its lock on this file. If the query fails, the writer counts as
    /// alive.
    pub(super) fn writer_lives(&self) -> bool {
        lock::is_write_locked(self.meta_file.as_fd()).unwrap_or(true)
    }

    /// Whether copying is running, and has run without a pause since that frame.
    pub(crate) fn runs_since(&self, meta: &FrameMeta) -> bool {
        let header = self.header();
        let copying = header.copying.load(Ordering::Relaxed) == 1;
        // Partner: the release store in `Ring::resume`.
        Site::ResumeLoad.fence(Ordering::Acquire);
        copying && meta.frame_id >= header.resumed_frame_id.load(Ordering::Relaxed)
    }

    /// How many of the frames with ids between two others are known to have been published here: those since copying
    /// began, if it still runs. Ids count decoded frames, and while copying runs each of them is published.
    #[cfg(not(loom))]
    pub(crate) fn known_between(&self, after: u64, before: u64) -> u64 {
        let header = self.header();
        let copying = header.copying.load(Ordering::Relaxed) == 1;
        // Partner: the release store in `Ring::resume`.
        Site::ResumeLoad.fence(Ordering::Acquire);
        let resumed = header.resumed_frame_id.load(Ordering::Relaxed);
        if copying { before.saturating_sub(resumed.max(after.saturating_add(1))) } else { 0 }
    }

    /// Whether the slot's sequence is still `sequence`.
    pub(super) fn still(&self, slot: u32, sequence: u64) -> bool {
        SLOT.still(&self.entry(slot).sequence, sequence)
    }

    /// Slot and id of the newest frame.
    pub(crate) fn head(&self) -> Option<(u32, u64)> {
        let header = self.header();
        let sequence = HEAD.begin_read(&header.head_sequence)?;
        let slot = header.newest_slot.load(Ordering::Relaxed);
        let id = header.frame_id.load(Ordering::Relaxed);
        let whole = HEAD.still(&header.head_sequence, sequence);
        (whole && id != 0 && slot < self.shape.slots).then_some((slot, id))
    }

    /// Sequence and content of an entry, unless it is being written.
    pub(crate) fn read_entry(&self, slot: u32) -> Option<(u64, FrameMeta)> {
        self.read_entry_if(slot, |_| true)
    }

    /// As [`read_entry`](Self::read_entry), of a frame whose id is `wanted`: what a scan passes over costs two loads.
    pub(crate) fn read_entry_if(
        &self,
        slot: u32,
        wanted: impl FnOnce(u64) -> bool,
    ) -> Option<(u64, FrameMeta)> {
        let relaxed = Ordering::Relaxed;
        let e = self.entry(slot);
        let sequence = SLOT.begin_read(&e.sequence)?;
        let frame_id = e.frame_id.load(relaxed);
        if frame_id == 0 || !wanted(frame_id) {
            return None;
        }
        let pts = e.pts_ns.load(relaxed) as i64;
        let wall = e.wall_clock_ns.load(relaxed) as i64;
        let meta = FrameMeta {
            frame_id,
            epoch: self.shape.epoch,
            pts_ns: (pts != layout::PTS_UNKNOWN).then_some(pts),
            arrival_ns: e.arrival_ns.load(relaxed),
            decoded_ns: e.decoded_ns.load(relaxed),
            gate_ns: e.gate_ns.load(relaxed),
            published_ns: e.published_ns.load(relaxed),
            reuse_not_before_ns: e.reuse_not_before_ns.load(relaxed),
            wall_clock_ns: (e.wall_quality.load(relaxed) != 0).then_some(wall),
            flags: Flags::from_bits(e.flags.load(relaxed)),
            width: e.width.load(relaxed),
            height: e.height.load(relaxed),
            coded: Size {
                width: e.coded_width.load(relaxed),
                height: e.coded_height.load(relaxed),
            },
            crop: Crop { left: e.crop_left.load(relaxed), top: e.crop_top.load(relaxed) },
            content: Rect {
                x: e.content_x.load(relaxed),
                y: e.content_y.load(relaxed),
                width: e.content_width.load(relaxed),
                height: e.content_height.load(relaxed),
            },
            source: layout::unpack_size(e.source_size.load(relaxed)),
            decoder: Decoder::from_code(e.decoder.load(relaxed)),
        };
        (SLOT.still(&e.sequence, sequence) && self.shape.fits(&meta)).then_some((sequence, meta))
    }
}

impl Shape {
    fn read(h: &Header, meta_len: u64) -> Result<Self, FormatProblem> {
        let get = |word: &AtomicU32| word.load(Ordering::Relaxed);
        let expect = |name, found: u64, expected: u64| {
            if found == expected {
                Ok(())
            } else {
                Err(FormatProblem::Field { name, found, expected })
            }
        };
        let magic = h.magic.load(Ordering::Relaxed);
        expect("version", get(&h.version).into(), layout::VERSION.into())?;
        if magic != layout::MAGIC {
            return Err(FormatProblem::Magic { found: magic });
        }
        let hash = h.layout_hash.load(Ordering::Relaxed);
        if hash != layout::LAYOUT_HASH {
            return Err(FormatProblem::Layout { found: hash, expected: layout::LAYOUT_HASH });
        }
        expect("header_size", get(&h.header_size).into(), size_of::<Header>() as u64)?;
        expect("entry_size", get(&h.entry_size).into(), size_of::<Entry>() as u64)?;
        expect("pixel_format", get(&h.pixel_format).into(), layout::PIXEL_FORMAT_NV12.into())?;
        let slots = get(&h.slot_count);
        if !(1..=layout::MAX_SLOTS).contains(&slots) {
            return Err(FormatProblem::SlotCount { found: slots });
        }
        let entries = size_of::<Header>() as u64 + u64::from(slots) * size_of::<Entry>() as u64;
        if meta_len < entries {
            return Err(FormatProblem::NoEntries { found: meta_len, expected: entries, slots });
        }
        let (width, height) = (get(&h.width), get(&h.height));
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(FormatProblem::PictureSize { width, height });
        }
        let (stride, uv_offset) = (u64::from(get(&h.stride)), u64::from(get(&h.uv_offset)));
        let slot_stride = h.slot_stride.load(Ordering::Relaxed);
        let chroma_end = uv_offset + stride * u64::from(height.div_ceil(2));
        if stride < u64::from(width.next_multiple_of(2))
            || uv_offset < stride * u64::from(height)
            || slot_stride < chroma_end
            || slot_stride > u64::from(u32::MAX)
        {
            return Err(FormatProblem::Planes { stride, uv_offset, slot_stride, width, height });
        }
        let code = |word| u8::try_from(get(word)).unwrap_or(2);
        Ok(Self {
            width,
            height,
            stride: stride as usize,
            uv_offset: uv_offset as usize,
            slot_stride: slot_stride as usize,
            slots,
            epoch: h.epoch.load(Ordering::Relaxed),
            color: Color {
                range: Range::from_code(get(&h.color_range)),
                primaries: code(&h.color_primaries),
                transfer: code(&h.color_transfer),
                matrix: code(&h.color_matrix),
                chroma_location: code(&h.chroma_location),
            },
            bit_depth: u8::try_from(get(&h.bit_depth)).unwrap_or(8),
        })
    }

    /// Whether an entry's size matches the header's. Copies use the header's size, and users crop
    /// the content out of it; an entry with another size is hostile.
    fn fits(&self, meta: &FrameMeta) -> bool {
        let Rect { x, y, width, height } = meta.content;
        let within = |from: u32, len: u32, side: u32| len <= side && from <= side - len;
        (meta.width, meta.height) == (self.width, self.height)
            && within(x, width, self.width)
            && within(y, height, self.height)
    }

    pub(super) fn geometry(&self) -> Geometry {
        Geometry::new(self.width, self.height, self.color, self.bit_depth)
            .expect("`read` checked the sides")
    }
}

fn open_file(path: &Path) -> Result<Option<(File, Stat)>, OpenError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file: File = match openat(CWD, path, flags, Mode::empty()) {
        Ok(fd) => fd.into(),
        Err(Errno::NOENT) => return Ok(None),
        Err(e) => return Err(OpenError::io("open", path, e)),
    };
    let stat = fstat(&file).map_err(|e| OpenError::io("look at", path, e))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        let problem = FormatProblem::NoRegularFile;
        return Err(OpenError::Format { path: path.into(), problem });
    }
    Ok(Some((file, stat)))
}

/// Whether a writer holds its lock on the `frame.meta` that the path names.
pub(super) fn is_held(dir: &Path) -> bool {
    let path = dir.join(META_FILE);
    loop {
        let Ok(Some((file, stat))) = open_file(&path) else { return false };
        if lock::is_write_locked(file.as_fd()).unwrap_or(true) {
            return true;
        }
        // A live writer releases a file's lock only after the name refers to another file.
        let named = statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW);
        if named.is_ok_and(|named| named.st_ino == stat.st_ino) {
            return false;
        }
    }
}

/// Maps the slots, where huge pages can back them.
fn map_data(file: &File, len: u64, path: &Path) -> Result<AlignedMap, OpenError> {
    let len = usize::try_from(len).map_err(|_| OpenError::io("map", path, Errno::NOMEM))?;
    AlignedMap::read_only(file, len).map_err(|e| OpenError::io("map", path, e))
}

/// Maps the checked number of bytes: a length queried again might differ.
fn map(file: &File, len: u64, path: &Path) -> Result<MmapRaw, OpenError> {
    let len = usize::try_from(len).map_err(|_| OpenError::io("map", path, Errno::NOMEM))?;
    MmapOptions::new().len(len).map_raw_read_only(file).map_err(|e| OpenError::io("map", path, e))
}

#[cfg(test)]
mod tests;
