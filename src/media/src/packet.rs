//! A compressed packet.

use std::alloc::{Layout, handle_alloc_error};
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use ffmpeg_sys_next as ffi;

use crate::av::{AvError, check, to_c_int};
use crate::fraction::Fraction;
use crate::mux::RawTimes;

/// One packet: of the video stream, where with every codec here it is one coded picture, or of sound, where that
/// was asked for.
///
/// A handle: a clone refers to the same data, and allocates nothing. What this crate fills in it fills in before
/// there is a clone; the mark of a discontinuity is each handle's own.
#[derive(Clone)]
pub struct Packet {
    raw: Arc<Raw>,
    time_base: Fraction,
    arrival_ns: u64,
    /// Set when the packet's buffer only refers to a picture of this many bytes.
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
// SAFETY: it is written through `Packet::as_mut_ptr` only, which takes the one handle that there is. What several
// handles are for, reading the fields and av_packet_ref, writes nothing but the buffers' atomic counts.
unsafe impl Sync for Raw {}

impl Drop for Raw {
    fn drop(&mut self) {
        let mut pointer = self.0.as_ptr();
        // SAFETY: ours, freed once; drops this packet's count on the data.
        unsafe { ffi::av_packet_free(&mut pointer) };
    }
}

impl Packet {
    /// An empty packet for a demuxer to fill.
    pub(crate) fn empty(time_base: Fraction, referred_bytes: Option<usize>) -> Self {
        // SAFETY: takes nothing; null means no memory.
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
        // SAFETY: the packet was just given `size` bytes, which nobody else has seen.
        unsafe { (*packet.as_mut_ptr()).data.write_bytes(0, size) };
        Ok(packet)
    }

    /// What it holds, to be filled in; empty where other handles may see it.
    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        let raw = self.as_mut_ptr();
        // SAFETY: a valid packet. Its data may be written while its buffer has this one user, and
        // `self` is borrowed for as long as the slice; `with_size` initialised every byte.
        unsafe {
            if (*raw).buf.is_null() || ffi::av_buffer_is_writable((*raw).buf) == 0 {
                return &mut [];
            }
            std::slice::from_raw_parts_mut((*raw).data, usize::try_from((*raw).size).unwrap_or(0))
        }
    }

    /// Leaves out so many bytes at the front.
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

