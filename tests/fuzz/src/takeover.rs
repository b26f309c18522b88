//! A writer that finds files in its camera's directory.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use vas_frame::layout::{DATA_FILE, MAGIC, META_FILE, READERS_FILE, WRITER_FILE};
use vas_frame::{Access, CameraExport, ExportError, ExportRoot, Notifier, Reader};

use crate::files::{camera, temporary};
use crate::honest;
use crate::meta::{image, in_header};
use crate::script::{Leftovers, Plant};

/// The highest number that a writer accepts from leftover files.
const SANE: u64 = u64::MAX >> 8;

/// What is kept between inputs.
struct Workspace {
    dir: tempfile::TempDir,
    root: Arc<ExportRoot>,
    notifier: Arc<Notifier>,
    honest: Vec<u8>,
}

impl Workspace {
    fn new() -> Self {
        let dir = temporary();
        let honest = honest::meta(dir.path());
        let root = Arc::new(ExportRoot::open(dir.path(), Access::default()).unwrap());
        Self { dir, root, notifier: Arc::new(Notifier::start().unwrap()), honest }
    }
}

thread_local! {
    static PLACE: RefCell<Workspace> = RefCell::new(Workspace::new());
}

/// Creates the leftover files of the input and takes over.
pub(crate) fn run(leftovers: &Leftovers<'_>) {
    PLACE.with_borrow_mut(|place| {
        let dir = place.dir.path().join(camera().as_str());
        std::fs::create_dir(&dir).unwrap();
        let meta = leftovers.meta.as_ref().map(|meta| image(meta, &place.honest, 1));
        match &meta {
            Some(meta) => std::fs::write(dir.join(META_FILE), meta).unwrap(),
            None => plant(&dir.join(META_FILE), leftovers.meta_plant),
        }
        plant(&dir.join(DATA_FILE), leftovers.data);
        plant(&dir.join(format!(".{META_FILE}.new")), leftovers.temporary);
        plant(&dir.join(READERS_FILE), leftovers.readers);
        plant(&dir.join(WRITER_FILE), leftovers.writer);
        let epoch = claim(place, meta.as_deref().unwrap_or_default());
        if let Some((export, epoch)) = epoch
            && leftovers.goes_on
        {
            go_on(place, export, epoch, leftovers);
        }
        if dir.exists() {
            std::fs::remove_dir_all(&dir).unwrap();
        }
    });
}

/// Claims the camera; returns the epoch that the next one must exceed.
fn claim(place: &Workspace, meta: &[u8]) -> Option<(CameraExport, u64)> {
    let export = match CameraExport::claim(&place.root, &camera(), &place.notifier) {
        Ok(export) => export,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return None;
        }
    };
    let first = export.first_frame_id();
    assert!(first < u64::MAX / 2, "room for more ids than a camera has frames");
    let (epoch, last) = last_words(meta);
    assert!(first > last, "{first} is above {last}");
    Some((export, epoch))
}

/// Opens a ring, and reads a frame from it.
fn go_on(place: &Workspace, mut export: CameraExport, epoch: u64, leftovers: &Leftovers<'_>) {
    let mut writer = match honest::open_ring(&mut export) {
        Ok(writer) => writer,
        // The writer does not remove a directory in a file's place, and other processes may have
        // taken the memory.
        Err(ExportError::Memory(_)) => return,
        Err(error) => return assert!(leftovers.has_directory(), "{error}"),
    };
    let mut reader = Reader::options().dir(place.dir.path()).open(camera()).unwrap();
    let first = export.first_frame_id();
    honest::publish(&mut writer, first);
    let frame = reader.latest().unwrap();
    assert_eq!(frame.meta().frame_id, first);
    assert!(frame.meta().epoch > epoch && frame.meta().epoch < u64::MAX / 2);
}

/// The epoch and frame id that the next writer must exceed.
fn last_words(meta: &[u8]) -> (u64, u64) {
    let word = |name| {
        let at = in_header(name).at as usize;
        u64::from_le_bytes(meta[at..at + 8].try_into().unwrap())
    };
    if meta.len() < 512 || word("magic") != MAGIC {
        return (0, 0);
    }
    let sane = |value| if value < SANE { value } else { 0 };
    (sane(word("epoch")), sane(word("frame_id")))
}

fn plant(path: &Path, plant: Plant<'_>) {
    match plant {
        Plant::Nothing => {}
        Plant::File(bytes) => std::fs::write(path, bytes).unwrap(),
        Plant::Directory => std::fs::create_dir(path).unwrap(),
        Plant::Link => std::os::unix::fs::symlink("/dev/null", path).unwrap(),
        Plant::Fifo => make_fifo(path),
    }
}

fn make_fifo(path: &Path) {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
    // SAFETY: the path ends in NUL.
    let made = unsafe { libc::mkfifo(path.as_ptr(), 0o600) };
    assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
}
