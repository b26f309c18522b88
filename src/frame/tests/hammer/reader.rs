//! The reader's side: every way to read a frame, and the outcomes.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use vas_frame::{Frame, Nv12Image, OpenError, ReadError, Reader};

use super::case::{Case, Pinned, Side, camera};
use super::picture::{self, Foreign};
use super::writer::Writer;

/// Longest wait for one frame.
const SOON: Duration = Duration::from_millis(100);

/// A way to find a frame.
#[derive(Clone, Copy, Debug)]
enum Find {
    /// The newest, without waiting.
    Latest,
    /// The newest that was not returned before.
    Newer,
    /// The oldest: the next to be overwritten, if the writer keeps its order.
    Oldest,
    /// The newest, without a system call.
    Glance,
}

/// A way to use a frame.
#[derive(Clone, Copy, Debug)]
enum Use {
    Copy,
    InPlace,
    /// In place, repeatedly until it is overwritten.
    Stare,
}

/// One combination.
#[derive(Clone, Copy, Debug)]
struct Look {
    find: Find,
    /// How many further frames to wait before using it, in halves of a ring.
    linger: u64,
    using: Use,
}

/// Every combination; most do not linger.
fn every_look() -> Vec<Look> {
    let finds = [Find::Latest, Find::Newer, Find::Oldest, Find::Glance];
    let uses = [Use::Copy, Use::InPlace, Use::Stare];
    let looks = [0, 0, 0, 1, 2].into_iter().flat_map(|linger| {
        uses.into_iter().flat_map(move |using| finds.map(|find| Look { find, linger, using }))
    });
    looks.collect()
}

/// Counts of the outcomes.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Frames that were found.
    pub(crate) frames: u64,
    last: u64,
    /// Reads reported as whole, with the right content.
    pub(crate) accepted: u64,
    /// Reads reported as overwritten.
    pub(crate) refused: u64,
    /// Reads reported as whole, with wrong content.
    pub(crate) torn: u64,
    pub(crate) first_torn: String,
}

impl Tally {
    /// Counts a read of frame `id` that was reported as `whole` or not.
    pub(crate) fn count(&mut self, id: u64, whole: bool, foreign: Option<Foreign>) {
        self.frames += u64::from(id != self.last);
        self.last = id;
        match (whole, foreign) {
            (false, _) => self.refused += 1,
            (true, None) => self.accepted += 1,
            (true, Some(foreign)) => {
                if self.torn == 0 {
                    self.first_torn = foreign.describe(id);
                }
                self.torn += 1;
            }
        }
    }

    pub(crate) const TITLE: &str = "     frames   accepted    refused   torn";
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { frames, accepted, refused, torn, .. } = self;
        write!(f, "{frames:>11} {accepted:>10} {refused:>10} {torn:>6}")
    }
}

/// Reads a writer's frames while `more` returns `true`.
pub(crate) fn run(case: &Case, more: impl Fn(&Tally) -> bool) -> Tally {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut writer = Writer::start(dir.path(), case);
    let _pinned = Pinned::to(Side::Reader);
    let reader = open(dir.path(), &mut writer);
    let mut viewer =
        Viewer { reader, slots: case.slots.into(), image: Nv12Image::default(), newest: 0 };
    let looks = every_look();
    let mut tally = Tally::default();
    while more(&tally) {
        assert!(writer.lives(), "{case}: the writer ended");
        // The check takes longer than a read.
        for look in looks.iter().cycle().take(64) {
            viewer.look(*look, &mut tally);
        }
    }
    tally
}

/// Opens the camera as soon as its writer has claimed it.
pub(crate) fn open(dir: &Path, writer: &mut Writer) -> Reader {
    loop {
        match Reader::options().dir(dir).open(camera()) {
            Ok(reader) => return reader,
            Err(OpenError::NoCamera { .. }) => std::thread::yield_now(),
            Err(e) => panic!("{e}"),
        }
        assert!(writer.lives(), "the writer ended before it began");
    }
}

/// A reader and the highest id that it has seen.
struct Viewer {
    reader: Reader,
    slots: u64,
    image: Nv12Image,
    /// Highest id among the newest frames.
    newest: u64,
}

impl Viewer {
    fn look(&mut self, look: Look, tally: &mut Tally) {
        let Some(frame) = self.find(look.find) else { return };
        let id = frame.meta().frame_id;
        if look.linger > 0 {
            self.linger(id + look.linger * self.slots.div_ceil(2));
        }
        let (whole, foreign) = self.use_frame(&frame, look.using);
        tally.count(id, whole, foreign);
    }

    fn find(&mut self, find: Find) -> Option<Frame> {
        let found = match find {
            Find::Latest => self.reader.latest(),
            Find::Newer => self.reader.seek(self.newest).set_timeout(SOON).newer(),
            Find::Oldest => self.reader.seek(0).set_timeout(SOON).next(),
            Find::Glance => self.reader.seek(0).set_timeout(Duration::ZERO).newer(),
        };
        let frame = match found {
            Ok(frame) => frame,
            Err(ReadError::NotYet { .. } | ReadError::TimedOut { .. }) => return None,
            Err(e) => panic!("{e}"),
        };
        if !matches!(find, Find::Oldest) {
            let id = frame.meta().frame_id;
            assert!(id >= self.newest, "frame {id} came after frame {}", self.newest);
            self.newest = id;
        }
        Some(frame)
    }

    /// Waits for a frame as new as `id`, or until the ring has none.
    fn linger(&mut self, id: u64) {
        while self.reader.latest().is_ok_and(|frame| frame.meta().frame_id < id) {}
    }

    /// Whether the frame is reported as whole, and the first word that is not its own.
    fn use_frame(&mut self, frame: &Frame, using: Use) -> (bool, Option<Foreign>) {
        let id = frame.meta().frame_id;
        let in_place = || {
            let foreign = picture::check_in_place(id, &frame.raw());
            (frame.still_valid(), foreign)
        };
        match using {
            Use::Copy => {
                let whole = frame.copy_if_valid(&mut self.image).is_ok();
                (whole, picture::check(id, self.image.data()))
            }
            Use::InPlace => in_place(),
            Use::Stare => loop {
                let seen = in_place();
                if !matches!(seen, (true, None)) {
                    return seen;
                }
            },
        }
    }
}
