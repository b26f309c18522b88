//! Question: is writing a picture into its slot, with and without one reader copying it, no slower than
//! the best ordinary way?
//!
//! VAS: one pass from yuv420p to NV12 as in the service (`Auto`: non-temporal stores at all of these sizes), and
//! with ordinary stores (`Cached`). Ordinary: `Memcpy` of the same bytes without interleaving, glibc's loop of
//! vector stores; `Movsb`, the `rep movsb` that glibc uses instead on many processors; `MemcpyPast`, glibc's own
//! non-temporal memcpy; `Loop`, memcpy of luma and a plain loop over chroma. Readers copy in the same way as their
//! writer, those of `Loop` and `MemcpyPast` with memcpy, and that of `MemcpyPastBoth` with the non-temporal one;
//! those of VAS with `copy_if_valid`.
//!
//! Two thresholds of glibc are set so that each way does what its name says: from the first on a copy is
//! non-temporal, and below the other it is no `rep movsb`, which glibc on AMD would otherwise use for copies
//! smaller than the second-level cache, whatever the first threshold is.
//!
//! At a camera's pace, each of 1, 4 and 16 cameras has a frame every 33 ms, which one of the ways copies; each camera
//! is as in the service, with 13 slots and a decoder's pool of 8 pictures. Processor time counts, of the writer's
//! thread. `paced` and `reader_copy` time a reader in a thread or process of its own.
//!
//! What follows is about `loop`, which copies as fast as possible, by the wall clock. Pictures are `written` just before they are copied, into a pool of 8 like a decoder's, or `cold`: taken in
//! turn from a pool larger than any cache. Slots are taken in turn from a ring larger than any cache, since
//! half a second of decoding lies between two uses of a slot. With the 13 slots of a camera, all used within
//! a millisecond here, a way would find its slot in the cache or not depending on the way that used it
//! before. For the same reason each way has its own destination for reads. Time counts from the claim of the
//! slot to its publication, or to the end of the reader's copy, on the writer's thread (`Same`) or on another
//! processor (`Other`), or until that reader has also read its copy once (`Used`): a copy past the cache
//! finishes sooner but is slower to read.
//!
//! What huge pages are for is on them: rings, the decoder's pictures, readers' copies.
//!
//!     cargo bench -p vas-bench --bench slot_write [-- [loop] FILTER]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::Criterion;
use vas_bench::{
    CAMERAS, Contest, DECODER_POOL, Memory, Options, Pace, Pictures, Rig, measure, own_cpu_time,
    pin_to, with_tunables,
};
use vas_frame::nv12::{Picture, StoreKind};
use vas_frame::{Nv12Image, Reader};

/// A copy of 64 KiB or more streams; the planes of 360p are larger, `PIECE` is smaller.
const TUNABLES: &str = "glibc.malloc.hugetlb=1:glibc.cpu.x86_non_temporal_threshold=0x10000:\
    glibc.cpu.x86_rep_movsb_threshold=0x100000000";
const PIECE: usize = 0x8000;

/// Larger than any cache of the machines in question.
const COLD_BYTES: u64 = 96 << 20;

/// Rounds at a camera's pace. A round has a frame for each way.
const PACED_ROUNDS: u64 = 40;
/// Sizes at a camera's pace, and how many cameras.
const PACED: [(u32, u32, &[usize]); 3] =
    [(640, 360, &CAMERAS), (1920, 1080, &CAMERAS), (3840, 2160, &[1, 4])];

/// The three sizes of the goal, one below them, and one between.
const SIZES: [(u32, u32); 5] = [(320, 240), (640, 360), (1280, 720), (1920, 1080), (3840, 2160)];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Auto,
    Cached,
    Memcpy,
    Movsb,
    MemcpyPast,
    Loop,
    MemcpyPastBoth,
}

/// All ways; the last differs from another one only in its reader.
const WAYS: [Way; 7] = [
    Way::Auto,
    Way::Cached,
    Way::Memcpy,
    Way::Movsb,
    Way::MemcpyPast,
    Way::Loop,
    Way::MemcpyPastBoth,
];
const WRITES: &[Way] = WAYS.split_at(6).0;
const ORDINARY: &[Way] = WAYS.split_at(2).1;

#[derive(Clone, Copy, Debug)]
enum Source {
    Written,
    Cold,
}

#[derive(Clone, Copy, Debug)]
enum Read {
    None,
    Same,
    Other,
    Used,
}

