//! Chooses the RTSP client for a camera: retina first, then FFmpeg's where retina fails. Pure.
//!
//! retina detects loss, reads the camera's clock, and returns a picture when it ends. FFmpeg's client does neither and
//! returns a picture when the next one begins, but streams from nearly every camera. The choice is kept between sessions,
//! so that finding it does not interrupt the pictures again.

use std::time::{Duration, Instant};

use crate::error::SourceErrorKind;
use vas_request::RtspClient;

/// After this time retina is tried again at the next connection: the camera may have been replaced or updated.
const RETRY_RETINA: Duration = Duration::from_secs(4 * 3600);
/// Sessions that the camera ends within this time may end periodically.
const MAX_PERIOD: Duration = Duration::from_secs(600);
/// How much two periods may differ: a fraction of the longer one, or the time that connecting takes.
const PERIOD_FRACTION: u32 = 5;
const PERIOD_SLACK: Duration = Duration::from_secs(2);

/// What is known about one camera's RTSP clients. Create one for each camera and keep it while the service runs.
#[derive(Debug, Default)]
pub struct ClientLadder {
    found: Option<Found>,
    /// The duration of retina's last session, if the camera ended it.
    last_session: Option<Duration>,
    /// FFmpeg's sessions end with the same period, so the camera is the cause.
    period_is_the_cameras: bool,
}

/// Why FFmpeg's client is in use.
#[derive(Debug)]
struct Found {
    why: String,
    since: Instant,
    /// The network may have been the cause: retina is tried again at the next connection.
    doubtful: bool,
    /// The period with which retina's sessions ended, if that is the reason.
    period: Option<Duration>,
}

impl ClientLadder {
    /// For a camera about which nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Why to begin with FFmpeg's client; `None` to begin with retina.
    pub(super) fn first(&self, now: Instant) -> Option<&str> {
        let found = self.found.as_ref()?;
        let old = now.saturating_duration_since(found.since) >= RETRY_RETINA;
        (!old && !found.doubtful).then_some(&*found.why)
    }

    /// Why to try FFmpeg's client after retina failed to open the camera with `kind`; `None` if it would fail as well.
    pub(super) fn other(kind: &SourceErrorKind) -> Option<String> {
        use SourceErrorKind as Kind;
        Some(match kind {
            Kind::ClientLacks { what } => format!("retina lacks {what}"),
            Kind::Garbage(cause) => format!("retina can't parse what the camera sends: {cause}"),
            Kind::Rejected(cause) => format!("the camera refuses retina's request: {cause}"),
            Kind::NoSuchPath => {
                "the camera has no stream under the path that retina requests".into()
            }
            Kind::NoVideo => "retina finds no video in the camera's description".into(),
            Kind::Stalled { .. } => "retina gets no picture from the data that arrives".into(),
            Kind::TimedOut { what, .. } => format!("retina timed out waiting for {what}"),
            Kind::Ended => "the camera ended the session before its first picture".into(),
            Kind::Broken(cause) => format!("the session broke before its first picture: {cause}"),
            // A camera that one client can't reach is unreachable for the other, and a second refused login may lock
            // the account.
            _ => return None,
        })
    }

    /// Records that FFmpeg's client opened what retina could not, for the reason `why` from [`other`](Self::other).
    pub(super) fn found(&mut self, kind: &SourceErrorKind, why: String, now: Instant) {
        // After a second time in a row it is certain.
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
        self.found = Some(Found { why, since: now, doubtful, period: None });
    }

    /// Records that FFmpeg's client, tried first, failed to open the camera with `kind`.
    pub(super) fn ffmpeg_failed(&mut self, kind: &SourceErrorKind) {
        use SourceErrorKind as Kind;
        // An unreachable camera is not evidence against the client.
        if !matches!(kind, Kind::Unreachable(_) | Kind::TimedOut { .. } | Kind::Stopped) {
            let period = self.found.take().and_then(|found| found.period);
            self.period_is_the_cameras |= period.is_some();
        }
    }

    /// Records that retina opened the camera.
    pub(super) fn retina_opened(&mut self) {
        self.found = None;
    }

