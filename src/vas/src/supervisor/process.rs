//! One shard's process, from start to end.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::MemfdFlags;
use vas_crash::LastWords;
use vas_status::ShardReport;

use crate::channel::{Channel, ChannelError, FromShard, LastExports, Start, ToShard};

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

/// What to start.
pub(super) struct Launch<'a> {
    pub(super) start: Start,
    /// The logging options.
    pub(super) logging: &'a [String],
    /// Variables to keep out of a shard's environment, which `/proc` shows.
    pub(super) hidden: &'a [String],
}

impl Process {
    /// Starts a shard. It runs this process's program, even if that was replaced on disk.
    ///
    /// Call it on the thread that lives as long as this process: the kernel ends the shard with
    /// that thread.
    pub(super) fn start(launch: Launch<'_>) -> io::Result<Self> {
        let (mut channel, theirs) = Channel::pair()?;
        // Neither a path nor a mapping: nothing is left of it when both have closed it.
        let last_words =
            File::from(rustix::fs::memfd_create("vas-last-words", MemfdFlags::CLOEXEC)?);
        let mut command = Command::new("/proc/self/exe");
        command.arg0("vas").args(["shard", &launch.start.shard.to_string()]).args(launch.logging);
        command.stdin(Stdio::from(theirs));
        for name in launch.hidden {
            command.env_remove(name);
        }
        // Nothing may fail between the start and the value that ends it.
        let file = last_words.try_clone()?;
        let child = command.spawn()?;
        let sent = channel.send(&ToShard::Start(launch.start), vec![file.into()]);
        let mut process = Self {
            child,
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
        let mut newest = None;
        if self.channel_lost.is_some() {
            return None;
        }
        if let Err(error) = self.channel.flush() {
            self.give_up(&error);
        }
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
        // Its last messages may still be unread.
        self.receive(now);
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
