//! Which RTSP client speaks with a camera: retina first, FFmpeg's where retina can't or does badly. Pure.
//!
//! retina knows of loss and of the camera's clock, and gives a picture out when it ends; FFmpeg's client knows
//! neither and gives it out when the next begins, but streams from nearly every camera. What was found out about a
//! camera is kept from one session to the next, so that its pictures are not interrupted to find it out again.

use std::time::{Duration, Instant};

use crate::error::SourceErrorKind;
use crate::request::RtspClient;

/// After so long retina is asked again, at the next connection: the camera may have been replaced or updated.
const ASK_AGAIN: Duration = Duration::from_secs(4 * 3600);
/// Sessions that end by themselves within this time may end at a steady beat.
const BEAT_AT_MOST: Duration = Duration::from_secs(600);
/// How far apart two beats may be: a share of the longer one, and what a connection takes.
const BEAT_SHARE: u32 = 5;
const BEAT_SLACK: Duration = Duration::from_secs(2);

/// What is known of one camera's RTSP clients. Make one for each camera and keep it while the service runs.
#[derive(Debug, Default)]
pub struct ClientLadder {
    found: Option<Found>,
    /// How long retina's last session lasted, if it ended by itself.
    last_session: Option<Duration>,
    /// FFmpeg's client does no better: the beat is the camera's own.
    beat_is_the_cameras: bool,
}

/// Why FFmpeg's client is in use.
#[derive(Debug)]
struct Found {
    why: String,
    since: Instant,
    /// It may have been the network: retina is asked again at the next connection.
    doubtful: bool,
    /// The beat at which retina's sessions ended, if that is why.
    beat: Option<Duration>,
}

impl ClientLadder {
    /// A camera of which nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// The client to begin with, and why it is not retina.
    pub(super) fn first(&self, now: Instant) -> Option<&str> {
        let found = self.found.as_ref()?;
        let old = now.saturating_duration_since(found.since) >= ASK_AGAIN;
        (!old && !found.doubtful).then_some(&*found.why)
    }

    /// Why FFmpeg's client is worth a try after retina failed to open the camera with `kind`.
    pub(super) fn other(kind: &SourceErrorKind) -> Option<String> {
        use SourceErrorKind as Kind;
        Some(match kind {
            Kind::ClientLacks { what } => format!("retina lacks {what}"),
            Kind::Garbage(cause) => format!("retina does not understand the camera: {cause}"),
            Kind::Rejected(cause) => format!("the camera refuses what retina asks for: {cause}"),
            Kind::NoSuchPath => "the camera has nothing under the path that retina asks for".into(),
            Kind::NoVideo => "retina finds no video in the camera's description".into(),
            Kind::Stalled { .. } => "retina makes no picture of what comes".into(),
            Kind::TimedOut { what, .. } => format!("retina waited too long for {what}"),
            Kind::Ended => "the camera ended the session before its first picture".into(),
            Kind::Broken(cause) => format!("the session broke before its first picture: {cause}"),
            // Whoever was not reached by one is not reached by the other; and a second login that is refused may
            // lock the account.
            _ => return None,
        })
    }

    /// FFmpeg's client opened what retina could not, for the reason that [`other`](Self::other) gave.
    pub(super) fn found(&mut self, kind: &SourceErrorKind, why: String, now: Instant) {
        // The second time in a row it was no accident.
        let first = self.found.is_none();
        let doubtful = first
            && matches!(
                kind,
                SourceErrorKind::TimedOut { .. }
                    | SourceErrorKind::Ended
                    | SourceErrorKind::Broken(_)
                    | SourceErrorKind::Rejected(_)
                    | SourceErrorKind::NoSuchPath
            );
        self.found = Some(Found { why, since: now, doubtful, beat: None });
    }

    /// FFmpeg's client, which was first, failed to open the camera with `kind`.
    pub(super) fn ffmpeg_failed(&mut self, kind: &SourceErrorKind) {
        use SourceErrorKind as Kind;
        // A camera that is away says nothing of the client.
        if !matches!(kind, Kind::Unreachable(_) | Kind::TimedOut { .. } | Kind::Stopped) {
            let beat = self.found.take().and_then(|found| found.beat);
            self.beat_is_the_cameras |= beat.is_some();
        }
    }

    /// retina opened the camera.
    pub(super) fn retina_opened(&mut self) {
        self.found = None;
    }

    /// Takes the end of a session that `client` had opened and from which pictures came for `streamed`. True when
    /// the camera is worth another connection at once, by the other client.
    pub fn ended(
        &mut self,
        client: Option<RtspClient>,
        kind: &SourceErrorKind,
        streamed: Duration,
        now: Instant,
    ) -> bool {
        use SourceErrorKind as Kind;
        match (client, kind) {
            (Some(RtspClient::Retina), Kind::ClientLacks { what }) => {
                let why = format!("retina lacks {what}");
                self.found = Some(Found { why, since: now, doubtful: false, beat: None });
                self.last_session = None;
                true
            }
            (
                Some(RtspClient::Retina),
                Kind::Ended
                | Kind::Broken(_)
                | Kind::Garbage(_)
                | Kind::TimedOut { .. }
                | Kind::Stalled { .. },
            ) => {
                if streamed.is_zero() && !self.beat_is_the_cameras {
                    let why = format!("no picture came by retina: {kind}");
                    self.found = Some(Found { why, since: now, doubtful: false, beat: None });
                    return true;
                }
                let last = self.last_session.replace(streamed);
                let Some(beat) = last.filter(|last| is_beat(*last, streamed)) else { return false };
                if self.beat_is_the_cameras {
                    return false;
                }
                let why = format!("retina's sessions end each {:.0} s: {kind}", beat.as_secs_f32());
                self.found = Some(Found { why, since: now, doubtful: false, beat: Some(beat) });
                self.last_session = None;
                true
            }
            // Nor by FFmpeg's client: retina is asked first again.
            (Some(RtspClient::Ffmpeg), _) if streamed.is_zero() => {
                self.found = None;
                false
            }
            (Some(RtspClient::Ffmpeg), _) => {
                let beat = self.found.as_ref().and_then(|found| found.beat);
                if beat.is_some_and(|beat| is_beat(beat, streamed)) {
                    self.found = None;
                    self.beat_is_the_cameras = true;
                }
                false
            }
            _ => false,
        }
    }
}

