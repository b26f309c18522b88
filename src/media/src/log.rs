//! Forwards FFmpeg's log lines to `tracing`.
//!
//! Events have the target `ffmpeg` and a field `camera`: the id that [`name_thread`] assigned to the
//! thread on which FFmpeg logged. Pieces of a line are joined, repeated lines are counted instead of
//! logged, and credentials in URLs are removed (see [`redact`](crate::redact())).
//!
//! FFmpeg's levels are shifted down by one: an FFmpeg error, such as a damaged picture, is a warning
//! in a service that goes on, and FFmpeg's info is the service's debug.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use ffmpeg_sys_next as ffi;
use tracing::Level;

use crate::compat::VaList;
use vas_request::redact;

/// FFmpeg truncates its lines at this length.
const LINE_LEN: usize = 1024;
/// Most lines that [`captured`] returns.
const MAX_CAPTURED: usize = 8;
/// A line without an end is logged when it reaches this length.
const MAX_ASSEMBLED: usize = 4 * LINE_LEN;

thread_local! {
    static CAMERA: RefCell<String> = const { RefCell::new(String::new()) };
    static CAPTURING: Cell<bool> = const { Cell::new(false) };
    static CAPTURED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static EXPECTED: Cell<Option<&'static str>> = const { Cell::new(None) };
    static WAS_LOGGED: Cell<bool> = const { Cell::new(false) };
    static LINES: RefCell<Assembler> = const { RefCell::new(Assembler::new()) };
}

/// Names this thread's camera, for FFmpeg's log lines and for crash reports, until the guard is dropped.
///
/// Threads that FFmpeg starts (decoding with several threads) have no name.
pub fn name_thread(camera_id: &str) -> ThreadName {
    let previous = CAMERA.with_borrow_mut(|name| std::mem::replace(name, camera_id.to_owned()));
    ThreadName { previous, _of_crashes: vas_crash::name_thread(camera_id) }
}

/// Restores the thread's previous name when dropped; see [`name_thread`].
#[must_use = "dropping the guard removes the name"]
#[derive(Debug)]
pub struct ThreadName {
    previous: String,
    _of_crashes: vas_crash::ThreadName,
}

impl Drop for ThreadName {
    fn drop(&mut self) {
        let previous = std::mem::take(&mut self.previous);
        // Thread-local storage may be gone while the thread ends; the name no longer matters then.
        let _ = CAMERA.try_with(|name| name.replace(previous));
    }
}

/// Calls FFmpeg and captures the warnings and errors that it logs on this thread, for [`captured`]:
/// its hardware code reports reasons only in the log.
pub(crate) fn capture<T>(call: impl FnOnce() -> T) -> T {
    CAPTURED.with_borrow_mut(Vec::clear);
    let before = CAPTURING.replace(true);
    let result = call();
    CAPTURING.set(before);
    result
}

/// Calls FFmpeg; also returns whether it logs these words on this thread during the call, at any level. Some of what
/// it finds in a description is in its log alone.
pub(crate) fn logs<T>(words: &'static str, call: impl FnOnce() -> T) -> (T, bool) {
    WAS_LOGGED.set(false);
    let before = EXPECTED.replace(Some(words));
    let result = call();
    EXPECTED.set(before);
    (result, WAS_LOGGED.get())
}

fn is_expecting() -> bool {
    EXPECTED.try_with(|expected| expected.get().is_some()).unwrap_or(false)
}

/// The lines that FFmpeg logged during the last [`capture`], without the prefix that names an object.
pub(crate) fn captured() -> Vec<String> {
    CAPTURED.with_borrow(Clone::clone)
}

fn keep_captured(severity: Severity, line: &str) {
    if EXPECTED.try_with(Cell::get).ok().flatten().is_some_and(|words| line.contains(words)) {
        let _ = WAS_LOGGED.try_with(|logged| logged.set(true));
    }
    if !severity.is_captured() {
        return;
    }
    let _ = CAPTURED.try_with(|captured| {
        let Ok(mut captured) = captured.try_borrow_mut() else { return };
        if captured.len() < MAX_CAPTURED {
            captured.push(redact(without_prefix(line)));
        }
    });
}

/// FFmpeg begins a line with the object that logs it: `[h264 @ 0x55...] `.
fn without_prefix(line: &str) -> &str {
    let rest = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    rest.map_or(line, |(_, message)| message)
}

/// Sets [`on_line`] as FFmpeg's log callback.
pub(crate) fn install() {
    // SAFETY: `on_line` has the signature that FFmpeg requires, is callable from any thread, never
    // unwinds and is static.
    unsafe { ffi::av_log_set_callback(Some(on_line)) };
}

