//! retina's session and the runtime that drives it: waiting with limits, frames, and the goodbye.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use retina::client::SessionGroup;
use tokio::runtime::Runtime;

use super::Limit;
use super::endings::BadPackets;
use super::jpeg;
use super::media::{Item, Media, Parameters, Picture, SoundFrame};
use super::track;
use super::words::{self, Trouble};
use crate::error::{Cause, SourceErrorKind};
use crate::fraction::Fraction;
use crate::stop::StopFlag;

/// RTCP's packet type by which a sender leaves (RFC 3550, 6.6).
const RTCP_BYE: u8 = 203;
/// How long saying goodbye to a camera may take.
const CLOSING: Duration = Duration::from_millis(500);
/// How long a camera that said that it leaves may still send something, to show that it did not mean it.
const AFTER_BYE: Duration = Duration::from_secs(1);
/// How often retina is polled before it is believed that there is nothing more to do. It says so, with no waker
/// set, for each request of the camera (OPTIONS and others), which would leave what follows it lying in the
/// socket until the next keepalive; so many requests may come at once. A poll that finds nothing asks no kernel.
const POLLS: usize = 8;
/// Longest that an old session is waited for, whatever the camera states.
const MAX_SURVIVAL: Duration = Duration::from_secs(120);

/// How long data may come of which nothing is made, and in how many portions at least, before that is no slow
/// camera's picture under way.
const NOTHING_MADE_FOR: Duration = Duration::from_millis(2500);
const NOTHING_MADE_AT_START_FOR: Duration = Duration::from_millis(1500);
const NOTHING_MADE_OF: u32 = 6;
/// How long nothing at all may come while a camera is asked for a stream, where there is another client to ask it.
const QUIET: Duration = Duration::from_secs(2);

/// A session and its runtime.
pub(super) struct Link {
    /// Set once it plays. Dropped within the runtime, by `goodbye`: retina starts a task then.
    pub(super) session: Option<Media>,
    /// Which of its tracks plays.
    pub(super) track: usize,
    /// Which of them is the sound that plays with it.
    pub(super) sound: Option<usize>,
    /// Knows of the sessions that were begun, and whether they were ended.
    pub(super) group: Arc<SessionGroup>,
    /// `None`: they are only counted as losses.
    pub(super) bad_packets: Option<BadPackets>,
    /// Whether a picture came.
    begun: bool,
    /// The camera said that it leaves (RTCP BYE), and nothing came since.
    left: bool,
    runtime: Runtime,
}

/// A picture, and whether something that came before it could not be understood.
pub(super) struct Coming {
    pub(super) picture: Picture,
    pub(super) lost: bool,
}

/// What plays.
pub(super) enum Playing {
    Picture(Coming),
    Sound(SoundFrame),
    /// The camera said that it leaves; some say so and go on.
    Left,
}

