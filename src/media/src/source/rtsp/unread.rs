//! How long a connection may be left unread. Pure.
//!
//! What comes meanwhile waits in the kernel's receive buffer. If that were full, TCP would stop the camera from
//! sending, and many drop pictures then. So the pause ends before it can be half full, at the rate and with the largest
//! picture seen so far: a stream of large key frames is always read at once.

use std::time::{Duration, Instant};

/// Most that may wait unread. Linux's default receive buffer is 128 KiB (net.ipv4.tcp_rmem), of which a packet takes
/// up to twice its size.
const ROOM: usize = 48 << 10;
/// Longest pause: a connection that the camera closes is noticed that much later.
const LONGEST: Duration = Duration::from_millis(500);
/// How long a rate is measured, and how long a session is read at once at its start.
const WINDOW: Duration = Duration::from_secs(3);

/// What came of a session.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// Bytes of its largest picture.
    largest: usize,
    window: Option<Window>,
    /// Of the last whole window.
    rate: Option<Rate>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    began: Instant,
    bytes: usize,
    pictures: u32,
}

/// Of a second.
#[derive(Clone, Copy, Debug)]
struct Rate {
    bytes: f64,
    pictures: f64,
}

impl Unread {
    /// A picture was read at `now`.
    pub(super) fn picture(&mut self, bytes: usize, now: Instant) {
        self.largest = self.largest.max(bytes);
        let window = self.window.get_or_insert(Window { began: now, bytes: 0, pictures: 0 });
        let passed = now.saturating_duration_since(window.began);
        if passed >= WINDOW {
            let seconds = passed.as_secs_f64();
            let rate = |count: f64| count / seconds;
            self.rate = Some(Rate {
                bytes: rate(window.bytes as f64),
                pictures: rate(f64::from(window.pictures)),
            });
            *window = Window { began: now, bytes: 0, pictures: 0 };
        }
        window.bytes = window.bytes.saturating_add(bytes);
        window.pictures += 1;
    }

    /// How long the connection may be left unread now; `None` where that would not bring two pictures at once.
    pub(super) fn pause(&self) -> Option<Duration> {
        let (rate, window) = (self.rate?, self.window?);
        // A rate that has risen since counts at once.
        let bytes = rate.bytes.max(window.bytes as f64 / WINDOW.as_secs_f64());
        let room = ROOM.checked_sub(self.largest)?;
        // A still scene may begin to move within the pause: then each picture is as large as the largest.
        let moving = self.largest as f64 * rate.pictures;
        let longest = LONGEST.as_secs_f64().min(ROOM as f64 / moving.max(1.0));
        let seconds = (room as f64 / bytes.max(1.0)).min(longest);
        (seconds * rate.pictures >= 2.0).then(|| Duration::from_secs_f64(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After `seconds` of pictures of these bytes.
    fn after(seconds: u32, fps: u32, key: usize, other: usize) -> Option<Duration> {
        let (mut unread, start) = (Unread::default(), Instant::now());
        for number in 0..=seconds * fps {
            let bytes = if number % (2 * fps) == 0 { key } else { other };
            unread.picture(bytes, start + Duration::from_secs(1) * number / fps);
        }
        unread.pause()
    }

    #[test]
    fn a_small_stream_waits_longest() {
        assert_eq!(after(10, 5, 8_000, 2_000), Some(LONGEST));
    }

    #[test]
    fn more_than_the_room_never_waits() {
        let pause = after(10, 25, 20_000, 4_000).unwrap();
        assert!(pause > Duration::from_millis(80) && pause < LONGEST, "{pause:?}");
        let waiting = pause.as_secs_f64() * (24.0 * 4_000.0 + 20_000.0);
        assert!(waiting + 20_000.0 <= ROOM as f64 * 1.3, "{waiting}");
        assert_eq!(after(10, 25, 60_000, 1_000), None, "a key frame alone would not fit");
        assert_eq!(after(10, 25, 40_000, 20_000), None);
    }

    #[test]
    fn all_pictures_may_become_as_large_as_the_largest() {
        let pause = after(10, 25, 16_000, 300).unwrap();
        assert!(pause.as_secs_f64() * 25.0 * 16_000.0 <= ROOM as f64, "{pause:?}");
    }

    #[test]
    fn a_pause_is_for_two_pictures_at_least() {
        assert_eq!(after(10, 1, 8_000, 2_000), None);
        assert_eq!(after(20, 3, 8_000, 2_000), None);
        assert_eq!(after(20, 4, 8_000, 2_000), Some(LONGEST));
    }

    #[test]
    fn the_start_of_a_session_is_read_at_once() {
        assert_eq!(after(2, 25, 8_000, 500), None);
        assert_eq!(Unread::default().pause(), None);
    }

    #[test]
    fn a_rate_that_rises_counts_at_once() {
        let (mut unread, start) = (Unread::default(), Instant::now());
        for number in 0..=100 {
            unread.picture(1_000, start + Duration::from_millis(40) * number);
        }
        assert_eq!(unread.pause(), Some(LONGEST));
        (0..25).for_each(|_| unread.picture(20_000, start + Duration::from_millis(4_040)));
        assert!(unread.pause().is_some_and(|pause| pause < Duration::from_millis(200)));
    }
}
