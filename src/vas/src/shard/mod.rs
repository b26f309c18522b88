//! A shard: a process of the service that has some of its cameras.
//!
//! It is told what to run by the supervisor, over a socket that is its standard input when it starts, and says
//! each second how its cameras do. It ends when it is told to, and when the supervisor is gone.

mod assembly;
mod cameras;
mod status;

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use crate::channel::{Channel, ChannelError, FromShard, Start, ToShard};
use crate::core_files;
use crate::signals::{ORPHANED, Signals};
use vas_config::{Export, Problems};
use vas_pipeline::Exporter;
use vas_producer::RtpEndpoint;

use assembly::Parts;
use cameras::Cameras;

/// How often the supervisor hears of us.
pub(crate) const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for the supervisor's first message.
const START_WITHIN: Duration = Duration::from_secs(10);
/// How often what is about to end is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long cameras have to end. Less than the supervisor gives us, for the files' sake.
const END_WITHIN: Duration = Duration::from_millis(3500);

/// Why a shard could not start or go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShardError {
    #[error("`vas shard` is started by `vas run`, with a socket in place of standard input: {0}")]
    NoSupervisor(io::Error),
    #[error("the supervisor said nothing for {} s", START_WITHIN.as_secs())]
    NoStart,
    #[error("the supervisor can't be heard: {0}")]
    Channel(#[from] ChannelError),
    #[error("can't set up the process: {0}")]
    Process(io::Error),
    #[error("the config that came is wrong: {0}")]
    Config(#[from] Problems),
}

/// Runs cameras until it is told to stop.
pub(crate) fn run() -> Result<(), ShardError> {
    // Should the supervisor die in a way that leaves its end of the socket open.
    rustix::process::set_parent_process_death_signal(Some(ORPHANED))
        .map_err(|error| ShardError::Process(error.into()))?;
    core_files::forbid();
    let signals = Signals::of_shard().map_err(ShardError::Process)?;
    let mut channel = take_stdin()?;
    let start = first_message(&mut channel)?;
    let outcome = set_up(&start, &mut channel);
    let cameras = match outcome {
        Ok(cameras) => cameras,
        Err(error) => {
            channel.send(&FromShard::Failed(error.to_string()), Vec::new())?;
            return Ok(());
        }
    };
    serve(start.shard, channel, cameras, signals)
}

/// The socket that is standard input; nothing is there to be read from it from here on.
fn take_stdin() -> Result<Channel, ShardError> {
    let socket = || {
        let stdin = io::stdin();
        rustix::net::sockopt::socket_type(stdin.as_fd())?;
        let socket = stdin.as_fd().try_clone_to_owned()?;
        rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        Channel::over(UnixStream::from(socket))
    };
    socket().map_err(ShardError::NoSupervisor)
}

fn first_message(channel: &mut Channel) -> Result<Start, ShardError> {
    let until = Instant::now() + START_WITHIN;
    loop {
        match channel.receive()? {
            Some(ToShard::Start(start)) => return Ok(start),
            Some(_) => return Err(ShardError::NoStart),
            None => {}
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ShardError::NoStart);
        }
        wait(&mut [PollFd::new(&*channel, PollFlags::IN)], left)?;
    }
}

fn set_up(start: &Start, channel: &mut Channel) -> Result<Cameras, ShardError> {
    let name = format!("vas-shard-{}", start.shard);
    let name = std::ffi::CString::new(name).expect("digits and letters");
    rustix::thread::set_name(&name).map_err(|error| ShardError::Process(error.into()))?;
    if let Some(file) = channel.take_file() {
        vas_crash::install(file).map_err(ShardError::Process)?;
    }
    vas_media::init();
    let settings = start.settings.understand()?;
    let exporter = exporter(start.frame_export, &settings.export);
    Ok(Cameras::new(Parts::new(exporter, start.preferred_gpu, start.test_hooks.clone())))
}

