//! `vas run`: starts the shards that run the cameras, restarts them when they die, tells them what
//! to run, and publishes their reports.
//!
//! One thread, one loop, no FFmpeg and no CUDA: whatever can crash is in the shards
//! (docs/design/shards.md).

mod crash_tracker;
mod endpoints;
mod error;
mod placement;
mod process;
mod readers;
mod reload;
mod report;
mod restarts;
mod settings;
mod shard;
mod sweep;
mod systemd;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use vas_channel::{Given, Signals, Start, ToShard};
use vas_config::{Camera, Config, ConfigError, ConfigFiles, Decode, Environment, GpuChoice};
use vas_frame::CameraId;
use vas_status::{InputState, StatusFiles};

use crate::core_files;
use crate::flag::FrameExport;
use crate::open_files;
use crate::program::ShardProgram;
use crate::test_hooks::TestHooks;

use crash_tracker::CrashTracker;
use endpoints::Endpoints;

pub(crate) use error::RunError;
use placement::Decodes;
use process::{Ended, Launch};
use readers::Readers;
use report::report_of;
use shard::{Event, Shard};
use systemd::Systemd;

const STATUS_EVERY: Duration = Duration::from_secs(1);
/// How long shards have to end: less than 5 s, including what is left to do afterwards.
const END_WITHIN: Duration = Duration::from_millis(4500);
/// Variables that are meant only for this process.
const OWN_VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// The arguments of `vas run`.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The config file.
    pub(crate) path: PathBuf,
    pub(crate) environment: Environment,
    pub(crate) export: FrameExport,
    pub(crate) test_hooks: TestHooks,
    /// The logging options, for the shards.
    pub(crate) logging: Vec<String>,
}

/// Reads the config and runs its cameras until SIGINT or SIGTERM.
///
/// # Errors
/// The config can't be used, or the service can't continue.
pub(crate) fn run(asked: Asked) -> Result<(), RunError> {
    let (given, config) = read(&asked)?;
    Supervisor::start(asked, given, config)?.run()
}

fn read(asked: &Asked) -> Result<(Given, Config), ConfigError> {
    let given = Given::new(ConfigFiles::read(&asked.path)?, &asked.environment);
    let config = given.understand()?;
    Ok((given, config))
}

/// The state of the loop.
struct Supervisor {
    asked: Asked,
    /// The config at the start of the service, for settings that do not change while it runs.
    settings: (Given, Config),
    /// The config as last read.
    cameras: (Given, Config),
    shards: Vec<Shard>,
    shard_program: ShardProgram,
    endpoints: Endpoints,
    crash_tracker: CrashTracker,
    /// Cameras that were removed from the config while a process had them; that process removes
    /// their files, unless it dies first.
    taken_out: HashSet<CameraId>,
    files: StatusFiles,
    /// `None` with the frame export off: then nobody reads.
    readers: Option<Readers>,
    _run_dir: File,
    signals: Signals,
    systemd: Systemd,
    status_at: Instant,
    stopping: Option<Instant>,
    /// The service's result, once all shards have ended.
    failed: Option<RunError>,
}

impl Supervisor {
    fn start(asked: Asked, given: Given, config: Config) -> Result<Self, RunError> {
        check_count(&config)?;
        let shard_program = ShardProgram::open(asked.test_hooks.shard_program())?;
        core_files::forbid();
        open_files::allow_many();
        let signals = Signals::of_supervisor().map_err(RunError::Signals)?;
        let run_dir = take_run_dir(&config.run_dir)?;
        let files = StatusFiles::create(&config.run_dir, asked.export == FrameExport::On)
            .map_err(|source| RunError::RunDir { path: config.run_dir.clone(), source })?;
        let exports = asked.export == FrameExport::On;
        let readers = exports.then(|| Readers::new(&config.readers_dir));
        let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
        let gpus = placement::nvidia_gpus(asked.test_hooks.nvidia_proc());
        let preferred_gpus = placement::preferred_gpus(config.shards, gpus, visible.as_deref());
        let shards = preferred_gpus
            .into_iter()
            .zip(0..)
            .map(|(preferred_gpu, number)| Shard::new(number, preferred_gpu));
        let mut supervisor = Self {
            asked,
            settings: (given.clone(), config.clone()),
            cameras: (given, config),
            shards: shards.collect(),
            shard_program,
            endpoints: Endpoints::default(),
            crash_tracker: CrashTracker::default(),
            taken_out: HashSet::new(),
            files,
            readers,
            _run_dir: run_dir,
            signals,
            systemd: Systemd::of_this_process(),
            status_at: Instant::now(),
            stopping: None,
            failed: None,
        };
        supervisor.place(Instant::now());
        supervisor.say_what_runs();
        Ok(supervisor)
    }