/// An ordinary memcpy, whatever the threshold: glibc's default for a picture on most machines.
fn memcpy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.chunks_mut(PIECE).zip(from.chunks(PIECE)) {
        to.copy_from_slice(from);
    }
}

/// A copy by the processor's own instruction.
#[cfg(target_arch = "x86_64")]
fn movsb(to: &mut [u8], from: &[u8]) {
    assert_eq!(to.len(), from.len());
    // SAFETY: both slices have the given length, and they don't overlap.
    unsafe {
        std::arch::asm!(
            "rep movsb",
            inout("rcx") to.len() => _,
            inout("rsi") from.as_ptr() => _,
            inout("rdi") to.as_mut_ptr() => _,
            options(nostack, preserves_flags),
        );
    }
}

/// The processor has no such instruction.
#[cfg(not(target_arch = "x86_64"))]
fn movsb(to: &mut [u8], from: &[u8]) {
    memcpy(to, from);
}

impl Way {
    /// How an ordinary way copies.
    fn copy(self, to: &mut [u8], from: &[u8]) {
        match self {
            Self::MemcpyPast | Self::MemcpyPastBoth => to.copy_from_slice(from),
            Self::Movsb => movsb(to, from),
            _ => memcpy(to, from),
        }
    }

    fn write(self, rig: &mut Rig, pictures: &Pictures) {
        let mut slot = rig.claim();
        let store = match self {
            Self::Auto => Some(StoreKind::Auto),
            Self::Cached => Some(StoreKind::Cached),
            _ => None,
        };
        if let Some(store) = store {
            slot.write(&pictures.picture(), store).expect("the picture is of the slot's size");
        } else {
            let (luma, chroma) = slot.planes_mut();
            let (y, c) = pictures.bytes().split_at(luma.len());
            if self == Self::Loop {
                interleave(&pictures.picture(), luma, chroma);
            } else {
                self.copy(luma, y);
                self.copy(chroma, c);
            }
        }
        let meta = rig.meta();
        slot.publish(&meta);
    }
}

/// The straightforward implementation.
fn interleave(picture: &Picture<'_>, luma: &mut [u8], chroma: &mut [u8]) {
    let Picture::Yuv420p { y, u, v } = picture else { unreachable!("pictures here are planar") };
    memcpy(luma, y.data);
    for ((u, v), to) in u.data.iter().zip(v.data).zip(chroma.chunks_exact_mut(2)) {
        to[0] = *u;
        to[1] = *v;
    }
}

/// A reader, with a destination for each way.
struct Taker {
    reader: Reader,
    images: [Nv12Image; WAYS.len()],
    plain: [Memory; WAYS.len()],
}

impl Taker {
    fn new(rig: &Rig, bytes: u64) -> Self {
        let plain = std::array::from_fn(|_| Memory::noise(5, bytes as usize));
        Self { reader: rig.reader(), images: Default::default(), plain }
    }

    /// Reads the copy, as a consumer would; the result keeps the compiler from removing the reads.
    fn sum(&self, way: Way) -> u64 {
        let copy = if ORDINARY.contains(&way) {
            self.plain[way as usize].get()
        } else {
            self.images[way as usize].data()
        };
        copy.as_chunks().0.iter().fold(0, |sum, word| sum ^ u64::from_ne_bytes(*word))
    }

    fn take(&mut self, way: Way) {
        let frame = self.reader.latest().expect("a frame was just published");
        if ORDINARY.contains(&way) {
            let to = self.plain[way as usize].get_mut();
            // SAFETY: the slot holds this many bytes, and nothing writes it: the ring has more than one
            // slot, and its writer waits for this reader.
            let from = unsafe { std::slice::from_raw_parts(frame.raw().y.as_ptr(), to.len()) };
            let by = if way == Way::MemcpyPast { Way::Memcpy } else { way };
            by.copy(to, from);
            assert!(frame.still_valid());
        } else {
            let image = &mut self.images[way as usize];
            frame.copy_if_valid(image).expect("nothing writes the slot");
        }
    }
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// A taker on another processor, which spins so that no wake-up is measured.
struct Desk {
    asked: AtomicU64,
    done: AtomicU64,
}

const STOP: u64 = u64::MAX;

impl Desk {
    fn serve(&self, mut taker: Taker, uses: bool) {
        pin_to(1);
        let mut served = 0;
        loop {
            let asked = self.asked.load(Ordering::Acquire);
            if asked == STOP {
                return;
            }
            if asked == served {
                std::hint::spin_loop();
                continue;
            }
            let way = WAYS[(asked % WAYS.len() as u64) as usize];
            taker.take(way);
            if uses {
                std::hint::black_box(taker.sum(way));
            }
            served = asked;
            self.done.store(asked, Ordering::Release);
        }
    }

