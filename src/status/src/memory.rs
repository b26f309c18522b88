//! The memory that this process uses.

use std::fs;

/// Bytes of anonymous memory resident in RAM (`RssAnon` of proc_pid_status(5)).
pub fn rss_anon_bytes() -> Option<u64> {
    rss_anon_in(&fs::read_to_string("/proc/self/status").ok()?)
}

fn rss_anon_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rss_anon_is_read_in_bytes() {
        assert_eq!(rss_anon_in("VmRSS:\t 9 kB\nRssAnon:\t    128 kB\n"), Some(131_072));
        assert_eq!(rss_anon_in("RssAnon:\t x kB\n"), None);
        assert!(rss_anon_bytes() > Some(0));
    }
}