/// FFmpeg calls this for every piece of every line, from any thread, at every level.
unsafe extern "C" fn on_line(
    context: *mut c_void,
    level: c_int,
    format: *const c_char,
    arguments: VaList,
) {
    let Some(severity) = Severity::from_av(level) else { return };
    // A panic must not unwind into C. It may leave half a line in the assembler, which is harmless.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        if !severity.is_enabled() && !severity.is_captured() && !is_expecting() {
            return;
        }
        // This fails only while the thread ends, or if the subscriber itself calls FFmpeg.
        let _ = LINES.try_with(|lines| {
            let Ok(mut lines) = lines.try_borrow_mut() else { return };
            let mut piece = [0 as c_char; LINE_LEN];
            // SAFETY: context, format and arguments are those of this call, passed on once; the buffer
            // is ours with its real size, and FFmpeg terminates what it writes.
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
            lines.push(severity, &piece.to_string_lossy(), emit);
        });
    }));
}

/// The level at which a line of FFmpeg is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Severity {
    /// `None` for AV_LOG_QUIET.
    fn from_av(level: c_int) -> Option<Self> {
        if level < 0 {
            return None;
        }
        // The bits above the level are a terminal color (AV_LOG_C).
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

    /// Whether [`capture`] is active and keeps this level.
    fn is_captured(self) -> bool {
        let serious = matches!(self, Self::Error | Self::Warn | Self::Info);
        serious && CAPTURING.try_with(Cell::get).unwrap_or(false)
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

fn emit(severity: Severity, line: &str) {
    let line = redact(line);
    let camera = CAMERA.try_with(|name| name.borrow().clone()).unwrap_or_default();
    match severity {
        Severity::Error => tracing::error!(target: "ffmpeg", camera, "{line}"),
        Severity::Warn => tracing::warn!(target: "ffmpeg", camera, "{line}"),
        Severity::Info => tracing::info!(target: "ffmpeg", camera, "{line}"),
        Severity::Debug => tracing::debug!(target: "ffmpeg", camera, "{line}"),
        Severity::Trace => tracing::trace!(target: "ffmpeg", camera, "{line}"),
    }
}

/// Joins the pieces of one thread's lines and counts repetitions.
struct Assembler {
    /// FFmpeg's state: whether the next piece begins a line.
    print_prefix: c_int,
    line: String,
    last: String,
    repeats: u32,
}

impl Assembler {
    const fn new() -> Self {
        Self { print_prefix: 1, line: String::new(), last: String::new(), repeats: 0 }
    }

    fn push(&mut self, severity: Severity, piece: &str, mut emit: impl FnMut(Severity, &str)) {
        self.line.push_str(piece);
        if !piece.ends_with(['\n', '\r']) && self.line.len() < MAX_ASSEMBLED {
            return;
        }
        let line = std::mem::take(&mut self.line);
        let line = line.trim_end();
        if line.is_empty() {
            return;
        }
        keep_captured(severity, line);
        if line == self.last {
            self.repeats += 1;
            return;
        }
        if self.repeats > 0 {
            emit(severity, &format!("the last message was repeated {} times", self.repeats));
            self.repeats = 0;
        }
        emit(severity, line);
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
            assembler.push(Severity::Info, piece, |_, line| out.push(line.to_owned()));
        }
        out
    }

    #[test]
    fn pieces_are_joined() {
        assert_eq!(lines(&["[h264] ", "size ", "4\n", "next\n"]), ["[h264] size 4", "next"]);
    }

    #[test]
    fn lines_are_captured_including_repetitions() {
        capture(|| lines(&["[h264 @ 0x1] no [b] c\n", "[h264 @ 0x1] no [b] c\n"]));
        lines(&["later\n"]);
        assert_eq!(captured(), ["no [b] c", "no [b] c"]);
        capture(|| ());
        assert!(captured().is_empty());
    }

    #[test]
    fn repetitions_are_counted() {
        assert_eq!(
            lines(&["a\n", "a\n", "a\n", "b\n"]),
            ["a", "the last message was repeated 2 times", "b"]
        );
    }

    #[test]
    fn empty_lines_are_skipped_and_endless_ones_split() {
        assert!(lines(&["\n", "  \n"]).is_empty());
        assert_eq!(lines(&["x".repeat(MAX_ASSEMBLED).as_str()]).len(), 1);
    }

    #[test]
    fn levels_are_shifted_down() {
        assert_eq!(Severity::from_av(ffi::AV_LOG_QUIET), None);
        assert_eq!(Severity::from_av(ffi::AV_LOG_PANIC), Some(Severity::Error));
        assert_eq!(Severity::from_av(ffi::AV_LOG_ERROR), Some(Severity::Warn));
        assert_eq!(Severity::from_av(ffi::AV_LOG_WARNING), Some(Severity::Info));
        assert_eq!(Severity::from_av(ffi::AV_LOG_INFO), Some(Severity::Debug));
        assert_eq!(Severity::from_av(ffi::AV_LOG_TRACE), Some(Severity::Trace));
        assert_eq!(Severity::from_av(ffi::AV_LOG_ERROR | 0x8600), Some(Severity::Warn));
    }

    #[test]
    fn dropping_the_guard_restores_the_name() {
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
