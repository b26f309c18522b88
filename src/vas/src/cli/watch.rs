//! `vas watch`: a line for each frame of a camera.

use std::fmt;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use vas_cli::seconds;
use vas_frame::{Frame, MaxFps, Nv12Image, ReadError, Reader};
use vas_gate::{Limit, Rate, State, decide};

use super::ExportArgs;
use super::failure::Failure;
use super::frame_line::FrameLine;

/// Print a line for each frame that a camera exports
///
/// Starts with the newest frame and follows every later one, across changes of size and restarts of
/// the service. Frames that were missed are reported on standard error and counted at the end.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct WatchArgs {
    #[command(flatten)]
    export: ExportArgs,
    /// Print JSON, one object per line.
    #[arg(long)]
    json: bool,
    /// Copy each frame and print the MD5 of its pixels, as FFmpeg's framemd5 does for nv12.
    #[arg(long)]
    md5: bool,
    /// Stop after this many frames.
    #[arg(long, value_name = "N")]
    count: Option<NonZeroU64>,
    /// Give up if no frame arrives for this long; by default, wait forever.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Take at most this many frames per second, such as 5 or 29.97; the service then copies no
    /// more than that for this reader
    #[arg(long, value_name = "FPS")]
    max_fps: Option<Rate>,
}

const EXAMPLES: &str = "\
Examples:
  vas watch gate
  vas watch gate --max-fps 5
  vas watch gate --wait 60
  vas watch gate --json --count 100 --timeout 10 | jq .age_ns

JSON keys:
  camera        id of the camera
  epoch         increases with each change of size, format, color or writer
  frame_id      increases with each frame; gaps are frames that were not exported
  pts_ns        the camera's presentation time, or null when it gave none
  arrival_ns    when its first packet arrived, on CLOCK_MONOTONIC, like all times below
  decoded_ns    when the decoder returned it
  gate_ns       the time that limits of the frame rate compare
  published_ns  when it was published
  age_ns        from the arrival of its first packet until it was read here
  width height  visible size in pixels
  key corrupt   true or false
  after_loss    \"yes\", \"no\", or \"unknown\" when the source can't tell
  decoder       \"software\", \"vaapi\", \"nvdec\" or \"unknown\"
  md5           of the pixels, or null without --md5

Exit codes: 0 after --count frames, Ctrl-C or a closed pipe; 1 if no frame arrived within --timeout;
3 if the camera does not exist or its writer is dead, even after --wait, or if no new writer came
within --timeout.";

/// How long one wait may last before signals and the time limit are checked.
const WAIT: Duration = Duration::from_millis(100);

pub(super) fn run(args: &WatchArgs) -> Result<(), Failure> {
    let stop = stop_on_signals().map_err(Failure::Signals)?;
    let max_fps = args.max_fps.and_then(|rate| MaxFps::new(rate.num(), rate.den()));
    let Some(reader) = args.export.open(max_fps, &stop)? else { return Ok(()) };
    let (mut out, mut notes) = (io::stdout().lock(), io::stderr());
    Watch::new(args, reader, &mut out, &mut notes).run(&stop)
}

/// A flag that SIGINT and SIGTERM set; a second signal ends the process.
fn stop_on_signals() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag still clear.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// One reader and what it has seen.
struct Watch<'a> {
    args: &'a WatchArgs,
    reader: Reader,
    /// Receives the lines.
    out: &'a mut dyn Write,
    /// Receives all other messages. Failures to write them are ignored.
    notes: &'a mut dyn Write,
    image: Nv12Image,
    /// The last frame taken, for the gate.
    state: State,
    last: Option<Frame>,
    /// Everything up to this id is handled.
    last_id: u64,
    /// When the newest frame arrived, at first when watching began.
    last_frame_at: Instant,
    began: Instant,
    writer_gone: bool,
    frames: u64,
    not_exported: u64,
    missed: u64,
}

impl<'a> Watch<'a> {
    fn new(
        args: &'a WatchArgs,
        reader: Reader,
        out: &'a mut dyn Write,
        notes: &'a mut dyn Write,
    ) -> Self {
        let now = Instant::now();
        Self {
            args,
            reader,
            out,
            notes,
            image: Nv12Image::default(),
            state: State::default(),
            last: None,
            last_id: 0,
            last_frame_at: now,
            began: now,
            writer_gone: false,
            frames: 0,
            not_exported: 0,
            missed: 0,
        }
    }

    /// Follows the camera and prints a summary at the end, unless the output was closed.
    fn run(mut self, stop: &AtomicBool) -> Result<(), Failure> {
        let outcome = self.follow(stop);
        if !matches!(outcome, Err(Failure::Stdout(_))) {
            let summary = self.summary();
            self.note(format_args!("{summary}"));
        }
        outcome
    }

