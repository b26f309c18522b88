//! retina's session and its runtime: waiting with limits, frames, and TEARDOWN.

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
use super::unread::Unread;
use super::words::{self, PlayError};
use crate::clock::monotonic_ns;
use crate::coalescing::Coalescing;
use crate::error::{Cause, SourceErrorKind};
use crate::stop::StopFlag;
use vas_request::Fraction;

/// RTCP's packet type BYE (RFC 3550, 6.6).
const RTCP_BYE: u8 = 203;
/// Time limit for ending a session.
const CLOSING: Duration = Duration::from_millis(500);
/// How long to wait for more data after a BYE, since some cameras send one and go on.
const AFTER_BYE: Duration = Duration::from_secs(1);
/// How often to poll retina before waiting. It returns `Pending` without setting a waker for each request of the camera
/// (OPTIONS and others), which would leave later data in the socket until the next keepalive. This many requests may
/// arrive at once. A poll without data makes no system call.
const POLLS: usize = 8;
/// Longest time to wait for an old session to expire, whatever the camera states.
const MAX_SURVIVAL: Duration = Duration::from_secs(120);

/// How long, and how often at least, data may arrive without an item from retina before the client counts as unable to
/// read it. A slow camera's picture takes less.
const MAX_UNUSED: Duration = Duration::from_millis(2500);
const MAX_UNUSED_AT_START: Duration = Duration::from_millis(1500);
const MIN_UNUSED_WAKES: u32 = 6;
/// How long a camera may send nothing while a session is set up, if there is another client to try.
const MAX_SILENCE: Duration = Duration::from_secs(2);

/// A session and its runtime.
pub(super) struct Link {
    /// Set once it plays. `teardown` drops it within the runtime, because retina then starts a task.
    pub(super) session: Option<Media>,
    /// The video track that plays.
    pub(super) track: usize,
    /// The sound track that plays with it.
    pub(super) sound: Option<usize>,
    /// Tracks which sessions were begun and ended.
    pub(super) group: Arc<SessionGroup>,
    /// `None`: invalid packets only count as losses.
    pub(super) bad_packets: Option<BadPackets>,
    /// Whether there was a picture.
    begun: bool,
    /// The camera has sent RTCP BYE, and nothing since.
    left: bool,
    /// When the connection may be left unread; `None`: never.
    pub(super) coalescing: Option<Coalescing>,
    pauses: Pauses,
    runtime: Runtime,
}

/// A picture from the session, and whether a packet before it was invalid.
pub(super) struct Received {
    pub(super) picture: Picture,
    pub(super) lost: bool,
    /// When its first packet arrived (`CLOCK_MONOTONIC`); if the connection was left unread, the earliest possible time.
    pub(super) arrival_ns: u64,
}

/// Pauses in which the connection is left unread.
#[derive(Default)]
struct Pauses {
    unread: Unread,
    /// A picture was read since the last pause. After a pause without one, an ordinary wait follows.
    due: bool,
    /// When the pause began after which pictures are being read.
    since_ns: Option<u64>,
    /// When the last pause began, and when all that it had left unread was read.
    caught_up: Option<(u64, Instant)>,
}

impl Pauses {
    /// Takes a picture of `bytes` whose first packet was read at `received`; returns when that packet arrived.
    fn picture(&mut self, bytes: usize, received: Instant) -> u64 {
        self.unread.picture(bytes, received);
        self.due = true;
        // The last picture after a pause may be completed by packets that arrive later.
        self.caught_up.take_if(|(_, read)| received > *read);
        let before = self.caught_up.map(|(since_ns, _)| since_ns);
        let received_ns = track::at_monotonic(received);
        [self.since_ns, before].into_iter().flatten().fold(received_ns, u64::min)
    }

    /// Nothing is left to read. Returns how long to leave the connection unread.
    fn take(&mut self) -> Option<Duration> {
        if let Some(since_ns) = self.since_ns.take() {
            self.caught_up = Some((since_ns, Instant::now()));
        }
        std::mem::take(&mut self.due).then(|| self.unread.pause()).flatten()
    }
}