    fn ask(&self, way: Way) {
        let count = WAYS.len() as u64;
        let turn = self.asked.load(Ordering::Relaxed) / count + 1;
        let ask = turn * count + WAYS.iter().position(|w| *w == way).map_or(0, |at| at as u64);
        self.asked.store(ask, Ordering::Release);
        while self.done.load(Ordering::Acquire) != ask {
            std::hint::spin_loop();
        }
    }
}

fn bench(criterion: &mut Criterion, (width, height): (u32, u32), source: Source, read: Read) {
    let title = format!("{width}x{height} {source:?} read:{read:?}");
    let geometry = Rig::geometry(width, height);
    let bytes = geometry.picture_bytes();
    let count = match source {
        Source::Written => DECODER_POOL,
        Source::Cold => (COLD_BYTES / bytes) as usize,
    };
    let mut rig = Rig::at_least(geometry, COLD_BYTES);
    let mut pictures = Pictures::new(geometry, count);
    let next = |pictures: &mut Pictures| match source {
        Source::Written => pictures.decode_next(),
        Source::Cold => pictures.turn(),
    };
    let mut taker = Taker::new(&rig, bytes);
    match read {
        Read::None => measure(criterion, &title, WRITES, ORDINARY, |way| {
            next(&mut pictures);
            time(|| way.write(&mut rig, &pictures))
        }),
        Read::Same => measure(criterion, &title, &WAYS, ORDINARY, |way| {
            next(&mut pictures);
            time(|| {
                way.write(&mut rig, &pictures);
                taker.take(way);
            })
        }),
        Read::Other | Read::Used => {
            let desk = Desk { asked: AtomicU64::new(0), done: AtomicU64::new(0) };
            std::thread::scope(|scope| {
                scope.spawn(|| desk.serve(taker, matches!(read, Read::Used)));
                measure(criterion, &title, &WAYS, ORDINARY, |way| {
                    next(&mut pictures);
                    time(|| {
                        way.write(&mut rig, &pictures);
                        desk.ask(way);
                    })
                });
                desk.asked.store(STOP, Ordering::Release);
            });
        }
    }
}

/// What a bench at a camera's pace has of a camera.
struct Camera {
    rig: Rig,
    pictures: Pictures,
    taker: Taker,
}

fn paced(options: &Options, (width, height): (u32, u32), count: usize, read: Read) {
    let title = format!("{width}x{height} cameras {count} read:{read:?}");
    if !options.wants(&title) {
        return;
    }
    let geometry = Rig::geometry(width, height);
    let camera = |_| {
        let rig = Rig::new(geometry);
        let taker = Taker::new(&rig, geometry.picture_bytes());
        Camera { rig, pictures: Pictures::new(geometry, DECODER_POOL), taker }
    };
    let mut cameras: Vec<Camera> = (0..count).map(camera).collect();
    let ways = if matches!(read, Read::None) { WRITES } else { &WAYS };
    let mut contest = Contest::new(ways);
    let mut pace = Pace::new(count);
    contest.rounds(PACED_ROUNDS, ways[0], &mut |way| {
        let Camera { rig, pictures, taker } = &mut cameras[pace.next_camera()];
        pictures.decode_next();
        let start = own_cpu_time();
        way.write(rig, pictures);
        if matches!(read, Read::Same) {
            taker.take(way);
        }
        own_cpu_time() - start
    });
    contest.report(&title, ORDINARY);
}

fn main() {
    with_tunables(TUNABLES);
    pin_to(0);
    let options = Options::of_this_process();
    if !options.looped {
        for (width, height, counts) in PACED {
            for &count in counts {
                for read in [Read::None, Read::Same] {
                    paced(&options, (width, height), count, read);
                }
            }
        }
        return;
    }
    let mut criterion = options
        .criterion()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(600));
    for read in [Read::None, Read::Same, Read::Other, Read::Used] {
        for size in SIZES {
            for source in [Source::Written, Source::Cold] {
                bench(&mut criterion, size, source, read);
            }
        }
    }
    criterion.final_summary();
}