    fn follow(&mut self, stop: &AtomicBool) -> Result<(), Failure> {
        self.reader.set_timeout(WAIT);
        self.skip_to_newest()?;
        let wanted = self.args.count.map_or(u64::MAX, NonZeroU64::get);
        while self.frames < wanted && !stop.load(Ordering::Relaxed) {
            match self.next() {
                Ok(frame) => self.take(frame)?,
                Err(error) => self.bear(error)?,
            }
        }
        Ok(())
    }

    /// Every frame, or with a maximum the newest that its gate allows.
    fn next(&mut self) -> Result<Frame, ReadError> {
        let Some(rate) = self.args.max_fps else {
            return self.reader.next();
        };
        let (limit, state) = (Limit::at_most(rate), &self.state);
        let frame = self.reader.newer_if(|meta| decide(state, &limit, meta.into()).is_allow())?;
        self.state.dispatched(frame.meta().into());
        Ok(frame)
    }

    /// Skips what the ring still holds from before.
    fn skip_to_newest(&mut self) -> Result<(), Failure> {
        match self.reader.latest() {
            Ok(newest) => {
                self.last_id = newest.id().saturating_sub(1);
                self.reader.seek(self.last_id);
            }
            Err(error) => self.bear(error)?,
        }
        Ok(())
    }

    fn take(&mut self, frame: Frame) -> Result<(), Failure> {
        let meta = *frame.meta();
        let age = meta.age();
        self.last_frame_at = Instant::now();
        self.writer_gone = false;
        self.count_gap(&frame);
        self.last_id = meta.frame_id;
        let copied = !self.args.md5 || frame.copy_if_valid(&mut self.image).is_ok();
        self.last = Some(frame);
        if !copied {
            self.say_missed(meta.frame_id, meta.frame_id);
            return Ok(());
        }
        self.frames += 1;
        let image = self.args.md5.then_some(&self.image);
        let line = FrameLine::new(self.args.export.camera.as_str(), &meta, age, image);
        let line = if self.args.json { line.to_json() } else { line.to_string() };
        writeln!(self.out, "{line}").and_then(|()| self.out.flush()).map_err(Failure::Stdout)
    }

    /// Counts the ids between the last frame and this one. Slots are used in turn, so while the
    /// last frame is still in its slot, no later one was overwritten: the gap was never exported.
    /// Ids start again with each epoch.
    fn count_gap(&mut self, frame: &Frame) {
        // With a maximum it is unknown which of them were wanted.
        let (Some(last), None) = (&self.last, self.args.max_fps) else { return };
        let id = frame.meta().frame_id;
        let gap = id.saturating_sub(self.last_id + 1);
        if gap == 0 || last.meta().epoch != frame.meta().epoch {
            return;
        }
        if last.still_valid() {
            self.not_exported += gap;
        } else {
            self.say_missed(self.last_id + 1, id - 1);
        }
    }

    fn say_missed(&mut self, first: u64, last: u64) {
        let camera = &self.args.export.camera;
        self.missed += last - first + 1;
        if first == last {
            self.note(format_args!(
                "camera {camera}: frame {first} was overwritten before it was read"
            ));
        } else {
            self.note(format_args!(
                "camera {camera}: frames {first} to {last} were overwritten before they were read"
            ));
        }
    }

    fn note(&mut self, words: fmt::Arguments<'_>) {
        let _ = writeln!(self.notes, "{words}");
    }

    /// Continues after an error that the next frame may end, within the time limit.
    fn bear(&mut self, error: ReadError) -> Result<(), Failure> {
        match error {
            ReadError::WriterGone { ref camera, how } => {
                if !std::mem::replace(&mut self.writer_gone, true) {
                    self.note(format_args!(
                        "the writer of camera {camera} is gone ({how}); waiting for the next"
                    ));
                }
            }
            ReadError::TimedOut { .. } | ReadError::NotYet { .. } => {}
            _ => return Err(Failure::Read(error)),
        }
        match self.args.timeout {
            Some(limit) if self.last_frame_at.elapsed() >= limit => Err(self.gave_up(error, limit)),
            _ => Ok(()),
        }
    }

    /// Why no frame came within `limit`, as the last wait saw it.
    fn gave_up(&self, error: ReadError, limit: Duration) -> Failure {
        let camera = self.args.export.camera.clone();
        match error {
            _ if self.writer_gone => Failure::NoNextWriter { camera: camera.to_string(), limit },
            ReadError::TimedOut { .. } => {
                Failure::Read(ReadError::TimedOut { camera, timeout: limit })
            }
            error => Failure::Read(error),
        }
    }

    fn summary(&self) -> String {
        let Self { frames, not_exported, missed, .. } = self;
        let noun = if *frames == 1 { "frame" } else { "frames" };
        format!(
            "camera {}: {frames} {noun} in {:.1} s; {missed} missed by this reader, {not_exported} \
             not exported by the service",
            self.args.export.camera,
            self.began.elapsed().as_secs_f64(),
        )
    }
}

#[cfg(test)]
mod tests;