/// The next item of the tracks that play.
pub(super) enum Playing {
    Picture(Received),
    Sound(SoundFrame),
    /// The camera sent RTCP BYE; some go on nevertheless.
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
            coalescing: None,
            pauses: Pauses::default(),
            runtime,
        })
    }

    /// Runs `work` until it ends, `stop` is set or the limit passes.
    pub(super) fn wait<T>(
        &self,
        limit: &Limit,
        stop: &StopFlag,
        what: &'static str,
        work: impl Future<Output = Result<T, SourceErrorKind>>,
    ) -> Result<T, SourceErrorKind> {
        wait(&self.runtime, limit, stop, what, work)
    }

    /// Like [`wait`](Self::wait), but only while the camera sends data.
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
                let silent = tokio::time::Instant::from_std(woken.get() + MAX_SILENCE);
                tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(silent) => {
                        if woken.get().elapsed() >= MAX_SILENCE {
                            return Err(passed);
                        }
                    }
                    done = &mut watched => return done,
                }
            }
        })
    }

    /// Waits for the next frame of the tracks that play. Passes sender reports to `report`: track, NTP time, and ticks
    /// on the frames' time line. With `prompt`, it never leaves the connection unread.
    pub(super) fn frame(
        &mut self,
        limit: &Limit,
        stop: &StopFlag,
        what: &'static str,
        prompt: bool,
        report: impl FnMut(usize, u64, i64),
    ) -> Result<Playing, SourceErrorKind> {
        let Some(session) = self.session.as_mut() else { return Err(SourceErrorKind::Ended) };
        let total = limit;
        let limit = if self.left { limit.at_most(AFTER_BYE) } else { *limit };
        let mut activity = Activity::new(self.begun);
        let tracks = (self.track, self.sound);
        let allowed = self.coalescing.as_ref().filter(|_| !prompt);
        let pauses = (allowed, &mut self.pauses);
        let next =
            next_frame(session, tracks, &mut activity, &mut self.bad_packets, pauses, report);
        let played = wait(&self.runtime, &limit, stop, what, next);
        self.begun |= matches!(played, Ok(Playing::Picture(_)));
        let had_left = std::mem::replace(&mut self.left, matches!(played, Ok(Playing::Left)));
        played.map_err(|kind| match kind {
            SourceErrorKind::TimedOut { .. } if had_left && !total.left().is_zero() => {
                SourceErrorKind::Ended
            }
            SourceErrorKind::TimedOut { limit, .. } if activity.lasts(limit, Instant::now()) => {
                SourceErrorKind::Stalled { limit, last: activity.last_error }
            }
            other => other,
        })
    }

    /// The parameters of the video track, as of the last frame.
    pub(super) fn parameters(&self) -> Option<Parameters<'_>> {
        self.session.as_ref()?.parameters(self.track)
    }

    /// Ticks per second of the video track, and the frame rate that its description states.
    pub(super) fn described(&self) -> (u32, Option<Fraction>) {
        let Some(session) = &self.session else { return (0, None) };
        let stream = &session.streams()[self.track];
        (stream.clock_rate_hz(), stream.framerate().and_then(track::described_rate))
    }

    /// Ends the session, so that the camera does not keep it until it expires. Returns how long the camera may still keep
    /// it if it does not acknowledge; `None` if the session is over.
    pub(super) fn teardown(&mut self) -> Option<Duration> {
        let (session, group) = (self.session.take(), &self.group);
        let ended = self.runtime.block_on(caught(async {
            drop(session);
            // Over TCP, retina waits for an orderly close of the connection; over UDP, for the camera's response.
            match tokio::time::timeout(CLOSING, group.await_teardown()).await {
                Ok(Ok(())) => return None,
                // Nothing listens there any more, so the session is gone, too.
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
        self.teardown();
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
        let what = "support for what this camera sends: it panicked (see the log)".into();
        Err(SourceErrorKind::ClientLacks { what })
    })
}

/// Runs `work`, which may panic: retina does for some responses and some orders of packets. The panic must be caught here:
/// unwinding further would call `teardown`, which may panic as well, and two panics abort the process.
async fn caught<T>(work: impl Future<Output = T>) -> Result<T, ()> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        // After a panic the future is only dropped, never polled.
        polled.map_or(Poll::Ready(Err(())), |polled| polled.map(Ok))
    })
    .await
}