    /// Records the end of a session of `client` that streamed pictures for `streamed`. Returns true if the other client
    /// should connect at once.
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
                self.found = Some(Found { why, since: now, doubtful: false, period: None });
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
                if streamed.is_zero() && !self.period_is_the_cameras {
                    let why = format!("retina received no picture: {kind}");
                    self.found = Some(Found { why, since: now, doubtful: false, period: None });
                    return true;
                }
                let last = self.last_session.replace(streamed);
                let period = last.filter(|last| is_period(*last, streamed));
                let Some(period) = period else { return false };
                if self.period_is_the_cameras {
                    return false;
                }
                let seconds = period.as_secs_f32();
                let why = format!("retina's sessions end every {seconds:.0} s: {kind}");
                self.found = Some(Found { why, since: now, doubtful: false, period: Some(period) });
                self.last_session = None;
                true
            }
            // FFmpeg's client received no picture either: begin with retina again.
            (Some(RtspClient::Ffmpeg), _) if streamed.is_zero() => {
                self.found = None;
                false
            }
            (Some(RtspClient::Ffmpeg), _) => {
                let period = self.found.as_ref().and_then(|found| found.period);
                if period.is_some_and(|period| is_period(period, streamed)) {
                    self.found = None;
                    self.period_is_the_cameras = true;
                }
                false
            }
            _ => false,
        }
    }
}

/// Whether two sessions lasted equally long.
fn is_period(one: Duration, other: Duration) -> bool {
    let (short, long) = (one.min(other), one.max(other));
    let tolerance = PERIOD_SLACK.max(long / PERIOD_FRACTION);
    !short.is_zero() && long <= MAX_PERIOD && long - short <= tolerance
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
    fn retina_is_first_and_is_tried_again_after_hours() {
        let (mut ladder, now) = (ClientLadder::new(), Instant::now());
        assert_eq!(ladder.first(now), None);
        let why = ClientLadder::other(&lacks()).unwrap();
        ladder.found(&lacks(), why, now);
        assert_eq!(ladder.first(now + s(60)), Some("retina lacks it"));
        assert_eq!(ladder.first(now + RETRY_RETINA), None);
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
    fn a_failure_that_may_be_the_networks_is_tried_again() {
        let (mut ladder, now) = (ClientLadder::new(), Instant::now());
        let late = || Kind::TimedOut { what: "the camera's answer", limit: s(5) };
        ladder.found(&late(), "late".into(), now);
        assert_eq!(ladder.first(now), None);
        ladder.found(&late(), "late".into(), now);
        assert_eq!(ladder.first(now), Some("late"));
    }

    #[test]
    fn a_missing_feature_changes_the_client_at_once() {
        let (mut ladder, now) = (ClientLadder::new(), Instant::now());
        assert!(ladder.ended(RETINA, &lacks(), s(3), now));
        assert_eq!(ladder.first(now), Some("retina lacks it"));
    }

    #[test]
    fn sessions_that_end_periodically_change_the_client() {
        let (mut ladder, now) = (ClientLadder::new(), Instant::now());
        assert!(!ladder.ended(RETINA, &Kind::Ended, s(61), now));
        assert!(ladder.ended(RETINA, &Kind::Ended, s(60), now));
        assert!(ladder.first(now).is_some_and(|why| why.contains("end every 61 s")));
        // FFmpeg's sessions last longer.
        assert!(!ladder.ended(FFMPEG, &Kind::Ended, s(300), now));
        assert!(ladder.first(now).is_some());
    }

    #[test]
    fn retina_stays_if_the_period_is_the_cameras() {
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
    fn sessions_without_a_picture_change_the_client_and_back() {
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
    fn sessions_of_different_lengths_are_not_periodic() {
        let (mut ladder, now) = (ClientLadder::new(), Instant::now());
        for seconds in [10, 100, 20, 3000, 3001, 3, 50] {
            assert!(!ladder.ended(RETINA, &Kind::Ended, s(seconds), now), "{seconds}");
        }
        assert!(!is_period(Duration::ZERO, Duration::ZERO), "it never streamed");
    }
}
