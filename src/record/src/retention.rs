//! Which recordings expire. Pure: time, listing and free space are arguments.

use vas_config::Keep;

/// A closed recording, as far as this decision needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// When it began, on a clock that is never set.
    pub(super) began_ns: i64,
    pub(super) bytes: u64,
}

/// One camera's recordings.
#[derive(Clone, Debug)]
pub(super) struct Holding {
    pub(super) keep: Keep,
    /// Index of its disk in the list of disks; `None`: not known.
    pub(super) disk: Option<usize>,
    /// In the order of recording.
    pub(super) recordings: Vec<Kept>,
}

/// How many of each holding's oldest to delete at `now_ns`, given the free bytes of each disk.
///
/// Limits on age and bytes apply to each camera separately. Where too little is free, the oldest of
/// all cameras that ask for more goes first, wherever it is.
pub(super) fn expired(holdings: &[Holding], free_bytes: &[u64], now_ns: i64) -> Vec<usize> {
    let mut counts: Vec<usize> = holdings.iter().map(|holding| too_many(holding, now_ns)).collect();
    let mut free_bytes = free_bytes.to_vec();
    for (holding, &count) in holdings.iter().zip(&counts) {
        let freed: u64 = holding.recordings[..count].iter().map(|kept| kept.bytes).sum();
        if let Some(free) = holding.disk.and_then(|disk| free_bytes.get_mut(disk)) {
            *free = free.saturating_add(freed);
        }
    }
    loop {
        let oldest = holdings.iter().enumerate().filter_map(|(n, holding)| {
            let free = free_bytes.get(holding.disk?)?;
            let next = holding.recordings.get(counts[n])?;
            (*free < holding.keep.free_bytes).then_some((next.began_ns, n, next.bytes))
        });
        let Some((_, n, bytes)) = oldest.min() else { return counts };
        counts[n] += 1;
        if let Some(free) = holdings[n].disk.and_then(|disk| free_bytes.get_mut(disk)) {
            *free = free.saturating_add(bytes);
        }
    }
}

/// How many of the oldest exceed the limits on age or bytes.
fn too_many(holding: &Holding, now_ns: i64) -> usize {
    let Holding { keep, recordings, .. } = holding;
    let too_old = keep.time.map_or(0, |time| {
        let most = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        let old = |kept: &&Kept| now_ns.saturating_sub(kept.began_ns) > most;
        recordings.iter().take_while(old).count()
    });
    let Some(most) = keep.bytes else { return too_old };
    let mut left: u64 = recordings[too_old..].iter().map(|kept| kept.bytes).sum();
    let mut count = too_old;
    while left > most {
        left -= recordings[count].bytes;
        count += 1;
    }
    count
}

/// `CLOCK_MONOTONIC`, signed: what began before the machine booted is negative.
pub(super) fn now_ns() -> i64 {
    i64::try_from(vas_media::monotonic_ns()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const NOTHING: Keep = Keep { time: None, bytes: None, free_bytes: 0 };

    /// Recordings of 10 bytes, given how many seconds ago they began.
    fn holding(keep: Keep, ages: &[i64]) -> Holding {
        let recordings =
            ages.iter().map(|age| Kept { began_ns: -age * SECOND, bytes: 10 }).collect();
        Holding { keep, disk: Some(0), recordings }
    }

    #[test]
    fn without_limits_all_stays() {
        assert_eq!(expired(&[holding(NOTHING, &[9999, 1])], &[0], 0), [0]);
    }

    #[test]
    fn what_is_too_old_goes() {
        let keep = Keep { time: Some(Duration::from_secs(60)), ..NOTHING };
        assert_eq!(expired(&[holding(keep, &[120, 61, 60, 5])], &[0], 0), [2]);
        // What began in the future, since the clock was put back, is not old.
        assert_eq!(expired(&[holding(keep, &[-500, 120])], &[0], 0), [0]);
    }

    #[test]
    fn more_bytes_than_allowed_go_from_the_oldest_on() {
        let keep = Keep { bytes: Some(25), ..NOTHING };
        assert_eq!(expired(&[holding(keep, &[4, 3, 2, 1])], &[0], 0), [2]);
        // In the order of recording, whatever the clock said.
        assert_eq!(expired(&[holding(keep, &[1, 4, 3])], &[0], 0), [1]);
        let keep = Keep { bytes: Some(1), ..NOTHING };
        assert_eq!(expired(&[holding(keep, &[1])], &[0], 0), [1]);
        // What the age limit deletes counts.
        let keep = Keep { time: Some(Duration::from_secs(3)), bytes: Some(20), ..NOTHING };
        assert_eq!(expired(&[holding(keep, &[9, 8, 2, 1])], &[0], 0), [2]);
    }

    #[test]
    fn room_is_made_by_the_oldest_of_all_cameras_on_the_disk() {
        let keep = Keep { free_bytes: 100, ..NOTHING };
        let holdings = [holding(keep, &[9, 3, 2]), holding(keep, &[8, 7, 1])];
        assert_eq!(expired(&holdings, &[100], 0), [0, 0]);
        assert_eq!(expired(&holdings, &[91], 0), [1, 0]);
        assert_eq!(expired(&holdings, &[70], 0), [1, 2]);
        assert_eq!(expired(&holdings, &[0], 0), [3, 3]);
    }

    #[test]
    fn another_disk_and_a_camera_that_asks_for_less_are_left_alone() {
        let keep = Keep { free_bytes: 100, ..NOTHING };
        let mut elsewhere = holding(keep, &[99]);
        elsewhere.disk = Some(1);
        let mut unknown = holding(keep, &[99]);
        unknown.disk = None;
        let holdings = [holding(keep, &[5, 4]), elsewhere, unknown, holding(NOTHING, &[88])];
        assert_eq!(expired(&holdings, &[90, 100], 0), [1, 0, 0, 0]);
    }

    #[test]
    fn what_age_frees_is_room_already() {
        let keep = Keep { time: Some(Duration::from_secs(60)), bytes: None, free_bytes: 100 };
        assert_eq!(expired(&[holding(keep, &[61, 9])], &[90], 0), [1]);
    }
}
