//! Decides when an encoder makes a key frame.

/// Decides which pictures become key frames: one at each interval, and one on request, with a minimum spacing because
/// each of many viewers that join at once sends a request.
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
    /// A key frame at least every `interval_ns` of presentation time. A request is met no sooner than `spacing_ns` of
    /// real time after the latest key frame.
    pub fn new(interval_ns: u64, spacing_ns: u64) -> Self {
        Self { interval_ns, spacing_ns, latest: None, wanted: false }
    }

    /// Requests a key frame. A request that comes too early is kept until it can be met.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// Whether the picture at `pts_ns` has to become a key frame.
    pub fn is_due(&self, pts_ns: i64, now_ns: u64) -> bool {
        let Some(latest) = self.latest else { return true };
        let age_ns = i128::from(pts_ns) - i128::from(latest.pts_ns);
        // Timestamps that run backwards belong to a new time line.
        let is_old = age_ns < 0 || age_ns >= i128::from(self.interval_ns);
        is_old || self.wanted && now_ns.saturating_sub(latest.at_ns) >= self.spacing_ns
    }

    /// Records that the picture at `pts_ns` became a key frame.
    pub fn made(&mut self, pts_ns: i64, now_ns: u64) {
        self.latest = Some(Latest { pts_ns, at_ns: now_ns });
        self.wanted = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Which pictures become key frames in 4 s at 25 a second, with requests at the pictures `requests`.
    fn run(requests: &[usize]) -> Vec<usize> {
        let mut keys = KeyFrames::new(2_000 * MS, 300 * MS);
        let mut made = Vec::new();
        for picture in 0..100 {
            let now_ns = 1_000_000 * MS + picture as u64 * 40 * MS;
            if requests.contains(&picture) {
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
    fn the_first_picture_and_then_one_each_interval() {
        assert_eq!(run(&[]), [0, 50]);
    }

    #[test]
    fn a_request_is_met_at_once_and_restarts_the_interval() {
        assert_eq!(run(&[20]), [0, 20, 70]);
    }

    #[test]
    fn requests_are_spaced_and_none_is_lost() {
        assert_eq!(run(&[20, 21, 22, 23]), [0, 20, 28, 78]);
    }

    #[test]
    fn a_new_time_line_begins_with_a_key_frame() {
        let mut keys = KeyFrames::new(2_000 * MS, 300 * MS);
        keys.made(5_000 * MS as i64, 0);
        assert!(keys.is_due(0, 0));
    }
}
