//! Question: what does a frame cost at a camera's pace, a slot's write and a reader's copy?
//!
//! Each camera has a frame every 33 ms, and the cameras follow one another evenly. Between two frames the threads
//! sleep, as those of cameras do. A loop without pauses finds everything in the caches, page tables above all, and
//! may report a quarter of the real cost.
//!
//! One thread writes the picture as a decoder does, then its slot; another one waits for the frame and copies it.
//! Only the write and the copy are timed, as processor time of their threads. Ways run in turns of a second, and
//! the figures are medians of the turns' medians:
//!
//! - `Small`: ring, decoder's pictures and reader's image on small pages, as without huge pages;
//! - `Ring`: the ring on huge pages, and no more;
//! - `Huge`: all three on huge pages;
//! - `Cached`: as `Huge`, but written with ordinary stores.
//!
//!     cargo bench -p vas-bench --bench paced [-- 1920x1080]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rustix::thread::disable_transparent_huge_pages;
use vas_bench::{Distribution, Pictures, Rig, own_cpu_time, pin_to, with_tunables};
use vas_frame::nv12::StoreKind;
use vas_frame::{Nv12Image, Reader};

/// Malloc asks for huge pages; they are kept from those who are to have none.
const TUNABLES: &str = "glibc.malloc.hugetlb=1";
const PERIOD: Duration = Duration::from_nanos(33_333_333);
const DECODER_POOL: usize = 8;
const TURNS: usize = 7;
const FRAMES: u32 = 30;

const PLACES: [(u32, u32, &[usize]); 4] =
    [(640, 360, &[1, 4, 16]), (1280, 720, &[1]), (1920, 1080, &[1, 4, 16]), (3840, 2160, &[1, 4])];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Small,
    Ring,
    Huge,
    Cached,
}

const WAYS: [Way; 4] = [Way::Small, Way::Ring, Way::Huge, Way::Cached];

impl Way {
    fn ring(self) -> usize {
        usize::from(self != Self::Small)
    }

    /// Of the decoder's pictures and the reader's image.
    fn own(self) -> usize {
        usize::from(matches!(self, Self::Huge | Self::Cached))
    }

    fn store(self) -> StoreKind {
        if self == Self::Cached { StoreKind::Cached } else { StoreKind::Auto }
    }
}

/// What the writing thread has of a camera, on small pages and on huge ones.
struct Camera {
    rings: [Rig; 2],
    pictures: [Pictures; 2],
}

impl Camera {
    fn new((width, height): (u32, u32)) -> Self {
        let geometry = Rig::geometry(width, height);
        let both = || (Rig::new(geometry), Pictures::new(geometry, DECODER_POOL));
        huge_pages(false);
        let small = both();
        huge_pages(true);
        let huge = both();
        Self { rings: [small.0, huge.0], pictures: [small.1, huge.1] }
    }

    fn viewer(&self) -> Viewer {
        Viewer { readers: self.rings.each_ref().map(Rig::reader), images: Default::default() }
    }

    fn write(&mut self, way: Way) -> Duration {
        let pictures = &mut self.pictures[way.own()];
        pictures.decode_next();
        let ring = &mut self.rings[way.ring()];
        let start = own_cpu_time();
        let mut slot = ring.claim();
        slot.write(&pictures.picture(), way.store()).expect("the picture is of the slot's size");
        let took = own_cpu_time() - start;
        let meta = ring.meta();
        slot.publish(&meta);
        took
    }
}

/// What the reading thread has of it.
struct Viewer {
    readers: [Reader; 2],
    images: [Nv12Image; 2],
}

impl Viewer {
    fn copy(&mut self, way: Way) -> Duration {
        let frame = self.readers[way.ring()].next().expect("a frame is published");
        let start = own_cpu_time();
        frame.copy_if_valid(&mut self.images[way.own()]).expect("nobody writes the slot now");
        own_cpu_time() - start
    }
}

/// Whether memory that is touched from now on may get huge pages. What has small pages keeps them.
fn huge_pages(may: bool) {
    disable_transparent_huge_pages(!may).expect("a process may do without huge pages");
}

/// A turn: so many frames of each camera.
#[derive(Clone, Copy)]
struct Turn {
    way: Way,
    frames: u32,
}

/// Copies what the other thread writes.
fn view(mut viewers: Vec<Viewer>, turns: Receiver<Turn>, times: Sender<Distribution>) {
    pin_to(1);
    for turn in turns {
        let mut copies = Distribution::default();
        for _ in 0..turn.frames {
            viewers.iter_mut().for_each(|viewer| copies.add(viewer.copy(turn.way)));
        }
        if times.send(copies).is_err() {
            return;
        }
    }
}

/// Writes a turn's frames, a picture when it is due.
fn write(cameras: &mut [Camera], turn: Turn) -> Distribution {
    let mut writes = Distribution::default();
    let apart = PERIOD / cameras.len() as u32;
    let mut due = Instant::now();
    for _ in 0..turn.frames {
        for camera in cameras.iter_mut() {
            due += apart;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            writes.add(camera.write(turn.way));
        }
    }
    writes
}

fn bench(size: (u32, u32), count: usize) {
    let mut cameras: Vec<Camera> = (0..count).map(|_| Camera::new(size)).collect();
    let viewers = cameras.iter().map(Camera::viewer).collect();
    let (ask, asked) = channel();
    let (tell, copied) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || view(viewers, asked, tell));
        let mut run = |turn| {
            ask.send(turn).expect("the reader waits");
            let writes = write(&mut cameras, turn);
            (writes, copied.recv().expect("the reader answers"))
        };
        // The reader's pages are mapped as it first touches them: each way's under its own rule.
        for way in WAYS {
            huge_pages(way != Way::Small);
            run(Turn { way, frames: FRAMES });
        }
        huge_pages(false);
        let mut medians = WAYS.map(|_| <[Distribution; 2]>::default());
        for turn in 0..TURNS {
            for at in 0..WAYS.len() {
                // Nobody always runs behind the same one.
                let index = (at * (turn % 2 * 2 + 1) + turn) % WAYS.len();
                let (writes, copies) = run(Turn { way: WAYS[index], frames: FRAMES });
                medians[index][0].add(writes.percentile(50));
                medians[index][1].add(copies.percentile(50));
            }
        }
        report(size, count, &medians);
        drop(ask);
    });
}

fn report((width, height): (u32, u32), cameras: usize, medians: &[[Distribution; 2]; WAYS.len()]) {
    println!("\n{width}x{height}, {cameras} cameras");
    println!("  way     write us  lowest highest  ratio    copy us  lowest highest  ratio");
    for (way, times) in WAYS.iter().zip(medians) {
        let cells = [0, 1].map(|what| {
            let us = |percent| times[what].percentile(percent).as_secs_f64() * 1e6;
            let ratio = us(50) / (medians[0][what].percentile(50).as_secs_f64() * 1e6);
            format!("{:>9.1} {:>7.1} {:>7.1} {ratio:>6.2}", us(50), us(0), us(100))
        });
        println!("  {:<7}{}  {}", format!("{way:?}"), cells[0], cells[1]);
    }
}

fn main() {
    with_tunables(TUNABLES);
    pin_to(0);
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    for (width, height, counts) in PLACES {
        let name = format!("{width}x{height}");
        if filter.as_ref().is_some_and(|filter| !name.contains(filter.as_str())) {
            continue;
        }
        for &count in counts {
            bench((width, height), count);
        }
    }
}
