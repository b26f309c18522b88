//! Reads `status.json` as other programs do, and checks that it is still being written.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::file::STATUS;
use super::report::{SCHEMA, ServiceStatus};

/// Why no status can be read.
#[derive(Debug, thiserror::Error)]
pub enum NoStatus {
    #[error(
        "no service writes {}: none runs, or it has another `[service] run_dir`",
        path.display()
    )]
    /// No service writes there.
    NotThere {
        /// The file.
        path: PathBuf,
    },
    /// The file can't be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file holds no status.
    #[error("{} is no status: {source}", path.display())]
    Nonsense {
        /// The file.
        path: PathBuf,
        /// Where parsing failed.
        source: serde_json::Error,
    },
    #[error(
        "{} has schema {found}; this program reads schema {SCHEMA}: use the `vas` that the service \
         was started from",
        path.display()
    )]
    /// Another version of the program writes it.
    OtherSchema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
    },
}

/// The file as it was read.
#[derive(Debug)]
pub struct StatusRead {
    /// Its path.
    pub path: PathBuf,
    /// Its contents.
    pub text: String,
    /// The parsed status.
    pub status: ServiceStatus,
}

/// Reads the status in `run_dir`.
///
/// # Errors
/// There is none, or none that this program can parse.
pub fn read(run_dir: &Path) -> Result<StatusRead, NoStatus> {
    let path = run_dir.join(STATUS);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(NoStatus::NotThere { path });
        }
        Err(source) => return Err(NoStatus::Unreadable { path, source }),
    };
    match parse(&text) {
        Ok(Ok(status)) => Ok(StatusRead { path, text, status }),
        Ok(Err(found)) => Err(NoStatus::OtherSchema { path, found }),
        Err(source) => Err(NoStatus::Nonsense { path, source }),
    }
}

/// The status, or its schema if it is another one.
fn parse(text: &str) -> serde_json::Result<Result<ServiceStatus, u32>> {
    #[derive(Deserialize)]
    struct Head {
        schema: u32,
    }
    match serde_json::from_str::<Head>(text)?.schema {
        SCHEMA => serde_json::from_str(text).map(Ok),
        found => Ok(Err(found)),
    }
}

/// A status that has not been updated for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale {
    /// `None`: it was written before this machine started.
    age: Option<Duration>,
    most: Duration,
    pid: u32,
    writer_runs: bool,
}

impl ServiceStatus {
    /// Its age at `now_ns` of `CLOCK_MONOTONIC`; `None`: from before this machine started.
    fn age(&self, now_ns: u64) -> Option<Duration> {
        now_ns.checked_sub(self.written_ns).map(Duration::from_nanos)
    }

    /// Its age at `now_ns`, unless that exceeds `most`. Only then is `writer_runs` called.
    ///
    /// # Errors
    /// It is older.
    pub fn fresh(
        &self,
        now_ns: u64,
        most: Duration,
        writer_runs: impl FnOnce() -> bool,
    ) -> Result<Duration, Stale> {
        let age = self.age(now_ns);
        age.filter(|age| *age <= most).ok_or_else(|| {
            let pid = self.service.process.pid;
            Stale { age, most, pid, writer_runs: writer_runs() }
        })
    }
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.age {
            Some(age) => write!(
                f,
                "the status was written {:.1} s ago, more than {:.1} s",
                age.as_secs_f64(),
                self.most.as_secs_f64(),
            )?,
            None => f.write_str("the status was written before this machine started")?,
        }
        if self.writer_runs {
            write!(f, "; process {} runs but does not write it", self.pid)
        } else {
            // In another container it is invisible; what is certain is that it does not write.
            write!(f, "; process {}, which wrote it, is gone or in another container", self.pid)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::full_status;
    use super::*;

    const LIMIT: Duration = Duration::from_secs(2);

    #[test]
    fn age_decides_and_the_writer_is_named() {
        let status = ServiceStatus { written_ns: 5_000_000_000, ..full_status() };
        let fresh = |now_ns, runs| status.fresh(now_ns, LIMIT, || runs);
        assert_eq!(fresh(5_000_000_000, false), Ok(Duration::ZERO));
        assert_eq!(fresh(7_000_000_000, false), Ok(LIMIT));
        let pid = std::process::id();
        for (now_ns, runs, words) in [
            (
                7_100_000_000,
                true,
                "written 2.1 s ago, more than 2.0 s; process PID runs but does not",
            ),
            (
                9_000_000_000,
                false,
                "written 4.0 s ago, more than 2.0 s; process PID, which wrote it,",
            ),
            (4_999_999_999, false, "written before this machine started; process PID, which"),
        ] {
            let stale = fresh(now_ns, runs).unwrap_err().to_string();
            assert!(stale.contains(&words.replace("PID", &pid.to_string())), "{stale}");
        }
    }

    #[test]
    fn an_unreadable_status_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let words = || read(dir.path()).unwrap_err().to_string();
        assert!(words().contains("no service writes"), "{}", words());
        let path = dir.path().join(STATUS);
        std::fs::write(&path, "{\"schema\": 99}").unwrap();
        assert!(words().contains("has schema 99; this program reads schema 1"), "{}", words());
        std::fs::write(&path, "{}").unwrap();
        assert!(words().contains("is no status: missing field `schema`"), "{}", words());
        std::fs::write(&path, serde_json::to_string(&full_status()).unwrap()).unwrap();
        assert_eq!(read(dir.path()).unwrap().status.cameras, full_status().cameras);
    }
}
