//! When an encoder is made to begin anew.

/// Decides on key frames: at an interval, and when one is asked for, though not too often. Many viewers
/// that come at once ask once each.
#[derive(Clone, Debug)]
pub struct KeyFrames {
    interval_ns: u64,
    spacing_ns: u64,
    latest: Option<Latest>,
    wanted: bool,
}

#[derive(Clone, Copy, Debug)]
struct Latest {
    pts_ns: i64,
    at_ns: u64,
}

impl KeyFrames {
    /// One at least each `interval_ns` of the pictures' own time, and never two within `spacing_ns` of
    /// real time because they were asked for.
    pub fn new(interval_ns: u64, spacing_ns: u64) -> Self {
        Self { interval_ns, spacing_ns, latest: None, wanted: false }
    }

    /// One is asked for. It is not forgotten when it comes too early.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// Whether the picture at `pts_ns` is to be a key frame.
    pub fn is_due(&self, pts_ns: i64, now_ns: u64) -> bool {
        let Some(latest) = self.latest else { return true };
        let age_ns = i128::from(pts_ns) - i128::from(latest.pts_ns);
        // A time line that runs backwards is another one.
        let is_old = age_ns < 0 || age_ns >= i128::from(self.interval_ns);
        is_old || self.wanted && now_ns.saturating_sub(latest.at_ns) >= self.spacing_ns
    }

    /// A key frame was made of the picture at `pts_ns`.
    pub fn made(&mut self, pts_ns: i64, now_ns: u64) {
        self.latest = Some(Latest { pts_ns, at_ns: now_ns });
        self.wanted = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// The pictures of 25 a second, of 4 s, that become key frames; `asked` at those.
    fn run(asked: &[usize]) -> Vec<usize> {
        let mut keys = KeyFrames::new(2_000 * MS, 300 * MS);
        let mut made = Vec::new();
        for picture in 0..100 {
            let now_ns = 1_000_000 * MS + picture as u64 * 40 * MS;
            if asked.contains(&picture) {
                keys.want();
            }
            if keys.is_due(picture as i64 * 40 * MS as i64, now_ns) {
                keys.made(picture as i64 * 40 * MS as i64, now_ns);
                made.push(picture);
            }
        }
        made
    }

    #[test]
    fn the_first_and_then_each_interval() {
        assert_eq!(run(&[]), [0, 50]);
    }

    #[test]
    fn a_request_is_met_at_once_and_restarts_the_interval() {
        assert_eq!(run(&[20]), [0, 20, 70]);
    }

    #[test]
    fn many_requests_are_met_by_few_and_none_is_lost() {
        assert_eq!(run(&[20, 21, 22, 23]), [0, 20, 28, 78]);
    }

    #[test]
    fn a_new_time_line_begins_with_one() {
        let mut keys = KeyFrames::new(2_000 * MS, 300 * MS);
        keys.made(5_000 * MS as i64, 0);
        assert!(keys.is_due(0, 0));
    }
}
