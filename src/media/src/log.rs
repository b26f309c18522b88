//! FFmpeg's log lines as `tracing` events.
//!
//! Target `ffmpeg`, field `camera`: the id that [`name_thread`] gave to the thread on which FFmpeg
//! spoke. Lines that FFmpeg writes in pieces are put together, a line that repeats is counted
//! instead of shown, and no line shows a URL's credentials (see [`redact`](crate::redact())).
//!
//! FFmpeg's levels are shifted down by one: what is an error to it (a damaged picture) is a warning
//! to a service that goes on, and its information is our debugging.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use ffmpeg_sys_next as ffi;
use tracing::Level;

use crate::compat::VaList;
use crate::redact::redact;

/// FFmpeg cuts its own lines at this length.
const LINE_LEN: usize = 1024;
/// Lines that [`heard`] gives at most.
const MAX_HEARD: usize = 8;
/// A line that never ends is let go at this length.
const MAX_ASSEMBLED: usize = 4 * LINE_LEN;

thread_local! {
    static CAMERA: RefCell<String> = const { RefCell::new(String::new()) };
    static LISTENING: Cell<bool> = const { Cell::new(false) };
    static AWAITED: Cell<Option<&'static str>> = const { Cell::new(None) };
    static WAS_SAID: Cell<bool> = const { Cell::new(false) };
    static HEARD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static LINES: RefCell<Assembler> = const { RefCell::new(Assembler::new()) };
}

/// Names this thread's camera, in FFmpeg's log lines and should the thread crash, until the guard is dropped.
///
/// Threads that FFmpeg starts by itself (decoding with several threads) speak without a name.
pub fn name_thread(camera_id: &str) -> ThreadName {
    let previous = CAMERA.with_borrow_mut(|name| std::mem::replace(name, camera_id.to_owned()));
    ThreadName { previous, _of_crashes: vas_crash::name_thread(camera_id) }
}

/// Puts back the name that the thread had before; see [`name_thread`].
#[must_use = "the name is taken off when the guard is dropped"]
#[derive(Debug)]
pub struct ThreadName {
    previous: String,
    _of_crashes: vas_crash::ThreadName,
}

impl Drop for ThreadName {
    fn drop(&mut self) {
        let previous = std::mem::take(&mut self.previous);
        // While the thread itself ends its storage may be gone, and nobody is left to mislead.
        let _ = CAMERA.try_with(|name| name.replace(previous));
    }
}

/// Calls FFmpeg and keeps what it says on this thread of warnings and errors, for [`heard`]: the
/// reasons of its hardware code are in its log alone.
pub(crate) fn listen<T>(call: impl FnOnce() -> T) -> T {
    HEARD.with_borrow_mut(Vec::clear);
    let before = LISTENING.replace(true);
    let result = call();
    LISTENING.set(before);
    result
}

/// Calls FFmpeg; also returns whether it says these words on this thread meanwhile, at any level: some of what it
/// finds in a description is in its log alone.
pub(crate) fn says<T>(words: &'static str, call: impl FnOnce() -> T) -> (T, bool) {
    WAS_SAID.set(false);
    let before = AWAITED.replace(Some(words));
    let result = call();
    AWAITED.set(before);
    (result, WAS_SAID.get())
}

fn is_awaiting() -> bool {
    AWAITED.try_with(|awaited| awaited.get().is_some()).unwrap_or(false)
}

/// What FFmpeg has said since [`listen`] began, a line each, without the speaker's name.
pub(crate) fn heard() -> Vec<String> {
    HEARD.with_borrow(Clone::clone)
}

fn hear(shown: Shown, line: &str) {
    if AWAITED.try_with(Cell::get).ok().flatten().is_some_and(|words| line.contains(words)) {
        let _ = WAS_SAID.try_with(|said| said.set(true));
    }
    if !shown.is_heard() {
        return;
    }
    let _ = HEARD.try_with(|heard| {
        let Ok(mut heard) = heard.try_borrow_mut() else { return };
        if heard.len() < MAX_HEARD {
            heard.push(redact(without_speaker(line)));
        }
    });
}

/// FFmpeg begins a line with the object that speaks: `[h264 @ 0x55...] `.
fn without_speaker(line: &str) -> &str {
    let rest = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    rest.map_or(line, |(_, words)| words)
}

/// Makes [`on_line`] FFmpeg's log callback.
pub(crate) fn install() {
    // SAFETY: `on_line` has the signature that FFmpeg asks for, is callable from any thread, never
    // unwinds and lives as long as the program.
    unsafe { ffi::av_log_set_callback(Some(on_line)) };
}

/// FFmpeg calls this for every piece of every line, from any thread, at every level.
unsafe extern "C" fn on_line(
    context: *mut c_void,
    level: c_int,
    format: *const c_char,
    arguments: VaList,
) {
    let Some(shown) = Shown::from_av(level) else { return };
    // A panic must not cross into C. The assembler may be left with half a line, which is harmless.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        if !shown.is_enabled() && !shown.is_heard() && !is_awaiting() {
            return;
        }
        // Gone only while the thread ends; borrowed only if the subscriber itself calls FFmpeg.
        let _ = LINES.try_with(|lines| {
            let Ok(mut lines) = lines.try_borrow_mut() else { return };
            let mut piece = [0 as c_char; LINE_LEN];
            // SAFETY: context, format and arguments are those of this very call, passed on once;
            // the buffer is ours with its real size, and FFmpeg terminates what it writes.
            let piece = unsafe {
                ffi::av_log_format_line2(
                    context,
                    level,
                    format,
                    arguments,
                    piece.as_mut_ptr(),
                    c_int::try_from(piece.len()).unwrap_or(c_int::MAX),
                    &mut lines.print_prefix,
                );
                CStr::from_ptr(piece.as_ptr())
            };
            lines.push(shown, &piece.to_string_lossy(), emit);
        });
    }));
}

