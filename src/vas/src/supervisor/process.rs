//! One shard's process, from its start to its end.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::MemfdFlags;
use vas_crash::LastWords;

use crate::channel::{Channel, ChannelError, FromShard, Start, ToShard};
use vas_status::ShardReport;

/// A process that says nothing for so long hangs. It speaks each second.
const HANGS_AFTER: Duration = Duration::from_secs(15);
/// Its first word takes what it takes to set up FFmpeg, the export and GPUs.
const FIRST_WORD_WITHIN: Duration = Duration::from_secs(60);
/// Most messages that are taken at once. A process that says more than it should holds nobody else up.
const MOST_AT_ONCE: usize = 64;
/// A process whose socket is closed ends.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// A process that has been started.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    channel: Channel,
    last_words: File,
    started: Instant,
    heard: Option<Instant>,
    /// Said by itself or by us, before its end.
    reason: Option<String>,
    /// The channel is of no more use since then.
    deaf: Option<Instant>,
    killed: bool,
}

/// How a process came to its end.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) ran: Duration,
    pub(super) how: String,
    /// The camera in whose thread it died, as it said itself.
    pub(super) camera: Option<String>,
    /// Why it could not do its work, by its own words.
    pub(super) failed: Option<String>,
    /// In order, as it was told to.
    pub(super) orderly: bool,
}

/// What to start.
pub(super) struct Launch<'a> {
    pub(super) start: Start,
    /// The options that say how to log.
    pub(super) logging: &'a [String],
    /// Variables that a shard is not to have in its environment: `/proc` shows it.
    pub(super) hidden: &'a [String],
}

impl Process {
    /// Starts a shard. The program is that of this process, also when another has taken its place on disk.
    ///
    /// To be called on the thread that lives as long as this process: the kernel ends the shard with it.
    pub(super) fn start(launch: Launch<'_>) -> io::Result<Self> {
        let (mut channel, theirs) = Channel::pair()?;
        // Neither path nor mapping: nothing is left of it when both have closed it.
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
        let told = channel.send(&ToShard::Start(launch.start), vec![file.into()]);
        let mut process = Self {
            child,
            channel,
            last_words,
            started: Instant::now(),
            heard: None,
            reason: None,
            deaf: None,
            killed: false,
        };
        if let Err(error) = told {
            process.give_up(&error);
        }
        Ok(process)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has said that it does its work.
    pub(super) fn is_up(&self) -> bool {
        self.heard.is_some() && self.deaf.is_none() && !self.killed
    }

    /// Whether it has more to say, or to be told.
    pub(super) fn interest(&self) -> Option<(BorrowedFd<'_>, bool)> {
        self.deaf.is_none().then(|| (self.channel.as_fd(), self.channel.is_waiting()))
    }

    /// Tells it something.
    pub(super) fn tell(&mut self, message: &ToShard) {
        self.tell_with(message, Vec::new());
    }

    /// Tells it something, and gives it files.
    pub(super) fn tell_with(&mut self, message: &ToShard, files: Vec<OwnedFd>) {
        if self.deaf.is_none()
            && let Err(error) = self.channel.send(message, files)
        {
            self.give_up(&error);
        }
    }

    /// Its newest report, if it has sent one.
    pub(super) fn hear(&mut self, now: Instant) -> Option<ShardReport> {
        let mut newest = None;
        if self.deaf.is_some() {
            return None;
        }
        if let Err(error) = self.channel.flush() {
            self.give_up(&error);
        }
        for _ in 0..MOST_AT_ONCE {
            match self.channel.receive() {
                Ok(None) => break,
                Ok(Some(FromShard::Report(report))) => {
                    self.heard = Some(now);
                    newest = Some(report);
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
        self.deaf.get_or_insert_with(Instant::now);
    }

    /// Kills it if it should have spoken, or ended, long ago.
    pub(super) fn watch(&mut self, now: Instant) {
        let since = |then: Instant| now.saturating_duration_since(then);
        let words = match (self.deaf, self.heard) {
            (Some(deaf), _) if since(deaf) >= ENDS_WITHIN => "it closed its socket and did not end",
            (Some(_), _) => return,
            (None, Some(heard)) if since(heard) >= HANGS_AFTER => "it said nothing for 15 s",
            (None, None) if since(self.started) >= FIRST_WORD_WITHIN => {
                "it did not begin within 60 s"
            }
            _ => return,
        };
        self.kill(words);
    }

    /// Ends it at once. `false`: it was killed before.
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

    /// Whether it could not be killed: it is stuck in the kernel.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        let silent = now.saturating_duration_since(self.heard.unwrap_or(self.started));
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
        // What it said last may still be unread.
        self.hear(now);
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

/// A signal by its name, with what we know.
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