/// Whether two sessions were of one length.
fn is_beat(one: Duration, other: Duration) -> bool {
    let (short, long) = (one.min(other), one.max(other));
    !short.is_zero() && long <= BEAT_AT_MOST && long - short <= BEAT_SLACK.max(long / BEAT_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Cause;
    use SourceErrorKind as Kind;

    const RETINA: Option<RtspClient> = Some(RtspClient::Retina);
    const FFMPEG: Option<RtspClient> = Some(RtspClient::Ffmpeg);

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn lacks() -> Kind {
        Kind::ClientLacks { what: "it".into() }
    }

    #[test]
    fn retina_comes_first_and_again_after_hours() {
        let (mut ladder, now) = (ClientLadder::new(), Instant::now());
        assert_eq!(ladder.first(now), None);
        let why = ClientLadder::other(&lacks()).unwrap();
        ladder.found(&lacks(), why, now);
        assert_eq!(ladder.first(now + s(60)), Some("retina lacks it"));
        assert_eq!(ladder.first(now + ASK_AGAIN), None);
        ladder.retina_opened();
        assert_eq!(ladder.first(now), None);
    }

    #[test]
    fn a_refused_login_is_not_tried_twice() {
        assert_eq!(ClientLadder::other(&Kind::Refused { status: 401 }), None);
        assert_eq!(ClientLadder::other(&Kind::Refused { status: 403 }), None);
        assert_eq!(ClientLadder::other(&Kind::Unreachable(Cause::Message("off".into()))), None);
        assert_eq!(ClientLadder::other(&Kind::Stopped), None);
        assert!(ClientLadder::other(&Kind::Garbage(Cause::Message("x".into()))).is_some());
    }

    #[test]
    fn what_may_have_been_the_network_is_asked_about_once_more() {
        let (mut ladder, now) = (ClientLadder::new(), Instant::now());
        let late = || Kind::TimedOut { what: "the camera's answer", limit: s(5) };
        ladder.found(&late(), "late".into(), now);
        assert_eq!(ladder.first(now), None);
        ladder.found(&late(), "late".into(), now);
        assert_eq!(ladder.first(now), Some("late"));
    }

    #[test]
    fn a_session_that_retina_can_not_go_on_with_changes_the_client_at_once() {
        let (mut ladder, now) = (ClientLadder::new(), Instant::now());
        assert!(ladder.ended(RETINA, &lacks(), s(3), now));
        assert_eq!(ladder.first(now), Some("retina lacks it"));
    }

    #[test]
    fn sessions_that_end_at_a_steady_beat_change_the_client() {
        let (mut ladder, now) = (ClientLadder::new(), Instant::now());
        assert!(!ladder.ended(RETINA, &Kind::Ended, s(61), now));
        assert!(ladder.ended(RETINA, &Kind::Ended, s(60), now));
        assert!(ladder.first(now).is_some_and(|why| why.contains("end each 61 s")));
        // FFmpeg's go on for longer.
        assert!(!ladder.ended(FFMPEG, &Kind::Ended, s(300), now));
        assert!(ladder.first(now).is_some());
    }

    #[test]
    fn a_beat_that_is_the_cameras_own_is_borne_by_retina() {
        let (mut ladder, now) = (ClientLadder::new(), Instant::now());
        ladder.ended(RETINA, &Kind::Ended, s(60), now);
        ladder.ended(RETINA, &Kind::Ended, s(60), now);
        assert!(!ladder.ended(FFMPEG, &Kind::Ended, s(59), now));
        assert_eq!(ladder.first(now), None);
        for _ in 0..5 {
            assert!(!ladder.ended(RETINA, &Kind::Ended, s(60), now));
        }
    }

    #[test]
    fn a_session_without_a_picture_changes_the_client_and_back() {
        let (mut ladder, now) = (ClientLadder::new(), Instant::now());
        let silent = Kind::TimedOut { what: "a packet", limit: s(10) };
        assert!(ladder.ended(RETINA, &silent, Duration::ZERO, now));
        assert!(ladder.first(now).is_some());
        assert!(!ladder.ended(FFMPEG, &silent, Duration::ZERO, now));
        assert_eq!(ladder.first(now), None);
    }

    #[test]
    fn a_client_that_fails_is_no_longer_first() {
        let (mut ladder, now) = (ClientLadder::new(), Instant::now());
        ladder.ended(RETINA, &lacks(), s(3), now);
        ladder.ffmpeg_failed(&Kind::TimedOut { what: "an answer", limit: s(1) });
        assert!(ladder.first(now).is_some());
        ladder.ffmpeg_failed(&Kind::Refused { status: 401 });
        assert_eq!(ladder.first(now), None);
    }

    #[test]
    fn sessions_of_any_length_are_no_beat() {
        let (mut ladder, now) = (ClientLadder::new(), Instant::now());
        for seconds in [10, 100, 20, 3000, 3001, 3, 50] {
            assert!(!ladder.ended(RETINA, &Kind::Ended, s(seconds), now), "{seconds}");
        }
        assert!(!is_beat(Duration::ZERO, Duration::ZERO), "it never streamed");
    }
}
