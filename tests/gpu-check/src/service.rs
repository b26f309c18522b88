//! The service under check, and its readers.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::Failure;

const POLL: Duration = Duration::from_millis(50);
const OPENS_WITHIN: Duration = Duration::from_secs(30);
const STOPS_WITHIN: Duration = Duration::from_secs(30);

/// The programs and clips, all in one folder or the build's.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) vas: PathBuf,
    pub(crate) ffmpeg: PathBuf,
    pub(crate) clips: PathBuf,
}

/// A running service. Dropping it kills it.
pub(crate) struct Service {
    process: Child,
    vas: PathBuf,
    work: TempDir,
    shared: TempDir,
}

impl Service {
    /// Starts `vas run` with `cameras`, tables of the config; `under` runs it: a command and its arguments, or nothing.
    pub(crate) fn start(
        programs: &Programs,
        cameras: &str,
        under: &[&str],
    ) -> Result<Self, Failure> {
        let work = tempfile::tempdir().map_err(|e| Failure::file(Path::new("/tmp"), e))?;
        let shm = Path::new("/dev/shm");
        let shared = tempfile::tempdir_in(shm).map_err(|e| Failure::file(shm, e))?;
        let config = work.path().join("vas.toml");
        let (run, rings) = (work.path().join("run"), shared.path().join("vas"));
        let text = format!(
            "[service]\nrun_dir = {run:?}\n[export]\ndir = {rings:?}\nslots = 8\n{cameras}"
        );
        std::fs::write(&config, text).map_err(|e| Failure::file(&config, e))?;
        let log = work.path().join("log");
        let log = std::fs::File::create(&log).map_err(|e| Failure::file(&log, e))?;
        let mut command = match under {
            [] => Command::new(&programs.vas),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&programs.vas);
                command
            }
        };
        command.args(["run", "--config"]).arg(&config).env("AI_FRAME_EXPORT_ENABLED", "true");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = command.spawn();
        let process = process.map_err(|e| Failure::Program(format!("{command:?}: {e}")))?;
        Ok(Self { process, vas: programs.vas.clone(), work, shared })
    }

    /// `status.json`, once it is there and `is_wanted`.
    pub(crate) fn until(
        &mut self,
        what: &str,
        within: Duration,
        is_wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, Failure> {
        let since = Instant::now();
        loop {
            let status = self.status();
            if let Some(status) = status.as_ref().filter(|status| is_wanted(status)) {
                return Ok(status.clone());
            }
            let ended = self.process.try_wait().ok().flatten();
            if ended.is_some() || since.elapsed() > within {
                let how = ended.map_or("still runs".into(), |status| format!("ended: {status}"));
                return Err(Failure::Wrong(format!(
                    "not within {within:?}: {what}; the service {how}\n{}",
                    self.log()
                )));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits until readers can attach to this camera.
    pub(crate) fn until_can_be_read(&mut self, id: &str) -> Result<(), Failure> {
        let readers = self.shared.path().join("vas").join(id).join("readers");
        self.until(&format!("{id} can be read"), OPENS_WITHIN, |_| readers.exists()).map(drop)
    }

    fn status(&self) -> Option<Value> {
        let text = std::fs::read(self.work.path().join("run/status.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// A `vas watch` of a camera.
    pub(crate) fn watch(&self, camera: &str, options: &[&str]) -> Command {
        let mut command = Command::new(&self.vas);
        command.args(["watch", camera, "--json", "--dir"]).arg(self.shared.path().join("vas"));
        command.args(options).stdin(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// A reader that takes some frames of a camera.
    pub(crate) fn read(&mut self, id: &str, frames: usize) -> Result<Child, Failure> {
        self.until_can_be_read(id)?;
        let count = frames.to_string();
        let mut watch = self.watch(id, &["--md5", "--count", &count, "--timeout", "30"]);
        let reader = watch.stdout(Stdio::piped()).spawn();
        reader.map_err(|error| Failure::Program(format!("{watch:?}: {error}")))
    }

    /// The end of its log.
    pub(crate) fn log(&self) -> String {
        let text = std::fs::read_to_string(self.work.path().join("log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// Asks it to stop, and waits for that.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        if matches!(self.process.try_wait(), Ok(None)) {
            let pid = Pid::from_child(&self.process);
            kill_process(pid, Signal::TERM).map_err(|e| Failure::Program(format!("vas: {e}")))?;
        }
        let since = Instant::now();
        loop {
            match self.process.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => {
                    return Err(Failure::Wrong(format!("vas ended: {status}\n{}", self.log())));
                }
                Ok(None) if since.elapsed() < STOPS_WITHIN => std::thread::sleep(POLL),
                _ => {
                    return Err(Failure::Wrong(format!(
                        "vas does not stop within {STOPS_WITHIN:?}\n{}",
                        self.log()
                    )));
                }
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The camera of this id.
pub(crate) fn camera<'a>(status: &'a Value, id: &str) -> Option<&'a Value> {
    status["cameras"].as_array()?.iter().find(|camera| camera["id"] == id)
}

/// Nanoseconds for which the threads of processes have run so far (`schedstat`, proc(5)).
pub(crate) fn ran_ns(status: &Value) -> u64 {
    let shards = status["shards"].as_array().into_iter().flatten();
    let pids = shards.filter_map(|shard| shard["pid"].as_u64());
    let threads = pids.flat_map(|pid| std::fs::read_dir(format!("/proc/{pid}/task")));
    let threads = threads.flatten().flatten();
    let texts =
        threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok());
    texts.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok()).sum()
}
