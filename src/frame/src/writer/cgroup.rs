//! Memory limits of the control groups above this process, versions 1 and 2.
//!
//! A charge past such a limit invokes the OOM killer instead of returning an error, so `fallocate`
//! can't detect it.

use std::fs;
use std::path::{Path, PathBuf};

/// The memory that a control group has left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GroupLimit {
    /// Its directory.
    pub(super) path: PathBuf,
    /// The limit less the bytes in use that the kernel can't reclaim.
    pub(super) free: u64,
}

/// The limits of this process's group and of each of its ancestors that has one.
pub(super) fn memory_limits() -> Vec<GroupLimit> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let hierarchies = hierarchies(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"));
    hierarchies.iter().flat_map(Hierarchy::limits).collect()
}

/// A mounted hierarchy that counts memory, and this process's group in it.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    version: u8,
    mount: PathBuf,
    group: PathBuf,
}

impl Hierarchy {
    fn limits(&self) -> Vec<GroupLimit> {
        let groups = self.group.ancestors().take_while(|group| group.starts_with(&self.mount));
        groups.filter_map(|group| self.limit_of(group)).collect()
    }

    fn limit_of(&self, group: &Path) -> Option<GroupLimit> {
        let number = |file| fs::read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
        let (limit, used, reclaimable) = if self.version == 2 {
            (number("memory.max")?, number("memory.current")?, "inactive_file ")
        } else {
            let limit = number("memory.limit_in_bytes")?;
            (limit, number("memory.usage_in_bytes")?, "total_inactive_file ")
        };
        // Version 1 writes "no limit" as the largest number of pages.
        if limit >= i64::MAX as u64 - (1 << 20) {
            return None;
        }
        let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        let line = stat.lines().find_map(|line| line.strip_prefix(reclaimable));
        let reclaimable = line.and_then(|n| n.trim().parse::<u64>().ok()).unwrap_or(0);
        let free = limit.saturating_sub(used.saturating_sub(reclaimable));
        Some(GroupLimit { path: group.into(), free })
    }
}

/// Finds the memory hierarchies by `/proc/self/cgroup` (cgroups(7)) and `mountinfo` (proc(5)).
fn hierarchies(cgroup: &str, mountinfo: &str) -> Vec<Hierarchy> {
    let mut found = Vec::new();
    for line in cgroup.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let version = match controllers {
            "" => 2,
            list if list.split(',').any(|c| c == "memory") => 1,
            _ => continue,
        };
        let mount = mountinfo.lines().find_map(|line| memory_mount(line, version));
        if let Some((root, mount)) = mount {
            // In a container the mount may show only the part of the tree below `root`.
            let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
            let below = below.strip_prefix("/").unwrap_or(below);
            found.push(Hierarchy { version, group: mount.join(below), mount });
        }
    }
    found
}

/// Root and mount point from a line of `mountinfo` that mounts a memory hierarchy of that version.
fn memory_mount(line: &str, version: u8) -> Option<(&str, PathBuf)> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (root, mount) = (left.next()?, left.next()?);
    let mut right = right.split(' ');
    let (kind, options) = (right.next()?, right.nth(1)?);
    let fits = match version {
        2 => kind == "cgroup2",
        _ => kind == "cgroup" && options.split(',').any(|o| o == "memory"),
    };
    fits.then(|| (root, mount.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
30 20 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
31 20 0:27 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
32 20 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";

    #[test]
    fn both_versions_are_found() {
        let cgroup = "9:name=systemd:/\n4:memory:/a/b\n1:cpu,cpuacct:/\n0::/u";
        let found = hierarchies(cgroup, MOUNTS);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].group, Path::new("/sys/fs/cgroup/memory/a/b"));
        assert_eq!(
            (found[1].version, found[1].group.as_path()),
            (2, Path::new("/sys/fs/cgroup/unified/u"))
        );
    }

    #[test]
    fn a_container_sees_part_of_the_tree() {
        let mounts = "40 30 0:26 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup rw";
        let found = hierarchies("0::/docker/x/y", mounts);
        assert_eq!(found[0].group, Path::new("/sys/fs/cgroup/y"));
        let found = hierarchies("0::/", mounts);
        assert_eq!(found[0].group, Path::new("/sys/fs/cgroup"));
    }

    #[test]
    fn every_ancestor_counts_without_reclaimable_memory() {
        let dir = tempfile::tempdir().unwrap();
        let child = dir.path().join("child");
        std::fs::create_dir(&child).unwrap();
        let put = |dir: &Path, file, text| std::fs::write(dir.join(file), text).unwrap();
        put(dir.path(), "memory.max", "1000\n");
        put(dir.path(), "memory.current", "900\n");
        put(dir.path(), "memory.stat", "anon 5\ninactive_file 300\n");
        put(&child, "memory.max", "max\n");
        put(&child, "memory.current", "900\n");
        let tree = Hierarchy { version: 2, mount: dir.path().into(), group: child };
        assert_eq!(tree.limits(), [GroupLimit { path: dir.path().into(), free: 400 }]);
    }

    #[test]
    fn unreadable_values_are_no_limit() {
        assert!(hierarchies("", "").is_empty());
        assert!(hierarchies("x\n1:memory\n:::", "a - b").is_empty());
    }
}