    fn say_what_runs(&self) {
        let config = &self.cameras.1;
        let counted =
            |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        let shards = self.shards.iter().filter(|shard| !shard.ids.is_empty()).count();
        tracing::info!(
            "{} in {}, frame export {}",
            counted(config.cameras.len(), "camera"),
            counted(shards, "shard"),
            match self.asked.export {
                FrameExport::On => format!("on, in {}", config.export.dir.display()),
                FrameExport::Off => "off".to_owned(),
            },
        );
    }

    fn run(mut self) -> Result<(), RunError> {
        loop {
            let now = Instant::now();
            let came = self.signals.take();
            if came.stop {
                self.stop(now);
            }
            if came.reload && self.stopping.is_none() {
                self.reload(now);
            }
            for index in 0..self.shards.len() {
                match self.shards[index].advance(now) {
                    Some(Event::Ended(ended)) => self.ended(index, &ended, now),
                    Some(Event::Due) => self.launch(index, now),
                    None => {}
                }
            }
            if let Some(since) = self.stopping
                && self.is_over(since, now)
            {
                break;
            }
            if now >= self.status_at {
                self.status_at = now + STATUS_EVERY;
                self.try_again(now);
                self.tell(now);
            }
            self.feed(now);
            self.wait(now)?;
        }
        self.sweep_all();
        self.failed.map_or(Ok(()), Err)
    }

    /// Divides the cameras between the shards, and informs the running ones.
    fn place(&mut self, now: Instant) {
        let mut places = HashMap::new();
        for (index, shard) in self.shards.iter().enumerate() {
            places.extend(shard.ids.iter().map(|id| (id.clone(), index)));
        }
        let cameras = self.cameras.1.cameras.iter();
        let cameras: Vec<_> =
            cameras.map(|camera| (camera.id.clone(), self.decodes(camera))).collect();
        let preferred_gpus: Vec<_> = self.shards.iter().map(|shard| shard.preferred_gpu).collect();
        let divided = placement::place(&cameras, &places, &preferred_gpus);
        for (index, ids) in divided.into_iter().enumerate() {
            self.shards[index].ids = ids;
            self.tell_cameras(index);
            match self.wanted(index).is_empty() {
                // A process that already runs continues without a camera.
                true => self.shards[index].want_none(),
                false => self.shards[index].want_process(now),
            }
        }
    }

    /// Where a camera may decode.
    fn decodes(&self, camera: &Camera) -> Decodes {
        let exports =
            self.asked.export == FrameExport::On || self.asked.test_hooks.of_shards().take_frames();
        // Render nodes are no GPUs of the driver's numbering.
        let may = camera.may_decode_on_gpu(exports) && camera.decode != Decode::Vaapi;
        match (may, camera.gpu) {
            (false, _) | (_, GpuChoice::Node(_)) => Decodes::Elsewhere,
            (true, GpuChoice::Auto) => Decodes::AnyGpu,
            (true, GpuChoice::Number(gpu)) => Decodes::Gpu(gpu),
        }
    }

    /// The cameras that a shard is to run.
    fn wanted(&self, index: usize) -> Vec<String> {
        let ids = self.shards[index].ids.iter();
        ids.filter(|id| self.crash_tracker.quarantine(id).is_none())
            .map(ToString::to_string)
            .collect()
    }

    fn tell_cameras(&mut self, index: usize) {
        let ids = self.wanted(index);
        let Some(process) = &mut self.shards[index].process else { return };
        let cameras = self.cameras.1.cameras.iter();
        for camera in cameras.filter(|camera| ids.iter().any(|id| id == camera.id.as_str())) {
            if let Some((endpoint, files)) = self.endpoints.of(camera) {
                process.tell_with(&endpoint, files);
            }
        }
        process.tell(&ToShard::Cameras { given: self.cameras.0.clone(), ids });
    }

    /// Sends the shard that runs a camera the sockets of its producer.
    fn send_endpoint(&mut self, id: &CameraId) {
        let running = self.shards.iter_mut().find(|shard| shard.ids.contains(id));
        let process = running.and_then(|shard| shard.process.as_mut());
        let camera = self.cameras.1.cameras.iter().find(|camera| camera.id == *id);
        if let Some((process, camera)) = process.zip(camera)
            && let Some((endpoint, files)) = self.endpoints.of(camera)
        {
            process.tell_with(&endpoint, files);
        }
    }

