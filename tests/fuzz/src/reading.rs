//! A reader's calls on hostile files, and the checks of the frames it returns.

use std::cell::RefCell;
use std::time::Duration;

use vas_frame::{Frame, Nv12Image, RawPlane, RawView, Reader, Rect};

use crate::changer::Changer;
use crate::files::{Bytes, Files, camera};
use crate::script::{Call, Id, MOST, Script};

/// Long enough to reach the wait on the futex, if the files allow it.
const SHORT: Duration = Duration::from_micros(20);
/// Of larger pictures only the corners are read. The largest copies go past the cache.
const MOST_COPIED: usize = 1 << 21;
/// Frames kept to be checked again.
const HELD: usize = 4;

thread_local! {
    static FILES: RefCell<Files> = RefCell::new(Files::new());
    static CHANGER: Changer = Changer::new();
}

/// What carries out the intrusions of a script.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Adversary {
    /// The reader's own thread, before the loads that the script selects.
    BetweenLoads,
    /// Another thread, at any time.
    Thread,
}

/// Runs a script.
pub(crate) fn run(script: &Script<'_>, adversary: Adversary) {
    FILES.with_borrow_mut(|files| {
        files.prepare(&script.meta, script.data_len);
        files.bytes().set_writer(script.writer_lives);
        let files = &*files;
        match adversary {
            Adversary::BetweenLoads => {
                intrude(files.bytes().clone(), script);
                Run::new(files, adversary).calls(&script.calls);
                let_be();
            }
            Adversary::Thread => {
                let pokes = script.intrusions().take(MOST).map(|(_, poke)| poke);
                let run = || Run::new(files, adversary).calls(&script.calls);
                CHANGER.with(|changer| changer.during(files.bytes(), pokes.collect(), run));
            }
        }
    });
}

/// Carries out the script's intrusions before the loads that it selects.
#[cfg(fuzzing)]
fn intrude(bytes: Bytes, script: &Script<'_>) {
    let mut intrusions = script.intrusions();
    let mut next = intrusions.next();
    vas_frame::racing::before_each_load(Some(Box::new(move || match &mut next {
        None => {}
        Some((0, poke)) => {
            bytes.poke(poke);
            next = intrusions.next();
        }
        Some((loads, _)) => *loads -= 1,
    })));
}

#[cfg(fuzzing)]
fn let_be() {
    vas_frame::racing::before_each_load(None);
}

/// Without the fuzzer's atomics nothing can run between loads: all intrusions come first.
#[cfg(not(fuzzing))]
fn intrude(bytes: Bytes, script: &Script<'_>) {
    script.intrusions().take(MOST).for_each(|(_, poke)| bytes.poke(&poke));
}

#[cfg(not(fuzzing))]
fn let_be() {}

/// A running script.
struct Run<'a> {
    files: &'a Files,
    adversary: Adversary,
    reader: Option<Reader>,
    held: Vec<Frame>,
    last: u64,
    image: Nv12Image,
}

impl<'a> Run<'a> {
    fn new(files: &'a Files, adversary: Adversary) -> Self {
        let image = Nv12Image::default();
        let mut run = Self { files, adversary, reader: None, held: Vec::new(), last: 0, image };
        run.open();
        run
    }