impl Link {
    pub(super) fn new() -> Result<Self, SourceErrorKind> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(|error| SourceErrorKind::Broken(Cause::message(&error)))?;
        let group = Arc::default();
        Ok(Self {
            session: None,
            track: 0,
            sound: None,
            group,
            bad_packets: None,
            begun: false,
            left: false,
            runtime,
        })
    }

    /// Drives `work` to its end, or until `stop` or the limit.
    pub(super) fn wait<T>(
        &self,
        limit: &Limit,
        stop: &StopFlag,
        what: &'static str,
        work: impl Future<Output = Result<T, SourceErrorKind>>,
    ) -> Result<T, SourceErrorKind> {
        wait(&self.runtime, limit, stop, what, work)
    }

    /// The same, but only while something comes.
    pub(super) fn wait_while_it_answers<T>(
        &self,
        limit: &Limit,
        stop: &StopFlag,
        what: &'static str,
        work: impl Future<Output = Result<T, SourceErrorKind>>,
    ) -> Result<T, SourceErrorKind> {
        let passed = limit.passed(what);
        wait(&self.runtime, limit, stop, what, async {
            let mut work = std::pin::pin!(work);
            let woken = Cell::new(Instant::now());
            let mut watched = std::future::poll_fn(|context| {
                woken.set(Instant::now());
                work.as_mut().poll(context)
            });
            loop {
                let quiet = tokio::time::Instant::from_std(woken.get() + QUIET);
                tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(quiet) => {
                        if woken.get().elapsed() >= QUIET {
                            return Err(passed);
                        }
                    }
                    done = &mut watched => return done,
                }
            }
        })
    }

    /// Waits for the next frame of the tracks that play, and passes sender reports on: which track's, NTP time,
    /// and ticks on the frames' own scale.
    pub(super) fn frame(
        &mut self,
        limit: &Limit,
        stop: &StopFlag,
        what: &'static str,
        report: impl FnMut(usize, u64, i64),
    ) -> Result<Playing, SourceErrorKind> {
        let Some(session) = self.session.as_mut() else { return Err(SourceErrorKind::Ended) };
        let whole = limit;
        let limit = if self.left { limit.at_most(AFTER_BYE) } else { *limit };
        let mut heard = Heard::waiting(self.begun);
        let tracks = (self.track, self.sound);
        let next = next_frame(session, tracks, &mut heard, &mut self.bad_packets, report);
        let coming = wait(&self.runtime, &limit, stop, what, next);
        self.begun |= matches!(coming, Ok(Playing::Picture(_)));
        let had_left = std::mem::replace(&mut self.left, matches!(coming, Ok(Playing::Left)));
        coming.map_err(|kind| match kind {
            SourceErrorKind::TimedOut { .. } if had_left && !whole.left().is_zero() => {
                SourceErrorKind::Ended
            }
            SourceErrorKind::TimedOut { limit, .. } if heard.anything => {
                SourceErrorKind::Stalled { limit, last: heard.trouble }
            }
            other => other,
        })
    }

    /// The parameters of the track that plays, as of the frame given out last.
    pub(super) fn parameters(&self) -> Option<Parameters<'_>> {
        self.session.as_ref()?.parameters(self.track)
    }

    /// Ticks a second of the track that plays, and the rate that its description states.
    pub(super) fn described(&self) -> (u32, Option<Fraction>) {
        let Some(session) = &self.session else { return (0, None) };
        let stream = &session.streams()[self.track];
        (stream.clock_rate_hz(), stream.framerate().and_then(track::described_rate))
    }

    /// Ends the session, so that the camera need not keep it until it expires. For how long the camera may keep
    /// it if that was not acknowledged; `None` when it is over.
    pub(super) fn goodbye(&mut self) -> Option<Duration> {
        let (session, group) = (self.session.take(), &self.group);
        let ended = self.runtime.block_on(caught(async {
            drop(session);
            // Over TCP retina is content once the connection is closed in order, over UDP once the camera has
            // answered.
            match tokio::time::timeout(CLOSING, group.await_teardown()).await {
                Ok(Ok(())) => return None,
                // Nobody listens there any more: whoever kept the session is gone.
                Ok(Err(error)) if words::is_refused(&error.to_string()) => return None,
                _ => {}
            }
            let expires = group.stale_sessions().max_expires?;
            let left = expires.saturating_duration_since(tokio::time::Instant::now());
            Some(left.min(MAX_SURVIVAL))
        }));
        ended.unwrap_or(None)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.goodbye();
    }
}

fn wait<T>(
    runtime: &Runtime,
    limit: &Limit,
    stop: &StopFlag,
    what: &'static str,
    work: impl Future<Output = Result<T, SourceErrorKind>>,
) -> Result<T, SourceErrorKind> {
    let outcome = runtime.block_on(async {
        tokio::select! {
            biased;
            () = stop.stopped() => Ok(Err(SourceErrorKind::Stopped)),
            done = caught(work) => done,
            () = tokio::time::sleep(limit.left()) => Ok(Err(limit.passed(what))),
        }
    });
    outcome.unwrap_or_else(|()| {
        let what = "an answer to what this camera sends: it panicked, as the log shows".into();
        Err(SourceErrorKind::ClientLacks { what })
    })
}

/// Drives `work`, which may panic: retina does for some answers and some orders of packets. A panic ends here, since
/// on its way further up it would meet the goodbye, which may panic too, and two end the process.
async fn caught<T>(work: impl Future<Output = T>) -> Result<T, ()> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        // What panicked is not polled again, only dropped.
        polled.map_or(Poll::Ready(Err(())), |polled| polled.map(Ok))
    })
    .await
}

/// What came while a frame was waited for.
struct Heard {
    /// How long data may come of which nothing is made.
    patience: Duration,
    anything: bool,
    trouble: Option<Cause>,
    /// How often data came of which nothing was made yet, and since when.
    unmade: u32,
    since: Option<Instant>,
}

impl Heard {
    fn waiting(begun: bool) -> Self {
        let patience = if begun { NOTHING_MADE_FOR } else { NOTHING_MADE_AT_START_FOR };
        Self { patience, anything: false, trouble: None, unmade: 0, since: None }
    }

