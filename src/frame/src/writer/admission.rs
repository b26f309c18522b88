//! Admission: checks a ring against every memory limit before its memory is used, since exceeding one
//! would kill the process.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use super::cgroup;
use crate::error::ExportError;

/// Left free under every limit, so that the ring's last page is not the machine's last page.
const RESERVE: u64 = 32 << 20;

/// What a ring's memory is charged to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryScope {
    /// The tmpfs that the export directory lies on.
    Tmpfs {
        /// The export directory.
        dir: PathBuf,
    },
    /// The whole machine: `MemAvailable`.
    Machine,
    /// A control group of this process, or an ancestor of it.
    Cgroup {
        /// The group's directory.
        path: PathBuf,
    },
}

impl MemoryScope {
    /// What to do if it has too little memory.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Tmpfs { .. } => {
                "make it larger (docker --shm-size, mount -o remount,size=), or lower `slots` or `hold`"
            }
            Self::Machine => "lower `slots` or `hold`, or export fewer cameras",
            Self::Cgroup { .. } => "raise its memory limit, or lower `slots` or `hold`",
        }
    }
}

impl fmt::Display for MemoryScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tmpfs { dir } => write!(f, "the tmpfs at {}", dir.display()),
            Self::Machine => f.write_str("the machine (MemAvailable)"),
            Self::Cgroup { path } => write!(f, "the cgroup {}", path.display()),
        }
    }
}

/// The memory that a scope has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// What the memory is charged to.
    pub scope: MemoryScope,
    /// Bytes left.
    pub free: u64,
}

/// The ring does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the ring needs {} MiB (and {} MiB must stay free), but {} has {} MiB left; {}",
    need.div_ceil(1 << 20), reserve(*need).div_ceil(1 << 20), limit.scope, limit.free >> 20,
    limit.scope.remedy()
)]
pub struct Shortage {
    /// Bytes of the ring.
    pub need: u64,
    /// The limit that the ring exceeds.
    pub limit: MemoryLimit,
}

/// Checks a ring's need against limits, as admission does; the error names the tightest one that fails.
///
/// # Errors
/// The limit leaves less than the need and the reserve.
pub fn check_memory(need: u64, limits: &[MemoryLimit]) -> Result<(), Shortage> {
    let tightest = limits.iter().min_by_key(|limit| limit.free);
    match tightest {
        Some(limit) if limit.free < need.saturating_add(reserve(need)) => {
            Err(Shortage { need, limit: limit.clone() })
        }
        _ => Ok(()),
    }
}

/// Capped, so that small rings are not refused for a reserve many times their size.
fn reserve(need: u64) -> u64 {
    RESERVE.min(need / 2)
}

/// The limits for a ring in `dir`: the file system, the machine, and each cgroup above this process.
///
/// # Errors
/// The system does not answer: `dir` does not exist, or there is no `/proc`.
pub fn memory_limits(dir: &Path) -> Result<Vec<MemoryLimit>, ExportError> {
    let fs = statvfs(dir).map_err(|e| ExportError::io("ask for the free space of", dir, e))?;
    let mut limits = vec![MemoryLimit {
        scope: MemoryScope::Tmpfs { dir: dir.into() },
        free: fs.f_bavail.saturating_mul(fs.f_frsize),
    }];
    let meminfo = "/proc/meminfo";
    let text = std::fs::read_to_string(meminfo).map_err(|e| ExportError::io("read", meminfo, e))?;
    if let Some(free) = mem_available(&text) {
        limits.push(MemoryLimit { scope: MemoryScope::Machine, free });
    }
    limits.extend(cgroup::memory_limits().into_iter().map(|group| MemoryLimit {
        scope: MemoryScope::Cgroup { path: group.path },
        free: group.free,
    }));
    Ok(limits)
}

/// `MemAvailable` of `/proc/meminfo`, in bytes.
fn mem_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tmpfs(free: u64) -> MemoryLimit {
        MemoryLimit { scope: MemoryScope::Tmpfs { dir: "/x".into() }, free }
    }

    fn cgroup(free: u64) -> MemoryLimit {
        MemoryLimit { scope: MemoryScope::Cgroup { path: "/y".into() }, free }
    }

    #[test]
    fn the_tightest_limit_is_reported_with_its_bytes() {
        let limits = [tmpfs(1 << 30), cgroup(64 << 20)];
        assert!(check_memory(16 << 20, &limits).is_ok());
        let shortage = check_memory(100 << 20, &limits).unwrap_err();
        assert_eq!(shortage.limit.scope, MemoryScope::Cgroup { path: "/y".into() });
        let words = shortage.to_string();
        for part in ["needs 100 MiB", "cgroup /y has 64 MiB", "raise its memory limit"] {
            assert!(words.contains(part), "{words}");
        }
    }

    #[test]
    fn extreme_needs_and_no_limits() {
        assert!(check_memory(u64::MAX, &[tmpfs(u64::MAX - 1)]).is_err());
        assert!(check_memory(0, &[tmpfs(0)]).is_ok());
        assert!(check_memory(1 << 40, &[]).is_ok());
    }

    #[test]
    fn this_machine_has_limits() {
        let limits = memory_limits("/dev/shm".as_ref()).unwrap();
        assert!(limits.len() >= 2);
        assert!(limits.iter().all(|limit| limit.free > 0), "{limits:?}");
    }

    #[test]
    fn meminfo() {
        assert_eq!(mem_available("MemTotal: 9 kB\nMemAvailable:   2048 kB\n"), Some(2 << 20));
        assert_eq!(mem_available("MemTotal: 9 kB\n"), None);
        assert_eq!(mem_available("MemAvailable: lots kB\n"), None);
    }
}