    fn open(&mut self) {
        match Reader::options().dir(self.files.path()).open(camera()) {
            Ok(reader) => self.reader = Some(reader),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }

    fn calls(mut self, calls: &[Call]) {
        for call in calls.iter().take(MOST) {
            self.call(call);
            if self.adversary == Adversary::Thread {
                // Lets the other thread run if both share a processor.
                std::thread::yield_now();
            }
        }
    }

    fn call(&mut self, call: &Call) {
        match call {
            Call::Open => self.open(),
            Call::Poke(poke) => self.files.bytes().poke(poke),
            Call::Writer { lives } => self.files.bytes().set_writer(*lives),
            Call::LookAgain(which) => {
                if !self.held.is_empty() {
                    let frame = self.held[*which as usize % self.held.len()].clone();
                    self.check(&frame);
                }
            }
            Call::Latest
            | Call::NewerThan { .. }
            | Call::NewerThanIf { .. }
            | Call::NextAfter { .. } => {
                self.read(call);
            }
        }
    }

    fn read(&mut self, call: &Call) {
        let Some(mut reader) = self.reader.take() else { return };
        let id = |id: Id| match id {
            Id::Zero => 0,
            Id::Last => self.last,
            Id::This(id) => id,
        };
        let timeout = |waits: bool| if waits { SHORT } else { Duration::ZERO };
        let (above, found) = match *call {
            Call::NewerThan { id: asked, waits } => {
                (id(asked), reader.seek(id(asked)).set_timeout(timeout(waits)).newer())
            }
            Call::NextAfter { id: asked, waits } => {
                (id(asked), reader.seek(id(asked)).set_timeout(timeout(waits)).next())
            }
            Call::NewerThanIf { id: asked, answers } => {
                let (mut judged, mut times) = (id(asked), 0);
                let found = reader.seek(id(asked)).set_timeout(Duration::ZERO).newer_if(|meta| {
                    assert!(meta.frame_id > judged, "judged {} after {judged}", meta.frame_id);
                    judged = meta.frame_id;
                    times += 1;
                    answers >> (times % 8) & 1 == 1
                });
                (id(asked), found)
            }
            _ => (0, reader.latest()),
        };
        self.reader = Some(reader);
        match found {
            Ok(frame) => {
                assert!(frame.meta().frame_id > above, "{} above {above}", frame.meta().frame_id);
                self.last = frame.meta().frame_id;
                self.check(&frame);
                self.held.truncate(HELD - 1);
                self.held.insert(0, frame);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }

    fn check(&mut self, frame: &Frame) {
        let (meta, geometry) = (frame.meta(), frame.geometry());
        assert_eq!((meta.width, meta.height), (geometry.width(), geometry.height()));
        let Rect { x, y, width, height } = meta.content;
        let within =
            |from: u32, len: u32, side| from.checked_add(len).is_some_and(|end| end <= side);
        assert!(within(x, width, meta.width) && within(y, height, meta.height), "{meta:?}");
        let place = Location::of(&frame.raw());
        if self.files.bytes().data_is_located() {
            assert!(place.end <= self.files.bytes().data_len(), "{place:?}");
        }
        if geometry.tight_bytes() > MOST_COPIED {
            return;
        }
        match frame.copy_if_valid(&mut self.image) {
            Ok(()) => {
                assert_eq!(self.image.geometry(), Some(&geometry));
                assert_eq!(self.image.data().len(), geometry.tight_bytes());
                // Checked again: the data may have changed during the copy.
                if self.files.bytes().data_is_located() {
                    place.expect(&self.image);
                }
            }
            Err(overwritten) => {
                assert_eq!(overwritten.frame_id, meta.frame_id);
                assert!(self.image.data().is_empty());
            }
        }
    }
}

/// A picture's offset in `frame.data`, from the bytes there.
#[derive(Debug)]
struct Location {
    y: u64,
    uv: u64,
    stride: u64,
    end: u64,
}

impl Location {
    /// Touches the first and the last byte of both planes, too.
    fn of(raw: &RawView<'_>) -> Self {
        let (width, height) = (raw.y.row_bytes(), raw.y.rows());
        let (row, rows) = (width.next_multiple_of(2), height.div_ceil(2));
        assert_eq!((raw.uv.row_bytes(), raw.uv.rows()), (row, rows));
        // A view guarantees that its rows are mapped; if they are not, the crash is the finding.
        let touch_last = |plane: RawPlane<'_>| plane.get(plane.rows() - 1, plane.row_bytes() - 1);
        assert!(touch_last(raw.y).is_some() && touch_last(raw.uv).is_some());
        let (y, uv) = (locate(raw.y.as_ptr()), locate(raw.uv.as_ptr()));
        let stride = raw.uv.stride();
        assert_eq!(raw.y.stride(), stride);
        Self { y, uv, stride: stride as u64, end: uv + ((rows - 1) * stride + row) as u64 }
    }

    /// Compares a copy with the bytes at that offset.
    fn expect(&self, image: &Nv12Image) {
        let width = image.width() as usize;
        let plane = |bytes: &[u8], from: u64, row: usize| {
            for (r, row) in bytes.chunks(row).enumerate() {
                for (column, byte) in row.iter().enumerate() {
                    let at = from + r as u64 * self.stride + column as u64;
                    assert_eq!(*byte, byte_at(at), "row {r}, column {column} of {self:?}");
                }
            }
        };
        plane(image.luma(), self.y, width);
        plane(image.chroma(), self.uv, width.next_multiple_of(2));
    }
}

/// The byte at an offset of a `frame.data` whose words hold their offsets.
fn byte_at(offset: u64) -> u8 {
    (offset as u32 & !3).to_le_bytes()[offset as usize & 3]
}

fn locate(at: *const u8) -> u64 {
    let within = at.addr() & 3;
    // SAFETY: in the same word as `at`, which is guaranteed to be mapped; the mapping starts at a page
    // boundary.
    let word = unsafe { at.wrapping_sub(within).cast::<u32>().read_volatile() };
    u64::from(word) + within as u64
}
