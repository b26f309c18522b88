//! The limit on a process's open files and sockets.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as the system allows, for this process and those that it starts. The
/// usual 1024 is for programs that call select(2), which we never do; a camera takes up to about
/// 20, and descriptors in transit to another process count as well (unix(7), `ETOOMANYREFS`).
pub(crate) fn allow_many() {
    let Some(raised) = raised(getrlimit(Resource::Nofile)) else { return };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!("can't raise the limit of open files: {error}; many cameras may reach it");
    }
}

/// The limit to request; `None` when it can't be raised.
fn raised(limit: Rlimit) -> Option<Rlimit> {
    let Rlimit { current, maximum } = limit;
    (current != maximum).then_some(Rlimit { current: maximum, maximum })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_the_system_allows() {
        let limit = |current, maximum| Rlimit { current, maximum };
        let usual = raised(limit(Some(1024), Some(524_288)));
        assert_eq!(usual, Some(limit(Some(524_288), Some(524_288))));
        assert_eq!(raised(limit(Some(1024), None)), Some(limit(None, None)));
        assert_eq!(raised(limit(Some(4096), Some(4096))), None);
    }
}
