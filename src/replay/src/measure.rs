//! What is measured of the times of frames.

const SECOND_NS: u64 = 1_000_000_000;

/// The most of `times` that lie within one second, wherever it begins. A frame just a second after
/// another is not within.
#[must_use]
pub fn highest_in_a_second(times: impl IntoIterator<Item = u64>) -> usize {
    let mut times: Vec<u64> = times.into_iter().collect();
    times.sort_unstable();
    let mut first = 0;
    let mut highest = 0;
    for (last, time) in times.iter().enumerate() {
        while time - times[first] >= SECOND_NS {
            first += 1;
        }
        highest = highest.max(last + 1 - first);
    }
    highest
}

/// Frames a second from the first to the last of `times`; `None` when that is no time.
#[must_use]
pub fn mean_rate(times: impl IntoIterator<Item = u64>) -> Option<f64> {
    let (mut count, mut from, mut to) = (0_u64, u64::MAX, 0);
    for time in times {
        (count, from, to) = (count + 1, from.min(time), to.max(time));
    }
    (count > 0 && to > from).then(|| (count - 1) as f64 * 1e9 / (to - from) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_second_ends_before_the_next_begins() {
        assert_eq!(highest_in_a_second([]), 0);
        assert_eq!(highest_in_a_second([7]), 1);
        // Ten a second, exactly.
        assert_eq!(highest_in_a_second((0..100).map(|i| i * 100 * MS)), 10);
        // One that comes a nanosecond early makes eleven.
        assert_eq!(highest_in_a_second((0..100).map(|i| i * 100 * MS - u64::from(i == 50))), 11);
        assert_eq!(highest_in_a_second([5000 * MS, 0, 5001 * MS, 4002 * MS]), 3);
    }

    #[test]
    fn a_rate_takes_two_frames() {
        assert_eq!(mean_rate([]), None);
        assert_eq!(mean_rate([3]), None);
        assert_eq!(mean_rate([3, 3]), None);
        assert_eq!(mean_rate([0, 40 * MS, 80 * MS]), Some(25.0));
    }
}
