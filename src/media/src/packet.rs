//! A packet of coded video or sound.

use std::alloc::{Layout, handle_alloc_error};
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use ffmpeg_sys_next as ffi;

use crate::av::{AvError, check, to_c_int};
use crate::mux::RawTimes;
use vas_request::Fraction;

/// One packet: one coded picture of the video stream, or a packet of sound if that was requested.
///
/// A clone refers to the same data and allocates nothing. The data and all fields are set before the first clone,
/// except for the discontinuity mark, which each handle has for itself.
#[derive(Clone)]
pub struct Packet {
    raw: Arc<Raw>,
    time_base: Fraction,
    arrival_ns: u64,
    /// The size of the picture, if the packet only contains a reference to it.
    referred_bytes: Option<usize>,
    discontinuity: bool,
    lost: bool,
    wall_clock_ns: Option<i64>,
    sound: bool,
}

/// FFmpeg's packet, freed with its last handle.
struct Raw(NonNull<ffi::AVPacket>);

// SAFETY: a packet's buffers are reference-counted with atomics and tied to no thread.
unsafe impl Send for Raw {}
// SAFETY: only `Packet::as_mut_ptr` allows writing, and it requires that there is a single handle. Reading fields and
// av_packet_ref, which several handles may do, write nothing but the buffers' atomic counts.
unsafe impl Sync for Raw {}

impl Drop for Raw {
    fn drop(&mut self) {
        let mut pointer = self.0.as_ptr();
        // SAFETY: ours, freed once; drops this packet's reference to the data.
        unsafe { ffi::av_packet_free(&mut pointer) };
    }
}

impl Packet {
    /// An empty packet for a demuxer to fill.
    pub(crate) fn empty(time_base: Fraction, referred_bytes: Option<usize>) -> Self {
        // SAFETY: no arguments; null means out of memory.
        let Some(raw) = NonNull::new(unsafe { ffi::av_packet_alloc() }) else {
            handle_alloc_error(Layout::new::<ffi::AVPacket>());
        };
        Self {
            raw: Arc::new(Raw(raw)),
            time_base,
            arrival_ns: 0,
            referred_bytes,
            discontinuity: false,
            lost: false,
            wall_clock_ns: None,
            sound: false,
        }
    }

    /// A packet with memory of its own for `size` bytes, zeroed.
    pub(crate) fn with_size(time_base: Fraction, size: usize) -> Result<Self, AvError> {
        let mut packet = Self::empty(time_base, None);
        // SAFETY: a blank packet; FFmpeg checks the size and pads what it allocates.
        check(unsafe { ffi::av_new_packet(packet.as_mut_ptr(), to_c_int(size)) })?;
        // SAFETY: the packet just got `size` bytes, to which nothing else refers.
        unsafe { (*packet.as_mut_ptr()).data.write_bytes(0, size) };
        Ok(packet)
    }