    fn launch(&mut self, index: usize, now: Instant) {
        let mut hidden: Vec<_> = OWN_VARIABLES.map(str::to_owned).into();
        hidden.extend(self.settings.0.files().variables());
        hidden.extend(self.cameras.0.files().variables());
        let shard = &mut self.shards[index];
        let start = Start {
            shard: shard.number,
            preferred_gpu: shard.preferred_gpu,
            frame_export: self.asked.export == FrameExport::On,
            settings: self.settings.0.clone(),
            test_hooks: self.asked.test_hooks.of_shards(),
        };
        let (program, logging) = (&self.shard_program, &self.asked.logging);
        match shard.start(Launch { start, program, logging, hidden: &hidden }, now) {
            Ok(()) => self.tell_cameras(index),
            Err(error) => {
                self.note_failure(index, &error.to_string(), now);
            }
        }
    }

    /// Notes that a shard can't work; whether the service ends for it.
    fn note_failure(&mut self, index: usize, words: &str, now: Instant) -> bool {
        let shard = &mut self.shards[index];
        shard.failed_at_start |= !shard.was_up;
        // No shard ever worked, and a retry would not help. If one works, or still may, the
        // others' cameras wait.
        let all = restarts::all_failed(self.shards.iter().map(Shard::beginning));
        if all {
            self.failed = Some(RunError::Shard(words.to_owned()));
            self.stop(now);
        }
        all
    }

    /// Handles the end of a shard's process.
    fn ended(&mut self, index: usize, ended: &Ended, now: Instant) {
        let shard = &mut self.shards[index];
        if self.stopping.is_some() {
            if let Some(words) = &ended.failed {
                tracing::error!("shard {}: {words}", shard.number);
            }
            return;
        }
        if let Some(words) = &ended.failed
            && self.note_failure(index, words, now)
        {
            return;
        }
        let shard = &mut self.shards[index];
        let how = ended.failed.as_ref().map_or_else(|| ended.how.clone(), Clone::clone);
        // A dying process's last words count only for a camera that it ran.
        let camera = ended.camera.as_deref();
        let camera =
            camera.and_then(|name| shard.ids.iter().find(|id| id.as_str() == name)).cloned();
        let whose =
            camera.as_ref().map_or_else(String::new, |id| format!(" in a thread of camera {id}"));
        let reason = format!("shard {} ended ({how}){whose}", shard.number);
        let wait = shard.again(ended, reason.clone(), now);
        tracing::error!(
            camera = camera.as_ref().map(tracing::field::display),
            "{reason}; restarting it {}",
            match wait.is_zero() {
                true => "now".to_owned(),
                false => format!("in {:.1} s", wait.as_secs_f32()),
            },
        );
        if let Some(camera) = camera
            && self.crash_tracker.crashed(&camera, &how, now)
            && let Some(quarantine) = self.crash_tracker.quarantine(&camera)
        {
            tracing::error!(%camera, "set apart: {}", quarantine.words(now));
        }
        if self.wanted(index).is_empty() {
            self.shards[index].want_none();
        }
        if !ended.orderly {
            self.sweep_unowned(index);
        }
    }

    /// Removes what a dead process left of cameras that no other will take over: those that are
    /// quarantined or no longer in the config.
    fn sweep_unowned(&self, index: usize) {
        let cameras = &self.cameras.1.cameras;
        let gone = self.taken_out.iter();
        let gone = gone.filter(|id| !cameras.iter().any(|camera| camera.id == **id));
        let quarantine =
            self.shards[index].ids.iter().filter(|id| self.crash_tracker.quarantine(id).is_some());
        self.sweep(gone.chain(quarantine).collect());
    }

    /// Restarts cameras whose quarantine is over, and sends shards the sockets that they lack.
    fn try_again(&mut self, now: Instant) {
        if self.stopping.is_some() {
            return;
        }
        for id in self.endpoints.due(now) {
            self.send_endpoint(&id);
        }
        for id in self.crash_tracker.take_over(now) {
            tracing::info!(camera = %id, "no longer set apart: starting it again");
            let has = |shard: &Shard| shard.ids.contains(&id);
            if let Some(index) = self.shards.iter().position(has) {
                self.tell_cameras(index);
                self.shards[index].want_process(now);
            }
        }
    }

