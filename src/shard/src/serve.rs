//! The shard's main thread: takes what to run from the supervisor, and reports to it.

use std::io;
use std::num::NonZeroU32;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use vas_channel::{
    Channel, ChannelError, FromShard, LastExports, ORPHANED, Signals, Start, ToShard,
};
use vas_config::{Export, Problems};
use vas_endpoint::RtpEndpoint;
use vas_pipeline::Exporter;

use crate::assembly::Parts;
use crate::cameras::Cameras;

/// How often the supervisor gets a report.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for the supervisor's first message.
const START_WITHIN: Duration = Duration::from_secs(10);
/// How long cameras have to end. Less than the supervisor allows us, to leave time for removing
/// files.
const END_WITHIN: Duration = Duration::from_millis(3500);

/// Why a shard could not start or continue.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShardError {
    #[error("`vas shard` is started by `vas run`, with a socket in place of standard input: {0}")]
    NoSupervisor(io::Error),
    #[error("the supervisor sent nothing for {} s", START_WITHIN.as_secs())]
    NoStart,
    #[error("can't read from the supervisor: {0}")]
    Channel(#[from] ChannelError),
    #[error("can't set up the process: {0}")]
    Process(io::Error),
    #[error("the supervisor's config is invalid: {0}")]
    Config(#[from] Problems),
}

/// Runs cameras until it is asked to stop.
pub(crate) fn run() -> Result<(), ShardError> {
    // In case the supervisor dies in a way that leaves its end of the socket open.
    rustix::process::set_parent_process_death_signal(Some(ORPHANED))
        .map_err(|error| ShardError::Process(error.into()))?;
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

/// Reports to the supervisor that this program can't be its shard.
///
/// # Errors
/// There is no supervisor.
pub(crate) fn refuse(words: &str) -> Result<(), ShardError> {
    let mut channel = take_stdin()?;
    // The supervisor may still be sending it, and would find a closed socket. What it says is of another build.
    let _ = first_message(&mut channel);
    channel.send(&FromShard::Failed(words.to_owned()), Vec::new())?;
    Ok(())
}

/// Takes the socket from standard input, which is empty from then on.
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
    let shards = settings.shards.map_or(1, NonZeroU32::get);
    let parts = Parts::new(exporter, start.preferred_gpu, shards, start.test_hooks.clone());
    Ok(Cameras::new(parts.map_err(ShardError::Process)?))
}

/// The frame path, if the flag is on. A program without it rejects the flag.
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
    let mut exports = LastExports::default();
    loop {
        let now = Instant::now();
        cameras.advance(now);
        if now >= report_at {
            report_at = now + REPORT_EVERY;
            // A report that still waits is sent first.
            if !channel.is_waiting() {
                let report = FromShard::Report(exports.pack(cameras.report(shard)));
                if let Err(error) = channel.send(&report, Vec::new()) {
                    log_end(&error);
                    break;
                }
            }
        }
        let next = cameras.next().map_or(report_at, |at| at.min(report_at));
        let interest = if channel.is_waiting() { PollFlags::OUT } else { PollFlags::empty() };
        let mut fds = [
            PollFd::new(&channel, PollFlags::IN | interest),
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
            PollFd::new(&cameras, PollFlags::IN),
        ];
        wait(&mut fds, next.saturating_duration_since(now))?;
        // The socket first: it says more than a signal that came together with its end.
        if !receive(&mut channel, &mut cameras) {
            break;
        }
        let came = signals.take();
        if came.orphaned {
            log_end(&ChannelError::Closed);
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

/// Handles the supervisor's messages. `false`: end.
fn receive(channel: &mut Channel, cameras: &mut Cameras) -> bool {
    loop {
        if let Err(error) = channel.flush() {
            log_end(&error);
            return false;
        }
        match channel.receive() {
            Ok(None) => return true,
            Ok(Some(ToShard::Stop)) => return false,
            Ok(Some(ToShard::Start(_))) => {
                tracing::error!("the supervisor sent a second start message")
            }
            Ok(Some(ToShard::Endpoint { camera, to, files })) => {
                let files: Vec<_> = (0..files).map_while(|_| channel.take_file()).collect();
                match (camera.parse(), RtpEndpoint::of(files)) {
                    (Ok(id), Some(endpoint)) => cameras.endpoint(id, to, endpoint),
                    _ => tracing::error!(
                        camera,
                        "the supervisor's endpoint for its producer is incomplete"
                    ),
                }
            }
            Ok(Some(ToShard::Cameras { given, ids })) => match given.understand() {
                Ok(config) => {
                    let wanted = config.cameras.into_iter();
                    let wanted =
                        wanted.filter(|camera| ids.iter().any(|id| id == camera.id.as_str()));
                    cameras.set(wanted.collect());
                }
                // The supervisor has interpreted the same config.
                Err(problems) => tracing::error!("the supervisor's config is invalid: {problems}"),
            },
            Err(error) => {
                log_end(&error);
                return false;
            }
        }
    }
}

/// Logs why the shard ends.
fn log_end(error: &ChannelError) {
    match error {
        ChannelError::Closed => tracing::warn!("the supervisor is gone: ending"),
        error => {
            tracing::error!("lost the channel to the supervisor: {error}; ending")
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