    /// Something was made of what came.
    fn made(&mut self) {
        (self.anything, self.unmade, self.since) = (true, 0, None);
    }

    /// retina was woken, and had nothing to give. True when that goes on for too long.
    fn woken(&mut self) -> bool {
        self.unmade = self.unmade.saturating_add(1);
        // The first poll is ours.
        if self.unmade == 1 {
            return false;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        if self.unmade <= NOTHING_MADE_OF {
            return false;
        }
        self.anything = true;
        since.elapsed() >= self.patience
    }
}

async fn next_frame(
    session: &mut Media,
    (track, sound): (usize, Option<usize>),
    heard: &mut Heard,
    bad_packets: &mut Option<BadPackets>,
    mut report: impl FnMut(usize, u64, i64),
) -> Result<Playing, SourceErrorKind> {
    loop {
        let next = std::future::poll_fn(|context| {
            let mut polls = (0..POLLS).map(|_| session.poll_next(context));
            match polls.find(Poll::is_ready) {
                Some(ready) => ready.map(Ok),
                None if heard.woken() && bad_packets.is_some() => Poll::Ready(Err(())),
                None => Poll::Pending,
            }
        });
        let Ok(item) = next.await else {
            let what =
                "support for what the camera sends: data comes, and no picture is made of it"
                    .into();
            return Err(SourceErrorKind::ClientLacks { what });
        };
        if item.is_some() {
            heard.made();
        }
        match item {
            Some(Ok(Item::Picture(picture))) if picture.track() == track => {
                bad_packets.iter_mut().for_each(BadPackets::picture);
                return Ok(Playing::Picture(Coming { picture, lost: heard.trouble.is_some() }));
            }
            Some(Ok(Item::Sound(frame))) if Some(frame.track()) == sound => {
                return Ok(Playing::Sound(frame));
            }
            Some(Ok(Item::Rtcp(reports)))
                if reports.stream_id() == track || Some(reports.stream_id()) == sound =>
            {
                let of_video = reports.stream_id() == track;
                // Sound may end before the pictures do.
                if of_video && reports.pkts().any(|packet| packet.payload_type() == RTCP_BYE) {
                    return Ok(Playing::Left);
                }
                // Its place on the time line is that of its first packet, the sender report.
                let ticks = reports.rtp_timestamp().map(|timestamp| timestamp.elapsed());
                let sender = reports.pkts().next();
                let sender = sender.and_then(|packet| packet.as_sender_report().ok().flatten());
                if let (Some(sender), Some(ticks)) = (sender, ticks) {
                    report(reports.stream_id(), sender.ntp_timestamp().0, ticks);
                }
            }
            Some(Ok(Item::Nonsense(cause))) => {
                nonsense(cause, heard, bad_packets)?;
            }
            Some(Ok(Item::Sizeless)) => {
                return Err(SourceErrorKind::Unplayable { what: jpeg::NO_SIZE });
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => match words::playing(&error.to_string()) {
                Trouble::Again => tracing::debug!("a packet came again, or late; it is let go"),
                // Pictures are none the worse for it.
                Trouble::Packet(cause) if is_of(session, sound, &error.to_string()) => {
                    tracing::debug!("a packet of sound makes no sense: {cause}");
                }
                Trouble::Packet(cause) => nonsense(cause, heard, bad_packets)?,
                Trouble::Session(kind) => return Err(kind),
            },
            // retina also ends a session whose packets it can no longer put together.
            None => {
                return Err(heard
                    .trouble
                    .take()
                    .map_or(SourceErrorKind::Ended, SourceErrorKind::Garbage));
            }
        }
    }
}

/// A packet of pictures makes no sense: an error when there were so many that it will go on like that.
fn nonsense(
    cause: Cause,
    heard: &mut Heard,
    bad_packets: &mut Option<BadPackets>,
) -> Result<(), SourceErrorKind> {
    tracing::debug!("a packet makes no sense: {cause}");
    if bad_packets.as_mut().is_some_and(BadPackets::packet) {
        let what = format!("support for the camera's packets ({cause})");
        return Err(SourceErrorKind::ClientLacks { what });
    }
    heard.trouble = Some(cause);
    Ok(())
}

/// Whether what retina says is of this track.
fn is_of(session: &Media, track: Option<usize>, words: &str) -> bool {
    let context = track.and_then(|track| session.streams()[track].ctx());
    context.is_some_and(|context| words.contains(&format!("\nstream: {context}\n")))
}