    /// States when the picture is shown and decoded, in ticks of its time base.
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
    /// When there is another handle: what is shared is no longer written.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut ffi::AVPacket {
        Arc::get_mut(&mut self.raw)
            .expect("packets are filled in before they are shared")
            .0
            .as_ptr()
    }

    pub(crate) fn set_arrival(&mut self, arrival_ns: u64) {
        self.arrival_ns = arrival_ns;
    }

    /// Sets both time stamps; there is no reordering.
    pub(crate) fn set_ticks(&mut self, ticks: Option<i64>) {
        let ticks = ticks.unwrap_or(ffi::AV_NOPTS_VALUE);
        // SAFETY: a valid packet of ours; both fields are plain numbers.
        unsafe {
            (*self.as_mut_ptr()).pts = ticks;
            (*self.as_mut_ptr()).dts = ticks;
        }
    }

    pub(crate) fn stream_index(&self) -> i32 {
        self.get().stream_index
    }

    /// A packet of its own with the same data, which is not copied: for what takes packets apart.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(crate) fn detached(&self) -> Result<Self, AvError> {
        let mut other = Self { raw: Self::empty(self.time_base, None).raw, ..self.clone() };
        // SAFETY: both are valid packets, `other` is blank, and `self`'s data is counted because
        // av_read_frame and av_new_packet hand out nothing else.
        check(unsafe { ffi::av_packet_ref(other.as_mut_ptr(), self.as_ptr()) })?;
        Ok(other)
    }

    /// Bytes of memory that the packet keeps; for a test picture those of the picture.
    pub fn size(&self) -> usize {
        self.referred_bytes.unwrap_or_else(|| usize::try_from(self.get().size).unwrap_or(0))
    }

    /// The coded picture; of a test picture there is none.
    pub fn data(&self) -> &[u8] {
        let packet = self.get();
        let Ok(length) = usize::try_from(packet.size) else { return &[] };
        if packet.data.is_null() || self.referred_bytes.is_some() {
            return &[];
        }
        // SAFETY: FFmpeg's packet holds `size` bytes at `data` until it is freed, and nobody writes them
        // while this handle is borrowed: its buffer is shared only among readers.
        unsafe { std::slice::from_raw_parts(packet.data, length) }
    }

    /// Whether it is of sound, and not of the video stream.
    pub fn is_sound(&self) -> bool {
        self.sound
    }

    /// Marks it as one of sound, whose times are in ticks of `time_base`.
    pub(crate) fn set_sound(&mut self, time_base: Fraction) {
        self.sound = true;
        self.time_base = time_base;
    }

    /// How long it lasts in ticks, where the source knows it.
    pub fn duration_ticks(&self) -> Option<i64> {
        Some(self.get().duration).filter(|ticks| *ticks > 0)
    }

    pub(crate) fn set_duration(&mut self, ticks: i64) {
        // SAFETY: ours.
        unsafe { (*self.as_mut_ptr()).duration = ticks };
    }

    /// Whether decoding of pictures can begin here; never with sound.
    pub fn is_key(&self) -> bool {
        !self.sound && self.get().flags & ffi::AV_PKT_FLAG_KEY != 0
    }

    /// Whether the demuxer knows that the data is damaged.
    pub fn corrupt(&self) -> bool {
        self.get().flags & ffi::AV_PKT_FLAG_CORRUPT != 0
    }

    /// When the picture is to be shown, in nanoseconds on the source's own scale.
    pub fn pts_ns(&self) -> Option<i64> {
        self.time(self.get().pts)
    }

    /// When the picture is to be decoded, in nanoseconds on the source's own scale.
    pub fn dts_ns(&self) -> Option<i64> {
        self.time(self.get().dts)
    }

    /// When its first bytes arrived, in nanoseconds of CLOCK_MONOTONIC
    /// ([`monotonic_ns`](crate::monotonic_ns)).
    ///
    /// Of a camera's first few packets, which were read ahead while it was opened, it states a moment up
    /// to some tenths of a second late; of what waited in a socket's buffer, when it was read from
    /// there. For a file or a test picture it is the moment when the packet was due and let go.
    pub fn arrival_ns(&self) -> u64 {
        self.arrival_ns
    }

    /// Whether packets before this one are missing, as the caller marked it.
    pub fn discontinuity(&self) -> bool {
        self.discontinuity
    }

    /// Marks that packets before this one are missing; the first decoded frame that is not before
    /// this packet carries the mark.
    pub fn set_discontinuity(&mut self, discontinuity: bool) {
        self.discontinuity = discontinuity;
    }

    /// Its times as the source gave them, in ticks of its stream's time base.
    pub fn raw_times(&self) -> RawTimes {
        let known = |ticks| (ticks != ffi::AV_NOPTS_VALUE).then_some(ticks);
        RawTimes { pts: known(self.get().pts), dts: known(self.get().dts) }
    }

    pub(crate) fn time_base(&self) -> Fraction {
        self.time_base
    }

    /// Whether the source knows that something was lost on the way just before this packet, or of it.
    pub fn lost(&self) -> bool {
        self.lost
    }

    pub(crate) fn set_lost(&mut self, lost: bool) {
        self.lost = lost;
    }

    /// When the picture was taken by the camera's own clock, in nanoseconds of Unix time; known once
    /// the camera has sent an RTCP sender report.
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
        // SAFETY: valid as long as a handle is; nobody writes it while there is another, nor while the only one is
        // borrowed. AVPacket has no enum fields of its own.
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