/// What arrives during the wait for a frame.
struct Activity {
    /// How long data may arrive without an item from retina.
    max_unused: Duration,
    /// When anything was last seen to arrive.
    last: Option<Instant>,
    last_error: Option<Cause>,
    /// How often data arrived since retina's last item, and since when.
    unused: u32,
    since: Option<Instant>,
}

impl Activity {
    fn new(begun: bool) -> Self {
        let max_unused = if begun { MAX_UNUSED } else { MAX_UNUSED_AT_START };
        Self { max_unused, last: None, last_error: None, unused: 0, since: None }
    }

    /// Whether the camera still responded when `limit` had passed, at `now`. What arrived in the first half only is the
    /// rest of what it sent before it went silent: half of a picture, or a report.
    fn lasts(&self, limit: Duration, now: Instant) -> bool {
        let recent = |last: Instant| now.saturating_duration_since(last) < limit / 2;
        self.last_error.is_some() || self.last.is_some_and(recent)
    }

    /// Records an item from retina.
    fn item(&mut self) {
        (self.last, self.unused, self.since) = (Some(Instant::now()), 0, None);
    }

    /// Records that retina was woken without returning an item. Returns true if this has gone on for too long.
    fn woken(&mut self) -> bool {
        self.unused = self.unused.saturating_add(1);
        // The first poll is not caused by data.
        if self.unused == 1 {
            return false;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        if self.unused <= MIN_UNUSED_WAKES {
            return false;
        }
        self.last = Some(Instant::now());
        since.elapsed() >= self.max_unused
    }
}

async fn next_frame(
    session: &mut Media,
    (track, sound): (usize, Option<usize>),
    activity: &mut Activity,
    bad_packets: &mut Option<BadPackets>,
    (coalescing, pauses): (Option<&Coalescing>, &mut Pauses),
    mut report: impl FnMut(usize, u64, i64),
) -> Result<Playing, SourceErrorKind> {
    loop {
        let mut pause = None;
        let next = std::future::poll_fn(|context| {
            let mut polls = (0..POLLS).map(|_| session.poll_next(context));
            match polls.find(Poll::is_ready) {
                Some(ready) => ready.map(Some).map(Ok),
                None => {
                    pause = pauses.take().zip(coalescing.filter(|allowed| allowed.is_allowed()));
                    match pause {
                        Some(_) => Poll::Ready(Ok(None)),
                        None if activity.woken() && bad_packets.is_some() => Poll::Ready(Err(())),
                        None => Poll::Pending,
                    }
                }
            }
        });
        let Ok(next) = next.await else {
            let what = "support for what the camera sends: data arrives, but no picture".into();
            return Err(SourceErrorKind::ClientLacks { what });
        };
        let Some(item) = next else {
            if let Some((longest, coalescing)) = pause {
                let since_ns = monotonic_ns();
                // Blocks the runtime, which has this session only.
                coalescing.pause(longest);
                // The runtime then checks the socket without waiting.
                tokio::task::yield_now().await;
                pauses.since_ns = Some(since_ns);
            }
            continue;
        };
        if item.is_some() {
            activity.item();
        }
        match item {
            Some(Ok(Item::Picture(picture))) if picture.track() == track => {
                bad_packets.iter_mut().for_each(BadPackets::picture);
                let arrival_ns = pauses.picture(picture.size(), picture.received());
                let lost = activity.last_error.is_some();
                return Ok(Playing::Picture(Received { picture, lost, arrival_ns }));
            }
            Some(Ok(Item::Sound(frame))) if Some(frame.track()) == sound => {
                return Ok(Playing::Sound(frame));
            }
            Some(Ok(Item::Rtcp(reports)))
                if reports.stream_id() == track || Some(reports.stream_id()) == sound =>
            {
                let of_video = reports.stream_id() == track;
                // Sound may end before the video does.
                if of_video && reports.pkts().any(|packet| packet.payload_type() == RTCP_BYE) {
                    return Ok(Playing::Left);
                }
                // The compound's timestamp is that of its first packet, the sender report.
                let ticks = reports.rtp_timestamp().map(|timestamp| timestamp.elapsed());
                let sender = reports.pkts().next();
                let sender = sender.and_then(|packet| packet.as_sender_report().ok().flatten());
                if let (Some(sender), Some(ticks)) = (sender, ticks) {
                    report(reports.stream_id(), sender.ntp_timestamp().0, ticks);
                }
            }
            Some(Ok(Item::Invalid(cause))) => {
                invalid_packet(cause, activity, bad_packets)?;
            }
            Some(Ok(Item::Sizeless)) => {
                return Err(SourceErrorKind::Unplayable { what: jpeg::NO_SIZE });
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => match words::playing(&error.to_string()) {
                PlayError::Repeated => tracing::debug!("ignoring a repeated or late packet"),
                // Sound does not affect pictures.
                PlayError::Packet(cause) if is_of(session, sound, &error.to_string()) => {
                    tracing::debug!("invalid sound packet: {cause}");
                }
                PlayError::Packet(cause) => invalid_packet(cause, activity, bad_packets)?,
                PlayError::Session(kind) => return Err(kind),
            },
            // retina also ends a session if it can't assemble the packets any more.
            None => {
                return Err(activity
                    .last_error
                    .take()
                    .map_or(SourceErrorKind::Ended, SourceErrorKind::Garbage));
            }
        }
    }
}

/// Records an invalid video packet. An error if there were so many that more are to be expected.
fn invalid_packet(
    cause: Cause,
    activity: &mut Activity,
    bad_packets: &mut Option<BadPackets>,
) -> Result<(), SourceErrorKind> {
    tracing::debug!("invalid packet: {cause}");
    if bad_packets.as_mut().is_some_and(BadPackets::packet) {
        let what = format!("support for the camera's packets ({cause})");
        return Err(SourceErrorKind::ClientLacks { what });
    }
    activity.last_error = Some(cause);
    Ok(())
}

/// Whether retina's message concerns this track.
fn is_of(session: &Media, track: Option<usize>, message: &str) -> bool {
    let context = track.and_then(|track| session.streams()[track].ctx());
    context.is_some_and(|context| message.contains(&format!("\nstream: {context}\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_that_began_in_a_pause_is_dated_by_it_whenever_it_is_complete() {
        let mut pauses = Pauses { since_ns: Some(7), ..Pauses::default() };
        let (first, second) = (Instant::now(), Instant::now());
        assert_eq!(pauses.picture(1, first), 7);
        pauses.take();
        // Its first packet was read with the others, its last one arrived later.
        assert_eq!(pauses.picture(1, second), 7);
        let later = Instant::now() + Duration::from_millis(1);
        assert!(pauses.picture(1, later) > 7);
        assert_eq!(pauses.caught_up, None);
        pauses.take();
        assert!(pauses.picture(1, Instant::now()) > 7);
    }

    #[test]
    fn half_a_picture_and_then_silence_is_no_response() {
        let mut activity = Activity::new(true);
        let (limit, begin) = (Duration::from_secs(10), Instant::now());
        assert!(!activity.lasts(limit, begin + limit));
        activity.item();
        assert!(!activity.lasts(limit, begin + limit), "it arrived at the beginning");
        activity.last = Some(begin + limit / 2 + Duration::from_millis(1));
        assert!(activity.lasts(limit, begin + limit), "a report each 5 s");
    }

    #[test]
    fn an_invalid_packet_is_a_response() {
        let mut activity = Activity::new(true);
        activity.last_error = Some(Cause::message(&"bad"));
        let limit = Duration::from_secs(10);
        assert!(activity.lasts(limit, Instant::now() + limit));
    }
}