    /// The data, writable; empty if it has other references.
    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        let raw = self.as_mut_ptr();
        // SAFETY: a valid packet. Its data may be written while its buffer has no other reference, and
        // `self` is borrowed as long as the slice; `with_size` initialized every byte.
        unsafe {
            if (*raw).buf.is_null() || ffi::av_buffer_is_writable((*raw).buf) == 0 {
                return &mut [];
            }
            std::slice::from_raw_parts_mut((*raw).data, usize::try_from((*raw).size).unwrap_or(0))
        }
    }

    /// Removes so many bytes at the front.
    pub(crate) fn cut_front(&mut self, bytes: usize) {
        let bytes = bytes.min(self.data().len());
        let raw = self.as_mut_ptr();
        // SAFETY: ours. The pointer stays within its buffer, or at its end, and keeps the padding behind the data;
        // FFmpeg frees by the buffer, and moves such pointers itself.
        unsafe {
            (*raw).data = (*raw).data.add(bytes);
            (*raw).size -= to_c_int(bytes);
        }
    }

    /// Sets the times of presentation and decoding, in ticks of the time base.
    pub(crate) fn set_times(&mut self, pts: i64, dts: Option<i64>) {
        // SAFETY: ours.
        unsafe {
            (*self.as_mut_ptr()).pts = pts;
            (*self.as_mut_ptr()).dts = dts.unwrap_or(ffi::AV_NOPTS_VALUE);
        }
    }

    pub(crate) fn set_key(&mut self, key: bool) {
        // SAFETY: ours.
        let flags = unsafe { &mut (*self.as_mut_ptr()).flags };
        *flags = if key { *flags | ffi::AV_PKT_FLAG_KEY } else { *flags & !ffi::AV_PKT_FLAG_KEY };
    }

    pub(crate) fn as_ptr(&self) -> *const ffi::AVPacket {
        self.raw.0.as_ptr()
    }

    /// # Panics
    /// If there is another handle: shared packets must not be written.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut ffi::AVPacket {
        Arc::get_mut(&mut self.raw).expect("packets are written before they are shared").0.as_ptr()
    }

    pub(crate) fn set_arrival(&mut self, arrival_ns: u64) {
        self.arrival_ns = arrival_ns;
    }

    /// Sets both timestamps to the same time, for streams without reordering.
    pub(crate) fn set_ticks(&mut self, ticks: Option<i64>) {
        let ticks = ticks.unwrap_or(ffi::AV_NOPTS_VALUE);
        // SAFETY: our own valid packet; both fields are plain numbers.
        unsafe {
            (*self.as_mut_ptr()).pts = ticks;
            (*self.as_mut_ptr()).dts = ticks;
        }
    }

    pub(crate) fn stream_index(&self) -> i32 {
        self.get().stream_index
    }

    /// An unshared packet that refers to the same data, for FFmpeg calls that consume packets.
    ///
    /// # Errors
    /// Out of memory.
    pub(crate) fn detached(&self) -> Result<Self, AvError> {
        let mut other = Self { raw: Self::empty(self.time_base, None).raw, ..self.clone() };
        // SAFETY: both are valid packets, `other` is blank, and `self`'s data is reference-counted, as
        // av_read_frame and av_new_packet always return it.
        check(unsafe { ffi::av_packet_ref(other.as_mut_ptr(), self.as_ptr()) })?;
        Ok(other)
    }

    /// Bytes of memory that the packet holds; for a test picture, those of the picture.
    pub fn size(&self) -> usize {
        self.referred_bytes.unwrap_or_else(|| usize::try_from(self.get().size).unwrap_or(0))
    }

    /// The coded data; empty for a test picture, which is never coded.
    pub fn data(&self) -> &[u8] {
        let packet = self.get();
        let Ok(length) = usize::try_from(packet.size) else { return &[] };
        if packet.data.is_null() || self.referred_bytes.is_some() {
            return &[];
        }
        // SAFETY: FFmpeg's packet holds `size` bytes at `data` until it is freed, and nothing writes them
        // while this handle is borrowed: its buffer is shared only with readers.
        unsafe { std::slice::from_raw_parts(packet.data, length) }
    }

    /// Whether it is a packet of sound rather than of the video stream.
    pub fn is_sound(&self) -> bool {
        self.sound
    }

    /// Marks it as a packet of sound, with times in ticks of `time_base`.
    pub(crate) fn set_sound(&mut self, time_base: Fraction) {
        self.sound = true;
        self.time_base = time_base;
    }

    /// Its duration in ticks, if the source knows it.
    pub fn duration_ticks(&self) -> Option<i64> {
        Some(self.get().duration).filter(|ticks| *ticks > 0)
    }

    pub(crate) fn set_duration(&mut self, ticks: i64) {
        // SAFETY: ours.
        unsafe { (*self.as_mut_ptr()).duration = ticks };
    }

    /// Whether decoding of video can begin here; always false for sound.
    pub fn is_key(&self) -> bool {
        !self.sound && self.get().flags & ffi::AV_PKT_FLAG_KEY != 0
    }

    /// Whether the demuxer has detected damage in the data.
    pub fn corrupt(&self) -> bool {
        self.get().flags & ffi::AV_PKT_FLAG_CORRUPT != 0
    }

    /// The presentation time in nanoseconds on the source's time line.
    pub fn pts_ns(&self) -> Option<i64> {
        self.time(self.get().pts)
    }

    /// The decoding time in nanoseconds on the source's time line.
    pub fn dts_ns(&self) -> Option<i64> {
        self.time(self.get().dts)
    }

    /// The arrival of its first bytes, in nanoseconds of CLOCK_MONOTONIC
    /// ([`monotonic_ns`](crate::monotonic_ns)).
    ///
    /// For a camera's first few packets, which are read ahead while the source is opened, it can be some
    /// tenths of a second late. For data that waited in a socket's buffer it is the time of reading. For
    /// a file or a test picture it is the time at which the packet was due.
    pub fn arrival_ns(&self) -> u64 {
        self.arrival_ns
    }

    /// Whether the caller has marked that packets before this one are missing.
    pub fn discontinuity(&self) -> bool {
        self.discontinuity
    }

    /// Marks that packets before this one are missing. The first frame from this packet or a later one
    /// carries the mark.
    pub fn set_discontinuity(&mut self, discontinuity: bool) {
        self.discontinuity = discontinuity;
    }

    /// Its times from the source, in ticks of its stream's time base.
    pub fn raw_times(&self) -> RawTimes {
        let known = |ticks| (ticks != ffi::AV_NOPTS_VALUE).then_some(ticks);
        RawTimes { pts: known(self.get().pts), dts: known(self.get().dts) }
    }

    pub(crate) fn time_base(&self) -> Fraction {
        self.time_base
    }

    /// Whether the source has detected a loss in this packet or just before it.
    pub fn lost(&self) -> bool {
        self.lost
    }

    pub(crate) fn set_lost(&mut self, lost: bool) {
        self.lost = lost;
    }

    /// The capture time by the camera's clock, in nanoseconds of Unix time; known once the camera has
    /// sent an RTCP sender report.
    pub fn wall_clock_ns(&self) -> Option<i64> {
        self.wall_clock_ns
    }

    pub(crate) fn set_wall_clock(&mut self, wall_clock_ns: Option<i64>) {
        self.wall_clock_ns = wall_clock_ns;
    }

    fn time(&self, ticks: i64) -> Option<i64> {
        if ticks == ffi::AV_NOPTS_VALUE { None } else { self.time_base.ticks_to_ns(ticks) }
    }

    fn get(&self) -> &ffi::AVPacket {
        // SAFETY: valid as long as a handle exists; it is not written while there is another handle, nor while the only
        // one is borrowed. AVPacket has no enum fields.
        unsafe { self.raw.0.as_ref() }
    }
}

impl AsRef<[u8]> for Packet {
    fn as_ref(&self) -> &[u8] {
        self.data()
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet")
            .field("size", &self.size())
            .field("key", &self.is_key())
            .field("pts_ns", &self.pts_ns())
            .field("arrival_ns", &self.arrival_ns)
            .finish()
    }
}