/// The frame path, if the flag is on. A program without it refuses the flag.
fn exporter(on: bool, config: &Export) -> Option<Box<dyn Exporter>> {
    #[cfg(feature = "frame-export")]
    return on.then(|| Box::new(vas_export::FramePath::new(config)) as Box<dyn Exporter>);
    #[cfg(not(feature = "frame-export"))]
    {
        debug_assert!(!on, "{config:?}");
        None
    }
}

fn serve(
    shard: u32,
    mut channel: Channel,
    mut cameras: Cameras,
    mut signals: Signals,
) -> Result<(), ShardError> {
    let mut report_at = Instant::now();
    loop {
        let now = Instant::now();
        cameras.advance(now);
        if now >= report_at {
            report_at = now + REPORT_EVERY;
            // One that waits is newer than what it would follow.
            if !channel.is_waiting() {
                let report = FromShard::Report(cameras.report(shard));
                if let Err(error) = channel.send(&report, Vec::new()) {
                    say_why_it_ends(&error);
                    break;
                }
            }
        }
        let next = if cameras.is_settled() { report_at } else { report_at.min(now + LOOK_EVERY) };
        let interest = if channel.is_waiting() { PollFlags::OUT } else { PollFlags::empty() };
        let mut fds = [
            PollFd::new(&channel, PollFlags::IN | interest),
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
        ];
        wait(&mut fds, next.saturating_duration_since(now))?;
        // The socket first: it says more than a signal that came together with its end.
        if !hear(&mut channel, &mut cameras) {
            break;
        }
        let came = signals.take();
        if came.orphaned {
            say_why_it_ends(&ChannelError::Closed);
            break;
        }
        if came.stop {
            tracing::info!("ending on SIGTERM");
            break;
        }
    }
    let hanging = cameras.stop(END_WITHIN);
    if !hanging.is_empty() {
        for id in &hanging {
            tracing::error!(camera = id, "does not end; it is left behind");
        }
        let _ = channel.send(&FromShard::Hanging(hanging), Vec::new());
    }
    Ok(())
}

/// Does what the supervisor says. `false`: to end.
fn hear(channel: &mut Channel, cameras: &mut Cameras) -> bool {
    loop {
        if let Err(error) = channel.flush() {
            say_why_it_ends(&error);
            return false;
        }
        match channel.receive() {
            Ok(None) => return true,
            Ok(Some(ToShard::Stop)) => return false,
            Ok(Some(ToShard::Start(_))) => tracing::error!("told to start twice"),
            Ok(Some(ToShard::Endpoint { camera, files })) => {
                let files: Vec<_> = (0..files).map_while(|_| channel.take_file()).collect();
                match (camera.parse(), RtpEndpoint::of(files)) {
                    (Ok(id), Some(endpoint)) => cameras.endpoint(id, endpoint),
                    _ => tracing::error!(camera, "what came for its producer is not whole"),
                }
            }
            Ok(Some(ToShard::Cameras { given, ids })) => match given.understand() {
                Ok(config) => {
                    let wanted = config.cameras.into_iter();
                    let wanted =
                        wanted.filter(|camera| ids.iter().any(|id| id == camera.id.as_str()));
                    cameras.set(wanted.collect());
                }
                // The supervisor has understood the same.
                Err(problems) => tracing::error!("the config that came is wrong: {problems}"),
            },
            Err(error) => {
                say_why_it_ends(&error);
                return false;
            }
        }
    }
}

/// No shard ends without a word.
fn say_why_it_ends(error: &ChannelError) {
    match error {
        ChannelError::Closed => tracing::warn!("the supervisor is gone: ending"),
        error => {
            tracing::error!("nothing can be said to the supervisor, or by it: {error}; ending")
        }
    }
}

fn wait(fds: &mut [PollFd<'_>], longest: Duration) -> Result<(), ShardError> {
    let timeout = longest.try_into().ok();
    match poll(fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(ShardError::Process(error.into())),
    }
}
