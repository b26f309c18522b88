//! One camera: its inputs, each with a demux thread that waits for no branch, and the branches,
//! each with a bounded queue and a thread of its own.
//!
//! An input knows its branches by one trait ([`Branch`]); what they do with packets, and whether
//! there are any, does not change how it runs. Without a branch it only counts what it receives.

#![forbid(unsafe_code)]

mod branch;
mod counters;
mod decode;
mod decoders;
mod demand;
mod demux;
mod ending;
mod exporter;
mod feed;
mod gpus;
mod isolated;
mod ladder;
mod queue;
mod state;
mod vaapi;
mod wakeup;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use vas_frame::CameraId;
use vas_media::{Coalescing, StopFlag};
use vas_status::InputState;
use vas_threads::caught;

pub use branch::{Branch, BranchStats, Late, LatePart, Packets};
pub use counters::Counters;
pub use decode::{Decode, FrameSink};
pub use decoders::Decoders;
pub use demand::Demand;
pub use demux::request;
pub use exporter::{Exported, Exporter};
pub use gpus::Gpus;
pub use queue::{Item, Limits, PacketQueue, Pushed, Queued, Taken};
pub use state::{InputStats, StateCell};
pub use vas_surfaces::EXTRA_SURFACES;
pub use wakeup::Wakeup;

use ending::{End, Ending};
use feed::Feed;
use vas_config::Input;

/// The running threads of a camera.
#[derive(Debug)]
pub struct Pipeline {
    camera: CameraId,
    /// Signalled when one of its threads ends.
    ends: Arc<Wakeup>,
    inputs: Vec<Running>,
    late: Vec<(Late, Part)>,
}

/// A part that waits for what it needs.
enum Part {
    Branch(LateBranch),
    Other(Box<dyn LatePart>),
}

/// A branch that waits for a thread.
struct LateBranch {
    /// The number of its input.
    input: usize,
    job: &'static str,
    feed: Feed,
    /// Taken by its thread: if the thread can't be started, the branch is not lost.
    branch: Arc<Mutex<Option<Box<dyn Branch>>>>,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Branch(LateBranch { input, job, .. }) => {
                f.debug_struct("Branch").field("input", input).field("job", job).finish()
            }
            Self::Other(_) => f.write_str("Other"),
        }
    }
}

/// The running threads of an input.
#[derive(Debug)]
struct Running {
    stop: StopFlag,
    feeds: Vec<Feed>,
    threads: Vec<(JoinHandle<()>, End)>,
}

impl Pipeline {
    /// A camera without inputs yet. `ends` is signalled when one of its threads ends.
    pub fn new(camera: CameraId, ends: Arc<Wakeup>) -> Self {
        Self { camera, ends, inputs: Vec::new(), late: Vec::new() }
    }

    /// Its id.
    pub fn camera(&self) -> &CameraId {
        &self.camera
    }

    /// Starts an input and its branches. Those that may be [late](Branch::late) are left to
    /// [`start_late`](Self::start_late).
    ///
    /// # Errors
    /// The system has no thread to give to the input or to a branch that may not be late; what was
    /// started before runs on until [`stop`](Self::stop).
    pub fn start(
        &mut self,
        input: &Input,
        stats: &Arc<InputStats>,
        branches: Vec<Box<dyn Branch>>,
    ) -> io::Result<()> {
        let stop = StopFlag::new();
        let coalescing = Coalescing::new(&stop);
        let feeds: Vec<_> =
            branches.iter().map(|branch| Feed::to(branch.as_ref(), &coalescing)).collect();
        self.inputs.push(Running { stop: stop.clone(), feeds: feeds.clone(), threads: Vec::new() });
        for (branch, feed) in branches.into_iter().zip(&feeds) {
            if let Some(late) = branch.late() {
                let (input, job, feed) = (self.inputs.len() - 1, branch.job(), feed.clone());
                let branch = Arc::new(Mutex::new(Some(branch)));
                self.late.push((late, Part::Branch(LateBranch { input, job, feed, branch })));
                continue;
            }
            let (packets, feed) = (feed.packets(), feed.clone());
            self.spawn(branch.job(), move || branch.run(packets), move || feed.panicked())?;
        }
        let demux = demux::Demux::new(input, (stop, coalescing), feeds.clone(), Arc::clone(stats));
        let stats = Arc::clone(stats);
        let panicked = move || {
            stats.state.set(InputState::Failed, "internal error in the demux thread");
            feeds.iter().for_each(Feed::close);
        };
        self.spawn("demux", move || demux.run(), panicked)
    }

