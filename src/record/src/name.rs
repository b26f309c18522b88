//! A recording's name: when it began, in UTC. Pure.

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The suffix of a file's name until it is closed.
const UNFINISHED: &str = ".part";

/// When a recording began, to the second, and its number among those of that second. Names sort in
/// the order in which they were given, as text too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    began: DateTime,
    nth: u32,
}

impl Name {
    /// The first recording of this second. `None` outside of years with four digits.
    pub(super) fn of(began: Timestamp) -> Option<Self> {
        let began = TimeZone::UTC.to_datetime(began);
        let began = began.with().subsec_nanosecond(0).build().ok()?;
        (0..=9999).contains(&began.year()).then_some(Self { began, nth: 0 })
    }

    /// The next one of the same second: an existing file is never overwritten, even when a clock
    /// was put back.
    pub(super) fn next(self) -> Self {
        Self { nth: self.nth + 1, ..self }
    }

    /// The folder, within the camera's.
    pub(super) fn day(self) -> String {
        self.began.strftime("%Y-%m-%d").to_string()
    }

    /// The file, within the camera's folder.
    pub(super) fn path(self) -> PathBuf {
        self.in_day("")
    }

    /// The file while it is written.
    pub(super) fn unfinished(self) -> PathBuf {
        self.in_day(UNFINISHED)
    }

    fn in_day(self, end: &str) -> PathBuf {
        let time = self.began.strftime("%H-%M-%S");
        // An underscore, which sorts after the dot of the first one.
        let nth = if self.nth == 0 { String::new() } else { format!("_{}", self.nth) };
        PathBuf::from(self.day()).join(format!("{time}{nth}.mp4{end}"))
    }

    /// The moment in RFC 3339 format.
    pub(super) fn rfc3339(self) -> String {
        self.began.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// How long before `now` it began, in nanoseconds; negative if it lies ahead.
    pub(super) fn age_ns(self, now: Timestamp) -> i64 {
        let now = TimeZone::UTC.to_datetime(now);
        let age = now.duration_since(self.began).as_nanos();
        i64::try_from(age).unwrap_or(if age < 0 { i64::MIN } else { i64::MAX })
    }

    /// Parses the names of a folder and a file in it; also whether the file was closed. `None` for
    /// names that no recorder gave.
    pub(super) fn parse(day: &str, file: &str) -> Option<(Self, bool)> {
        let (stem, finished) = match file.strip_suffix(UNFINISHED) {
            Some(rest) => (rest.strip_suffix(".mp4")?, false),
            None => (file.strip_suffix(".mp4")?, true),
        };
        let (time, nth) = match stem.split_once('_') {
            Some((time, nth)) => (time, nth.parse().ok().filter(|&nth| nth > 0)?),
            None => (stem, 0),
        };
        let began = DateTime::strptime("%Y-%m-%dT%H-%M-%S", format!("{day}T{time}")).ok()?;
        let name = Self { began, nth };
        // Only our own spelling of a moment is accepted.
        let path = if finished { name.path() } else { name.unfinished() };
        (path == PathBuf::from(day).join(file)).then_some((name, finished))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::of(text.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_name_is_the_second_in_utc() {
        let one = name("2026-11-25T23:59:59.9+01:00");
        assert_eq!(one.path(), PathBuf::from("2026-11-25/22-59-59.mp4"));
        assert_eq!(one.unfinished(), PathBuf::from("2026-11-25/22-59-59.mp4.part"));
        assert_eq!(one.next().next().path(), PathBuf::from("2026-11-25/22-59-59_2.mp4"));
        assert_eq!(one.rfc3339(), "2026-11-25T22:59:59Z");
        assert_eq!(one.age_ns("2026-11-25T23:00:01Z".parse().unwrap()), 2_000_000_000);
        assert!(one.age_ns("2026-11-25T22:00:00Z".parse().unwrap()) < 0);
        assert_eq!(one.age_ns(Timestamp::MAX), i64::MAX);
    }

    #[test]
    fn names_are_read_back_and_nothing_else_is() {
        for (day, file) in [("2026-11-25", "22-59-59.mp4"), ("2026-02-28", "00-00-00_12.mp4.part")]
        {
            let (name, finished) = Name::parse(day, file).unwrap();
            let path = if finished { name.path() } else { name.unfinished() };
            assert_eq!(path, PathBuf::from(day).join(file));
        }
        for (day, file) in [
            ("2026-11-25", "22-59-59.mkv"),
            ("2026-11-25", "22-59-59.mp4.part2"),
            ("2026-11-25", "22-59-61.mp4"),
            ("2026-11-25", "22-59-59_0.mp4"),
            ("2026-11-25", "22-59-59_01.mp4"),
            ("2026-11-25", "2-59-59.mp4"),
            ("2026-02-30", "22-59-59.mp4"),
            ("26-11-25", "22-59-59.mp4"),
            ("holiday", "22-59-59.mp4"),
            ("2026-11-25", "holiday.mp4"),
        ] {
            assert_eq!(Name::parse(day, file), None, "{day}/{file}");
        }
    }

    #[test]
    fn names_sort_in_the_order_of_recording() {
        let first = name("2026-11-25T00:00:00Z");
        let names =
            [first, first.next(), name("2026-11-25T00:00:01Z"), name("2026-11-26T00:00:00Z")];
        assert!(names.is_sorted());
        assert!(names.map(|name| name.path().into_os_string()).is_sorted());
    }
}