    /// Asks all shards to end.
    fn stop(&mut self, now: Instant) {
        if self.stopping.is_some() {
            return tracing::warn!("asked to stop again; already stopping");
        }
        tracing::info!("stopping");
        self.systemd.stopping();
        self.stopping = Some(now);
        for shard in &mut self.shards {
            shard.want_none();
            if let Some(process) = &mut shard.process {
                process.tell(&ToShard::Stop);
            }
        }
    }

    /// Whether all have ended; kills those that take too long.
    fn is_over(&mut self, since: Instant, now: Instant) -> bool {
        let late = now.saturating_duration_since(since) >= END_WITHIN;
        let mut killed = Vec::new();
        for shard in self.shards.iter_mut().filter(|_| late) {
            if let Some(process) = &mut shard.process
                && process.kill("it did not end")
            {
                let ids: Vec<_> = shard.ids.iter().map(ToString::to_string).collect();
                killed.push(format!("shard {} ({})", shard.number, ids.join(", ")));
            }
        }
        if !killed.is_empty() {
            self.failed = Some(RunError::Killed(killed.join(", ")));
        }
        self.shards.iter().all(|shard| shard.process.is_none())
    }

    /// Removes what dead shards could not.
    fn sweep_all(&self) {
        let left = self.shards.iter().filter(|shard| shard.left_files);
        let mut ids: Vec<_> = left.flat_map(|shard| &shard.ids).collect();
        if !ids.is_empty() {
            ids.extend(&self.taken_out);
        }
        self.sweep(ids);
    }

    /// Removes what is left of cameras; files of a live process stay.
    fn sweep(&self, ids: Vec<&CameraId>) {
        if self.asked.export == FrameExport::On && !ids.is_empty() {
            sweep::sweep(&self.settings.1.export, ids);
        }
    }

    /// Publishes the status and informs systemd.
    fn tell(&mut self, now: Instant) {
        let shards = self.shards.iter().filter(|shard| !shard.ids.is_empty());
        let reports: Vec<_> = shards
            .map(|shard| (shard.health(), report_of(shard, &self.crash_tracker, now)))
            .collect();
        let all = || reports.iter().flat_map(|(_, report)| &report.cameras);
        let streaming = all().filter(|camera| camera.input.state == InputState::Streaming).count();
        self.systemd.status(format!("{streaming} of {} cameras streaming", all().count()));
        let readers = self.readers.as_mut().map(Readers::report).unwrap_or_default();
        self.files.write(reports, readers);
        // A shard that can't start is reported in the status; what runs must not wait for it.
        let has_begun = |shard: &Shard| shard.was_up || shard.ids.is_empty() || shard.has_ended();
        if self.stopping.is_none() && self.shards.iter().all(has_begun) {
            self.systemd.ready();
        }
    }

    fn feed(&mut self, now: Instant) {
        if self.shards.iter().all(|shard| shard.answers(now)) {
            self.systemd.alive(now);
        }
    }

    /// Waits until an event arrives or something is due.
    fn wait(&self, now: Instant) -> Result<(), RunError> {
        let mut next = self.status_at;
        next = self.shards.iter().filter_map(Shard::next).fold(next, Instant::min);
        if let Some(every) = self.systemd.watchdog() {
            next = next.min(now + every);
        }
        if let Some(since) = self.stopping {
            next = next.min(since + END_WITHIN).max(now + Duration::from_millis(5));
        }
        let mut fds = vec![PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN)];
        for shard in &self.shards {
            let interest = shard.process.as_ref().and_then(process::Process::interest);
            if let Some((fd, waiting)) = interest {
                let out = if waiting { PollFlags::OUT } else { PollFlags::empty() };
                fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN | out));
            }
        }
        let timeout = next.saturating_duration_since(now).try_into().ok();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(RunError::Wait(error.into())),
        }
    }
}

/// Locks the folder of the status: two services would overwrite each other's status.
fn take_run_dir(path: &Path) -> Result<File, RunError> {
    let failed = |source| RunError::RunDir { path: path.to_owned(), source };
    std::fs::create_dir_all(path).map_err(failed)?;
    let dir = File::open(path).map_err(failed)?;
    match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(dir),
        Err(Errno::WOULDBLOCK) => Err(RunError::RunDirTaken { path: path.to_owned() }),
        Err(error) => Err(failed(error.into())),
    }
}

fn check_count(config: &Config) -> Result<(), RunError> {
    match config.cameras.len() {
        count if count > Config::MAX_CAMERAS => Err(RunError::TooManyCameras { count }),
        _ => Ok(()),
    }
}
