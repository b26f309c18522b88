//! A writer that is killed at any moment: the next takes over, readers follow, none accepts a wrong
//! frame.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use vas_frame::{Frame, Nv12Image, ReadError, Reader, monotonic_ns};

use super::part::{self, Part};
use super::rig::{
    Random, Scratch, Stop, camera, claim, epoch, is_right, line, open, open_again_and_again,
    options, publish, size, until,
};

/// Longest wait of a follower before it checks whether to stop.
const WAIT: Duration = Duration::from_millis(200);

/// A writer that changes its epoch every few frames, as fast as its leases allow.
pub(crate) fn write(root: &Path, seed: u64) {
    let mut random = Random(seed);
    eprintln!("up");
    let mut export = claim(root).unwrap();
    let mut id = export.first_frame_id();
    eprintln!("claimed {id}");
    let sizes = [size(64, 48), size(320, 240), size(640, 360), size(1280, 720)];
    loop {
        let (geometry, lease) = (sizes[random.below(4) as usize], Duration::from_millis(2));
        let mut writer = open(&mut export, geometry, options(8, lease)).unwrap();
        let epoch = epoch(&root.join("gate"));
        for _ in 0..random.below(20) {
            id += 1;
            while publish(&mut writer, id, epoch).is_err() {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
    }
}

/// The progress of a reader that stays attached.
#[derive(Debug, Default)]
struct Follower {
    frame_id: AtomicU64,
    frames: AtomicU64,
    /// When it got `WriterGone`; 0 before.
    gone_ns: AtomicU64,
}

impl Follower {
    /// Reads until `stop`, across every death of a writer.
    fn run(
        &self,
        mut reader: Reader,
        stop: &AtomicBool,
        read: impl Fn(&mut Reader, u64) -> Result<Frame, ReadError>,
    ) {
        let (mut image, mut last) = (Nv12Image::default(), (0, 0));
        while !stop.load(Ordering::Relaxed) {
            match read(&mut reader, last.1) {
                Ok(frame) => {
                    let now = (frame.meta().epoch, frame.meta().frame_id);
                    assert!(now.0 >= last.0 && now.1 > last.1, "{now:?} came after {last:?}");
                    last = now;
                    self.frames.fetch_add(is_right(&frame, &mut image).into(), Ordering::Relaxed);
                    self.frame_id.store(now.1, Ordering::Relaxed);
                }
                Err(ReadError::NotYet { .. } | ReadError::TimedOut { .. }) => {}
                Err(ReadError::WriterGone { .. }) => {
                    // The error repeats until another writer comes.
                    let (first, relaxed) = (monotonic_ns(), Ordering::Relaxed);
                    let _ = self.gone_ns.compare_exchange(0, first, relaxed, relaxed);
                }
                Err(error) => panic!("an attached reader got: {error}"),
            }
        }
    }
}

/// Polls the kernel until nobody holds a write lock on `file`; returns the time.
fn released_ns(file: &File) -> u64 {
    loop {
        // SAFETY: all zeros is a valid `struct flock`.
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = libc::F_RDLCK as libc::c_short;
        // SAFETY: the descriptor is open and the command reads and writes one `struct flock`.
        let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
        assert_eq!(asked, 0);
        if i32::from(lock.l_type) == libc::F_UNLCK {
            return monotonic_ns();
        }
    }
}

fn killed_at_random(rounds: u64) {
    let place = Scratch::new();
    let root = place.root();
    let first = Part::start(part::command("crash::write", &root, &["0"]));
    until("export", || Reader::options().dir(&root).open(camera()).is_ok());
    let (stop, followers) = (AtomicBool::new(false), [Follower::default(), Follower::default()]);
    let mut random = Random(2026);
    let (mut since_release, mut since_signal) = (Vec::new(), Vec::new());
    let (_, opened) = std::thread::scope(|scope| {
        let guard = Stop(&stop);
        let (one, two) = (place.reader(), place.reader());
        scope.spawn(|| followers[0].run(one, &stop, |r, id| r.seek(id).set_timeout(WAIT).newer()));
        scope.spawn(|| followers[1].run(two, &stop, |r, id| r.seek(id).set_timeout(WAIT).next()));
        let opener = scope.spawn(|| open_again_and_again(&root, &stop));
        drop(first);
        for round in 1..=rounds {
            let words = [round.to_string()];
            let mut writer = Part::start(part::command("crash::write", &root, &[&words[0]]));
            assert_eq!(writer.word(), "up");
            // Every other writer dies when all readers follow it, the rest during the takeover or
            // soon after.
            let followed = round % 2 == 0;
            if followed {
                let first = writer.number("claimed");
                for follower in &followers {
                    until("frame", || follower.frame_id.load(Ordering::Relaxed) > first);
                    follower.gone_ns.store(0, Ordering::Relaxed);
                }
            }
            std::thread::sleep(Duration::from_micros(random.below(5_000)));
            let lock = File::open(place.camera().join(".writer"));
            let signal_ns = monotonic_ns();
            writer.process.kill().unwrap();
            if followed {
                let released_ns = released_ns(&lock.unwrap());
                for follower in &followers {
                    let gone = || follower.gone_ns.load(Ordering::Relaxed);
                    until("WriterGone at each reader", || gone() != 0);
                    assert!(gone() > signal_ns, "a live writer was reported as gone");
                    since_release.push(gone().saturating_sub(released_ns));
                    since_signal.push(gone() - signal_ns);
                }
            }
            assert_eq!(writer.ended().signal(), Some(libc::SIGKILL), "round {round}");
        }
        // The last writer takes over in this process and stops cleanly.
        let mut export = claim(&root).unwrap();
        let mut writer = open(&mut export, size(64, 48), options(8, Duration::ZERO)).unwrap();
        let (id, epoch) = (export.first_frame_id(), epoch(&place.camera()));
        publish(&mut writer, id, epoch).unwrap();
        for follower in &followers {
            until("frame", || follower.frame_id.load(Ordering::Relaxed) == id);
        }
        drop(guard);
        opener.join().unwrap()
    });
    place.is_left_empty();
    let read = followers.each_ref().map(|follower| follower.frames.load(Ordering::Relaxed));
    assert!(opened > 0 && read.iter().all(|frames| *frames > rounds / 2), "{opened} {read:?}");
    println!("writers killed at random points: {rounds}; the next one took over each time");
    println!(
        "frames checked to the byte: {} attached, {opened} reopened; wrong: 0",
        read[0] + read[1]
    );
    println!("{}", line("lock released to the reader's WriterGone", since_release));
    println!("{}", line("SIGKILL sent to the reader's WriterGone", since_signal));
}

#[test]
fn a_hundred_writers_killed_at_random() {
    killed_at_random(100);
}

#[test]
#[ignore = "takes minutes: make test-long"]
fn crash_thousand_writers_killed_at_random() {
    killed_at_random(1000);
}