/// The level at which a line of FFmpeg's is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Shown {
    /// None for AV_LOG_QUIET.
    fn from_av(level: c_int) -> Option<Self> {
        if level < 0 {
            return None;
        }
        // The bits above the level are a colour for terminals (AV_LOG_C).
        let level = level & 0xff;
        Some(if level <= ffi::AV_LOG_FATAL {
            Self::Error
        } else if level <= ffi::AV_LOG_ERROR {
            Self::Warn
        } else if level <= ffi::AV_LOG_WARNING {
            Self::Info
        } else if level <= ffi::AV_LOG_VERBOSE {
            Self::Debug
        } else {
            Self::Trace
        })
    }

    /// Whether [`listen`] keeps it.
    fn is_heard(self) -> bool {
        let serious = matches!(self, Self::Error | Self::Warn | Self::Info);
        serious && LISTENING.try_with(Cell::get).unwrap_or(false)
    }

    fn is_enabled(self) -> bool {
        match self {
            Self::Error => tracing::enabled!(target: "ffmpeg", Level::ERROR),
            Self::Warn => tracing::enabled!(target: "ffmpeg", Level::WARN),
            Self::Info => tracing::enabled!(target: "ffmpeg", Level::INFO),
            Self::Debug => tracing::enabled!(target: "ffmpeg", Level::DEBUG),
            Self::Trace => tracing::enabled!(target: "ffmpeg", Level::TRACE),
        }
    }
}

fn emit(shown: Shown, line: &str) {
    let line = redact(line);
    let camera = CAMERA.try_with(|name| name.borrow().clone()).unwrap_or_default();
    match shown {
        Shown::Error => tracing::error!(target: "ffmpeg", camera, "{line}"),
        Shown::Warn => tracing::warn!(target: "ffmpeg", camera, "{line}"),
        Shown::Info => tracing::info!(target: "ffmpeg", camera, "{line}"),
        Shown::Debug => tracing::debug!(target: "ffmpeg", camera, "{line}"),
        Shown::Trace => tracing::trace!(target: "ffmpeg", camera, "{line}"),
    }
}

/// Puts the pieces of one thread's lines together and counts repeats.
struct Assembler {
    /// FFmpeg's own note whether the next piece begins a line.
    print_prefix: c_int,
    line: String,
    last: String,
    repeats: u32,
}

impl Assembler {
    const fn new() -> Self {
        Self { print_prefix: 1, line: String::new(), last: String::new(), repeats: 0 }
    }

    fn push(&mut self, shown: Shown, piece: &str, mut emit: impl FnMut(Shown, &str)) {
        self.line.push_str(piece);
        if !piece.ends_with(['\n', '\r']) && self.line.len() < MAX_ASSEMBLED {
            return;
        }
        let line = std::mem::take(&mut self.line);
        let line = line.trim_end();
        if line.is_empty() {
            return;
        }
        hear(shown, line);
        if line == self.last {
            self.repeats += 1;
            return;
        }
        if self.repeats > 0 {
            emit(shown, &format!("the last message came {} times more", self.repeats));
            self.repeats = 0;
        }
        emit(shown, line);
        self.last.clear();
        self.last.push_str(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&str]) -> Vec<String> {
        let mut assembler = Assembler::new();
        let mut out = Vec::new();
        for piece in pieces {
            assembler.push(Shown::Info, piece, |_, line| out.push(line.to_owned()));
        }
        out
    }

    #[test]
    fn pieces_become_one_line() {
        assert_eq!(lines(&["[h264] ", "size ", "4\n", "next\n"]), ["[h264] size 4", "next"]);
    }

    #[test]
    fn what_is_said_while_listening_is_kept_and_repeats_too() {
        listen(|| lines(&["[h264 @ 0x1] no [b] c\n", "[h264 @ 0x1] no [b] c\n"]));
        lines(&["later\n"]);
        assert_eq!(heard(), ["no [b] c", "no [b] c"]);
        listen(|| ());
        assert!(heard().is_empty());
    }

    #[test]
    fn repeats_are_counted() {
        assert_eq!(
            lines(&["a\n", "a\n", "a\n", "b\n"]),
            ["a", "the last message came 2 times more", "b"]
        );
    }

    #[test]
    fn empty_lines_are_left_out_and_endless_ones_cut() {
        assert!(lines(&["\n", "  \n"]).is_empty());
        assert_eq!(lines(&["x".repeat(MAX_ASSEMBLED).as_str()]).len(), 1);
    }

    #[test]
    fn levels_are_shifted_down() {
        assert_eq!(Shown::from_av(ffi::AV_LOG_QUIET), None);
        assert_eq!(Shown::from_av(ffi::AV_LOG_PANIC), Some(Shown::Error));
        assert_eq!(Shown::from_av(ffi::AV_LOG_ERROR), Some(Shown::Warn));
        assert_eq!(Shown::from_av(ffi::AV_LOG_WARNING), Some(Shown::Info));
        assert_eq!(Shown::from_av(ffi::AV_LOG_INFO), Some(Shown::Debug));
        assert_eq!(Shown::from_av(ffi::AV_LOG_TRACE), Some(Shown::Trace));
        assert_eq!(Shown::from_av(ffi::AV_LOG_ERROR | 0x8600), Some(Shown::Warn));
    }

    #[test]
    fn a_name_is_taken_off_again() {
        let current = || CAMERA.with_borrow(String::clone);
        let outer = name_thread("front");
        {
            let _inner = name_thread("back");
            assert_eq!(current(), "back");
        }
        assert_eq!(current(), "front");
        drop(outer);
        assert_eq!(current(), "");
    }
}