    /// Adds a part that [`start_late`](Self::start_late) is to start.
    pub fn add_late(&mut self, late: Late, part: Box<dyn LatePart>) {
        self.late.push((late, Part::Other(part)));
    }

    /// Whether a part of this kind waits for what it needs.
    pub fn lacks(&self, late: Late) -> bool {
        self.late.iter().any(|(kind, _)| *kind == late)
    }

    /// Starts the parts of this kind that have not started.
    ///
    /// # Errors
    /// The system lacks what some of them need, which keep waiting: the first error of the system, or the first.
    pub fn start_late(&mut self, late: Late) -> io::Result<()> {
        let mut outcome: io::Result<()> = Ok(());
        for (kind, mut part) in std::mem::take(&mut self.late) {
            let started = match &mut part {
                _ if kind != late => Err(None),
                Part::Branch(branch) => self.start_branch(branch).map_err(Some),
                Part::Other(part) => part.start().map_err(Some),
            };
            let Err(error) = started else { continue };
            if let (Some(_), Late::Producer, Part::Branch(branch)) = (&error, kind, &part) {
                branch.feed.hold();
            }
            self.late.push((kind, part));
            // Exports must wait while the system is short of something, so its error takes precedence.
            match (&outcome, error) {
                (Err(first), Some(error)) if first.raw_os_error().is_none() => outcome = Err(error),
                (Ok(()), Some(error)) => outcome = Err(error),
                _ => {}
            }
        }
        outcome
    }

    fn start_branch(&mut self, late: &LateBranch) -> io::Result<()> {
        let LateBranch { input, job, feed, branch } = late;
        if let Some(branch) = branch.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            branch.prepare()?;
        }
        let (of_thread, of_panic) = (Arc::clone(branch), feed.clone());
        let packets = feed.packets();
        let run = move || {
            let branch = of_thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(branch) = branch {
                branch.run(packets);
            }
        };
        let (ending, end) = Ending::new(&self.ends);
        let thread = spawn_until(job, &self.camera, run, move || of_panic.panicked(), ending)?;
        self.inputs[*input].threads.push((thread, end));
        feed.release();
        Ok(())
    }

    /// Starts a thread of the newest input.
    fn spawn(
        &mut self,
        job: &'static str,
        run: impl FnOnce() + Send + 'static,
        panicked: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let (ending, end) = Ending::new(&self.ends);
        let thread = spawn_until(job, &self.camera, run, panicked, ending)?;
        let input = self.inputs.last_mut().expect("an input is pushed before its threads");
        input.threads.push((thread, end));
        Ok(())
    }

    /// Asks the threads to end; does not wait.
    pub fn stop(&self) {
        for input in &self.inputs {
            input.stop.stop();
            input.feeds.iter().for_each(Feed::close);
        }
    }

    /// Whether the threads have done all their work: [`join`](Self::join) waits for no more than the system's part of
    /// their end.
    pub fn is_over(&self) -> bool {
        self.inputs.iter().flat_map(|input| &input.threads).all(|(_, end)| end.has_come())
    }

    /// Waits for the threads to end.
    pub fn join(self) {
        for (thread, _) in self.inputs.into_iter().flat_map(|input| input.threads) {
            // A panic was caught and logged in the thread itself.
            let _ = thread.join();
        }
    }
}

/// Starts a thread that passes the camera's id to FFmpeg's log. A panic is logged and ends only
/// what this thread does.
pub fn spawn(
    job: &'static str,
    camera: &CameraId,
    run: impl FnOnce() + Send + 'static,
    panicked: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    spawn_until(job, camera, run, panicked, ())
}

/// As [`spawn`]; `ending` is dropped last.
fn spawn_until(
    job: &'static str,
    camera: &CameraId,
    run: impl FnOnce() + Send + 'static,
    panicked: impl FnOnce() + Send + 'static,
    ending: impl Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let id = camera.clone();
    std::thread::Builder::new().name(thread_name(job, id.as_str())).spawn(move || {
        let _ending = ending;
        let _named = vas_media::log::name_thread(id.as_str());
        let _span = tracing::info_span!("camera", camera = %id).entered();
        if let Err(words) = caught(run) {
            tracing::error!("the {job} thread panicked: {words}; it stays off until a restart");
            panicked();
        }
    })
}

/// The kernel keeps 15 bytes of a thread's name: the job, shortened, then as much of the id as
/// fits.
fn thread_name(job: &str, camera: &str) -> String {
    format!("{}:{camera}", &job[..3]).chars().take(15).collect()
}
