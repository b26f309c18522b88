//! Question: what does a reader's copy cost at a camera's pace in each language, on huge pages and on small ones?
//!
//! Each camera has a frame every 33 ms, written as the service writes it. Readers are processes: one in Rust, the one
//! in C (src/c, by `cc -O2`) and docs/examples/reader.py, each on small and on huge pages. They take turns of a
//! second. The figures are medians of the turns' medians of the processor time of a copy, and ratios are to the same
//! language on small pages:
//!
//! - `Small`: the ring and the reader's memory on small pages;
//! - `Ring`: the ring on huge pages, the program as it is;
//! - `Malloc`: as `Ring`, and malloc asks for huge pages (`GLIBC_TUNABLES`).
//!
//! Rust has no `Malloc`: its image asks for huge pages itself from 2 MiB on. Python makes a new array for each frame.
//!
//!     cargo bench -p vas-bench --bench reader_copy [-- FILTER]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use vas_bench::{
    CAMERAS, Distribution, HUGE_MALLOC, Options, Pace, PagedCamera, Pages, Turns, huge_pages,
    own_cpu_time, pin_to, with_tunables,
};
use vas_frame::nv12::StoreKind;
use vas_frame::{Nv12Image, Reader};

const TURNS: usize = 7;
const FRAMES: usize = 20;
const LONG: Duration = Duration::from_secs(10);

const PLACES: [(u32, u32, &[usize]); 3] =
    [(640, 360, &CAMERAS), (1920, 1080, &CAMERAS), (3840, 2160, &[1, 4])];

/// The argument that makes this program a reader.
const AS_READER: &str = "as-reader";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    RustSmall,
    RustRing,
    CSmall,
    CRing,
    CMalloc,
    PythonSmall,
    PythonRing,
    PythonMalloc,
}

const WAYS: [Way; 8] = [
    Way::RustSmall,
    Way::RustRing,
    Way::CSmall,
    Way::CRing,
    Way::CMalloc,
    Way::PythonSmall,
    Way::PythonRing,
    Way::PythonMalloc,
];

impl Way {
    fn small(self) -> Self {
        match self {
            Self::RustSmall | Self::RustRing => Self::RustSmall,
            Self::CSmall | Self::CRing | Self::CMalloc => Self::CSmall,
            Self::PythonSmall | Self::PythonRing | Self::PythonMalloc => Self::PythonSmall,
        }
    }

    fn pages(self) -> Pages {
        if self == self.small() { Pages::Small } else { Pages::Huge }
    }

    fn command(self, c_reader: &Path) -> Command {
        let mut command = match self.small() {
            Self::RustSmall => {
                let this = std::env::current_exe().expect("a process knows its own file");
                let mut command = Command::new(this);
                command.arg(AS_READER);
                command
            }
            Self::CSmall => Command::new(c_reader),
            _ => {
                // The system's Python, which has Debian's numpy.
                let mut command = Command::new("/usr/bin/python3");
                command.arg(source("copy.py"));
                command
            }
        };
        if !matches!(self, Self::CMalloc | Self::PythonMalloc) {
            command.env_remove("GLIBC_TUNABLES");
        }
        command
    }
}

/// A file of bench/readers.
fn source(name: &str) -> String {
    format!("{}/readers/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A process that reads, and answers each request with the times of its copies.
struct Process {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    fn start(way: Way, c_reader: &Path, cameras: &[PagedCamera]) -> Self {
        huge_pages(way.pages());
        let mut command = way.command(c_reader);
        command.args(cameras.iter().map(|camera| camera.ring(way.pages()).dir()));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("can't start {command:?}: {error}"));
        let requests = child.stdin.take().expect("a pipe");
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, requests, answers }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the reader's words are text");
        assert!(!line.is_empty(), "the reader has ended");
        line
    }

    /// Has it copy frames that `write` writes meanwhile.
    fn turn(&mut self, write: impl FnOnce()) -> Distribution {
        writeln!(self.requests, "{FRAMES}").expect("the reader lives");
        assert_eq!(self.line(), "ready\n");
        write();
        let mut times = Distribution::default();
        for ns in self.line().split_ascii_whitespace() {
            times.add(Duration::from_nanos(ns.parse().expect("nanoseconds")));
        }
        times
    }

    fn end(self) {
        let Self { mut child, requests, .. } = self;
        drop(requests);
        child.wait().expect("the reader was started here");
    }
}

/// The reader in Rust, as bench/readers/copy.c.
fn read(dirs: impl Iterator<Item = String>) {
    let open = |dir| Reader::options().dir(dir).timeout(LONG).open("bench");
    let mut cameras: Vec<_> =
        dirs.map(|dir| (open(dir).expect("an export"), Nv12Image::default())).collect();
    for request in std::io::stdin().lines() {
        let frames: u64 = request.expect("text").parse().expect("a number of frames");
        let end = |(reader, _): &mut (Reader, Nv12Image)| {
            // Skip what is old, if there is anything.
            let _ = reader.latest();
            reader.cursor() + frames
        };
        let ends: Vec<u64> = cameras.iter_mut().map(end).collect();
        println!("ready");
        let mut times = String::new();
        for _ in 0..frames {
            for ((reader, image), end) in cameras.iter_mut().zip(&ends) {
                // Frames may be lost on a busy machine.
                if reader.cursor() >= *end {
                    continue;
                }
                let frame = reader.next().expect("a frame is published");
                let start = own_cpu_time();
                if frame.copy_if_valid(image).is_ok() {
                    times += &format!("{} ", (own_cpu_time() - start).as_nanos());
                }
            }
        }
        println!("{times}");
    }
}

fn bench(title: &str, size: (u32, u32), count: usize, c_reader: &Path) {
    let mut cameras: Vec<_> = (0..count).map(|_| PagedCamera::new(size)).collect();
    // Children run where this process runs when it starts them.
    pin_to(1);
    let mut readers = WAYS.map(|way| Process::start(way, c_reader, &cameras));
    pin_to(0);
    let mut turn = |way: Way| {
        let cameras = &mut cameras;
        let copies = readers[way as usize].turn(|| {
            let mut pace = Pace::new(count);
            for _ in 0..FRAMES * count {
                cameras[pace.next_camera()].write(way.pages(), Pages::Huge, StoreKind::Auto);
            }
        });
        [copies]
    };
    // Each reader maps what it needs.
    for way in WAYS {
        turn(way);
    }
    Turns::run(["copy"], &WAYS, TURNS, turn).report(title, Way::small);
    readers.into_iter().for_each(Process::end);
}

/// Compiles the reader in C.
fn compile(to: &Path) {
    let c = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/c");
    let done = Command::new("cc")
        .args(["-std=gnu11", "-O2", "-I", c, "-o"])
        .arg(to)
        .args([source("copy.c"), format!("{c}/vas_frame.c")])
        .status();
    assert!(done.expect("a C compiler is installed").success(), "the reader in C compiles");
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().is_some_and(|first| first == AS_READER) {
        return read(arguments);
    }
    with_tunables(HUGE_MALLOC);
    let dir = tempfile::tempdir().expect("a directory for the reader in C");
    let c_reader = dir.path().join("copy");
    compile(&c_reader);
    let options = Options::of_this_process();
    for (width, height, counts) in PLACES {
        for &count in counts {
            let title = format!("{width}x{height} cameras {count}");
            if options.wants(&title) {
                bench(&title, (width, height), count, &c_reader);
            }
        }
    }
}
