//! One shard's process, from start to end.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::MemfdFlags;
use vas_channel::{Channel, ChannelError, FromShard, LastExports, Start, ToShard};
use vas_crash::LastWords;
use vas_status::ShardReport;

use crate::program::{NoShardProgram, ShardProgram};

/// A process that is silent this long hangs. It reports each second.
const HANGS_AFTER: Duration = Duration::from_secs(15);
/// The first report takes as long as setting up FFmpeg, the export and GPUs.
const FIRST_WORD_WITHIN: Duration = Duration::from_secs(60);
/// Most messages that are taken at once, so that a process that sends too many delays no other.
const MOST_AT_ONCE: usize = 64;
/// How long a process may run after its socket was closed.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// A process that has been started.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Of which program, for messages.
    program: PathBuf,
    channel: Channel,
    last_words: File,
    started: Instant,
    exports: LastExports,
    last_report: Option<Instant>,
    /// Reported by itself or set by us, before its end.
    reason: Option<String>,
    /// Since when the channel is unusable.
    channel_lost: Option<Instant>,
    killed: bool,
}

/// How a process ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) ran: Duration,
    pub(super) how: String,
    /// The camera in whose thread it died, from its last words.
    pub(super) camera: Option<String>,
    /// Why it could not work, as it reported.
    pub(super) failed: Option<String>,
    /// Cleanly, as it was asked to.
    pub(super) orderly: bool,
}

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotStarted {
    #[error(transparent)]
    Program(#[from] NoShardProgram),
    #[error("can't set up its process: {0}")]
    Setup(#[from] io::Error),
}

impl NotStarted {
    /// Whether another try gives the same.
    pub(super) fn is_lasting(&self) -> bool {
        matches!(self, Self::Program(program) if program.is_lasting())
    }
}

/// What to start.
pub(super) struct Launch<'a> {
    pub(super) start: Start,
    pub(super) program: &'a ShardProgram,
    /// The logging options.
    pub(super) logging: &'a [String],
    /// Variables to keep out of a shard's environment, which `/proc` shows.
    pub(super) hidden: &'a [String],
}

impl Process {
    /// Starts a shard.
    ///
    /// Call it on the thread that lives as long as this process: the kernel ends the shard with
    /// that thread.
    pub(super) fn start(launch: Launch<'_>) -> Result<Self, NotStarted> {
        let (mut channel, theirs) = Channel::pair()?;
        // Neither a path nor a mapping: nothing is left of it when both have closed it.
        let last_words = rustix::fs::memfd_create("vas-last-words", MemfdFlags::CLOEXEC);
        let last_words = File::from(last_words.map_err(io::Error::from)?);
        let mut command = launch.program.command();
        command.args(["shard", &launch.start.shard.to_string()]).args(launch.logging);
        command.stdin(Stdio::from(theirs));
        for name in launch.hidden {
            command.env_remove(name);
        }
        // Nothing may fail between the start and the value that ends it.
        let file = last_words.try_clone()?;
        let program = launch.program.path();
        let child = command.spawn().map_err(|source| NoShardProgram::new(program, source))?;
        let sent = channel.send(&ToShard::Start(launch.start), vec![file.into()]);
        let mut process = Self {
            child,
            program: program.to_owned(),
            channel,
            last_words,
            started: Instant::now(),
            exports: LastExports::default(),
            last_report: None,
            reason: None,
            channel_lost: None,
            killed: false,
        };
        if let Err(error) = sent {
            process.give_up(&error);
        }
        Ok(process)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has reported that it works.
    pub(super) fn is_up(&self) -> bool {
        self.last_report.is_some() && self.channel_lost.is_none() && !self.killed
    }

    /// What to poll its channel for: reading, and writing if data waits.
    pub(super) fn interest(&self) -> Option<(BorrowedFd<'_>, bool)> {
        self.channel_lost.is_none().then(|| (self.channel.as_fd(), self.channel.is_waiting()))
    }

    /// Sends it a message.
    pub(super) fn tell(&mut self, message: &ToShard) {
        self.tell_with(message, Vec::new());
    }

    /// Sends it a message with files.
    pub(super) fn tell_with(&mut self, message: &ToShard, files: Vec<OwnedFd>) {
        if self.channel_lost.is_none()
            && let Err(error) = self.channel.send(message, files)
        {
            self.give_up(&error);
        }
    }

    /// Its newest report, if it has sent one.
    pub(super) fn receive(&mut self, now: Instant) -> Option<ShardReport> {
        if self.channel_lost.is_some() {
            return None;
        }
        if let Err(error) = self.channel.flush() {
            self.give_up(&error);
        }
        self.read(now)
    }

    /// Takes what it has sent.
    fn read(&mut self, now: Instant) -> Option<ShardReport> {
        let mut newest = None;
        for _ in 0..MOST_AT_ONCE {
            match self.channel.receive() {
                Ok(None) => break,
                Ok(Some(FromShard::Report(report))) => {
                    self.last_report = Some(now);
                    newest = Some(self.exports.unpack(report));
                }
                Ok(Some(FromShard::Failed(words))) => self.reason = Some(words),
                Ok(Some(FromShard::Hanging(cameras))) => {
                    self.reason = Some(format!("cameras did not end: {}", cameras.join(", ")));
                }
                Err(error) => {
                    self.give_up(&error);
                    break;
                }
            }
        }
        newest
    }

    fn give_up(&mut self, error: &ChannelError) {
        if !matches!(error, ChannelError::Closed) && self.reason.is_none() {
            self.reason = Some(error.to_string());
        }
        self.channel_lost.get_or_insert_with(Instant::now);
    }

    /// Kills it if its report, or its end, is long overdue.
    pub(super) fn watch(&mut self, now: Instant) {
        let since = |then: Instant| now.saturating_duration_since(then);
        let words = match (self.channel_lost, self.last_report) {
            (Some(channel_lost), _) if since(channel_lost) >= ENDS_WITHIN => {
                "it closed its socket but did not end"
            }
            (Some(_), _) => return,
            (None, Some(last_report)) if since(last_report) >= HANGS_AFTER => {
                "it said nothing for 15 s"
            }
            (None, None) if since(self.started) >= FIRST_WORD_WITHIN => {
                "it did not report within 60 s of its start"
            }
            _ => return,
        };
        self.kill(words);
    }

    /// Kills it at once. `false`: it was killed before.
    pub(super) fn kill(&mut self, why: &str) -> bool {
        if std::mem::replace(&mut self.killed, true) {
            return false;
        }
        self.reason.get_or_insert_with(|| why.to_owned());
        if let Err(error) = self.child.kill() {
            tracing::error!("can't kill process {}: {error}", self.pid());
        }
        true
    }

    /// Whether killing it failed: it is stuck in the kernel.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        let silent = now.saturating_duration_since(self.last_report.unwrap_or(self.started));
        self.killed && silent >= FIRST_WORD_WITHIN + HANGS_AFTER
    }

    /// How it ended, once it has.
    pub(super) fn ended(&mut self, now: Instant) -> Option<Ended> {
        let status = match self.child.try_wait() {
            Ok(status) => status?,
            Err(error) => {
                tracing::error!("can't wait for process {}: {error}", self.pid());
                return None;
            }
        };
        // Its last messages may still be unread, above all why it ended: also when sending to it has failed, which
        // says nothing of what it sent before.
        self.read(now);
        if let (None, Some(code @ (126 | 127)), None) =
            (self.last_report, status.code(), &self.reason)
        {
            self.reason = Some(not_loaded(&self.program, code));
        }
        let words = LastWords::read(&self.last_words).unwrap_or_default();
        let camera = words.map(|words| words.name).filter(|name| !name.is_empty());
        let orderly = status.success() && self.reason.is_none();
        Some(Ended {
            ran: now.saturating_duration_since(self.started),
            how: words_for(status, if self.killed { self.reason.as_deref() } else { None }),
            camera: camera.filter(|_| status.signal().is_some()),
            failed: if self.killed { None } else { self.reason.take() },
            orderly,
        })
    }
}

/// What an exit code means that comes from the dynamic loader or a shell, before the program itself runs.
fn not_loaded(program: &Path, code: i32) -> String {
    let program = program.display();
    format!(
        "vas-shard at {program} can't be loaded (exit code {code}): see the loader's line above; check it with `ldd \
         {program}`"
    )
}

/// The reason for killing it, the signal's name or the exit code.
fn words_for(status: ExitStatus, why_killed: Option<&str>) -> String {
    if let Some(why) = why_killed {
        return format!("killed: {why}");
    }
    match (status.signal(), status.code()) {
        (Some(signal), _) => signal_hook::low_level::signal_name(signal)
            .map_or_else(|| format!("signal {signal}"), str::to_owned),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    use vas_channel::Given;
    use vas_config::{ConfigFiles, Environment};

    use super::*;

    /// A process of a script, once it has ended; nothing was received from it, nor was it waited for.
    fn ended_script(script: &str) -> (tempfile::TempDir, Process) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script");
        // Not by this process: a copy of the descriptor in another test's child would make it busy (ETXTBSY).
        let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod 755 \"$0\"";
        let mut shell = Command::new("sh");
        assert!(shell.args(["-c", write]).arg(&path).arg(script).status().unwrap().success());
        let config = folder.path().join("vas.toml");
        std::fs::write(&config, "[[camera]]\nid = \"cam\"\nurl = \"testsrc:64x48@25\"\n").unwrap();
        let settings = Given::new(ConfigFiles::read(&config).unwrap(), &Environment::default());
        let start = Start {
            shard: 0,
            preferred_gpu: None,
            frame_export: false,
            settings,
            test_hooks: vas_channel::TestHooks::default(),
        };
        let program = ShardProgram::open(Some(&path)).unwrap();
        let launch = Launch { start, program: &program, logging: &[], hidden: &[] };
        let process = Process::start(launch).unwrap();
        let pid = Pid::from_child(&process.child);
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
        (folder, process)
    }

    #[test]
    fn a_failure_is_read_even_if_the_process_was_gone_before_all_was_sent() {
        let message = r#"{"Failed":"other build"}"#;
        let (_folder, mut process) =
            ended_script(&format!("printf '\\{:03o}\\000\\000\\000{message}' >&0", message.len()));
        process.tell(&ToShard::Stop);
        assert!(process.channel_lost.is_some(), "the socket is closed");
        let ended = process.ended(Instant::now()).unwrap();
        assert_eq!(ended.failed.as_deref(), Some("other build"), "{ended:?}");
    }

    #[test]
    fn a_process_that_is_not_loaded_has_failed_and_one_that_ends_otherwise_has_not() {
        for code in [126, 127] {
            let (folder, mut process) = ended_script(&format!("exit {code}"));
            let failed = process.ended(Instant::now()).unwrap().failed.unwrap();
            let program = folder.path().join("script");
            let expected = format!("{} can't be loaded (exit code {code})", program.display());
            assert!(failed.contains(&expected), "{failed}");
        }
        let (_folder, mut process) = ended_script("exit 1");
        let ended = process.ended(Instant::now()).unwrap();
        assert_eq!((ended.failed, ended.how.as_str()), (None, "exit code 1"));
    }
}
