//! Question: what does a frame cost at a camera's pace, a slot's write and a reader's copy?
//!
//! Each camera has a frame every 33 ms, and the cameras follow one another evenly. Between two frames the threads
//! sleep, as those of cameras do. A loop without pauses finds everything in the caches, page tables above all, and
//! may report a quarter of the real cost.
//!
//! One thread writes the picture as a decoder does, then its slot; another one waits for the frame and copies it.
//! Only the write and the copy are timed, as processor time of their threads. Ways run in turns of a second, and
//! the figures are medians of the turns' medians, and ratios are to `Small`:
//!
//! - `Small`: ring, decoder's pictures and reader's image on small pages, as without huge pages;
//! - `Ring`: the ring on huge pages, and no more;
//! - `Huge`: all three on huge pages;
//! - `Cached`, `Streaming`: as `Huge`, but written with ordinary stores, or past the caches, whatever the size.
//!
//! There are no 16 cameras of 3840x2160: their rings and pictures would take 10 GiB, and their frames more than the
//! two processors that these benches run on.
//!
//!     cargo bench -p vas-bench --bench paced [-- 1920x1080]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use vas_bench::{
    CAMERAS, Distribution, HUGE_MALLOC, Options, Pace, PagedCamera, Pages, Turns, huge_pages,
    own_cpu_time, pin_to, with_tunables,
};
use vas_frame::nv12::StoreKind;
use vas_frame::{Nv12Image, Reader};

const TURNS: usize = 7;
const FRAMES: u64 = 30;

/// Sizes, and how many cameras. Those below 640x360 are around the size from which on slots are written past the caches.
const PLACES: [(u32, u32, &[usize]); 7] = [
    (80, 60, &[1, 16]),
    (160, 120, &[1, 16]),
    (320, 240, &[1, 16]),
    (640, 360, &CAMERAS),
    (1280, 720, &[1]),
    (1920, 1080, &CAMERAS),
    (3840, 2160, &[1, 4]),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Small,
    Ring,
    Huge,
    Cached,
    Streaming,
}

const WAYS: [Way; 5] = [Way::Small, Way::Ring, Way::Huge, Way::Cached, Way::Streaming];

impl Way {
    fn ring(self) -> Pages {
        if self == Self::Small { Pages::Small } else { Pages::Huge }
    }

    /// Of the decoder's pictures and the reader's image.
    fn own(self) -> Pages {
        if matches!(self, Self::Small | Self::Ring) { Pages::Small } else { Pages::Huge }
    }

    fn store(self) -> StoreKind {
        match self {
            Self::Cached => StoreKind::Cached,
            Self::Streaming => StoreKind::Streaming,
            _ => StoreKind::Auto,
        }
    }
}

/// What the reading thread has of a camera, on small pages and on huge ones.
struct Viewer {
    readers: [Reader; 2],
    images: [Nv12Image; 2],
}

impl Viewer {
    fn new(camera: &PagedCamera) -> Self {
        let readers = [Pages::Small, Pages::Huge].map(|pages| camera.ring(pages).reader());
        Self { readers, images: Default::default() }
    }

    fn cursor(&self, way: Way) -> u64 {
        self.readers[way.ring() as usize].cursor()
    }

    /// None if the frame was overwritten meanwhile: the machine is very busy.
    fn copy(&mut self, way: Way) -> Option<Duration> {
        let frame = self.readers[way.ring() as usize].next().expect("a frame is published");
        let start = own_cpu_time();
        let image = &mut self.images[way.own() as usize];
        frame.copy_if_valid(image).is_ok().then(|| own_cpu_time() - start)
    }
}

/// Copies what the other thread writes: in each turn, `FRAMES` frames of each camera, as far as they last.
fn view(mut viewers: Vec<Viewer>, turns: Receiver<Way>, times: Sender<Distribution>) {
    pin_to(1);
    for way in turns {
        let mut copies = Distribution::default();
        let ends: Vec<u64> = viewers.iter().map(|viewer| viewer.cursor(way) + FRAMES).collect();
        for _ in 0..FRAMES {
            for (viewer, end) in viewers.iter_mut().zip(&ends) {
                if viewer.cursor(way) < *end {
                    viewer.copy(way).into_iter().for_each(|time| copies.add(time));
                }
            }
        }
        if times.send(copies).is_err() {
            return;
        }
    }
}

/// Writes a turn's frames, a picture when it is due.
fn write(cameras: &mut [PagedCamera], way: Way) -> Distribution {
    let mut writes = Distribution::default();
    let mut pace = Pace::new(cameras.len());
    for _ in 0..FRAMES as usize * cameras.len() {
        let camera = &mut cameras[pace.next_camera()];
        writes.add(camera.write(way.ring(), way.own(), way.store()));
    }
    writes
}

fn bench(title: &str, size: (u32, u32), count: usize) {
    let mut cameras: Vec<_> = (0..count).map(|_| PagedCamera::new(size)).collect();
    let viewers = cameras.iter().map(Viewer::new).collect();
    let (ask, asked) = channel();
    let (tell, copied) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || view(viewers, asked, tell));
        let mut run = |way| {
            ask.send(way).expect("the reader waits");
            let writes = write(&mut cameras, way);
            [writes, copied.recv().expect("the reader answers")]
        };
        // The reader's pages are mapped as it first touches them: each way's under its own rule.
        for way in WAYS {
            huge_pages(way.ring());
            run(way);
        }
        Turns::run(["write", "copy"], &WAYS, TURNS, &mut run).report(title, |_| Way::Small);
        drop(ask);
    });
}

fn main() {
    with_tunables(HUGE_MALLOC);
    pin_to(0);
    let options = Options::of_this_process();
    for (width, height, counts) in PLACES {
        for &count in counts {
            let title = format!("{width}x{height} cameras {count}");
            if options.wants(&title) {
                bench(&title, (width, height), count);
            }
        }
    }
}
