//! Finds the render nodes of this host: the device files through which VA-API drivers are used.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::VaapiError;

/// The prefix of a render node's name. Its number begins at 128.
const PREFIX: &str = "renderD";

/// A render node, and what the kernel says about its device.
///
/// Displays like `renderD128 (Intel, i915, 0000:00:02.0)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderNode {
    /// The number in its name: 128 for `renderD128`.
    pub minor: u32,
    /// The device file.
    pub path: PathBuf,
    /// PCI vendor, such as 0x8086.
    pub vendor: Option<u16>,
    /// The kernel's driver, such as `i915`.
    pub driver: Option<String>,
    /// The address of the device on its bus, such as `0000:00:02.0`.
    pub address: Option<String>,
}

/// Where render nodes are looked for.
struct Places {
    /// Device files.
    dev: PathBuf,
    /// What the kernel says about each.
    sys: PathBuf,
}

impl Places {
    /// `/dev/dri` and `/sys/class/drm`. Tests with simulated nodes name others in the environment.
    fn of_this_process() -> Self {
        let or =
            |name, usual: &str| std::env::var_os(name).map_or_else(|| usual.into(), PathBuf::from);
        Self {
            dev: or("VAS_TEST_DRI_DIR", "/dev/dri"),
            sys: or("VAS_TEST_DRM_DIR", "/sys/class/drm"),
        }
    }
}

/// The render nodes that this process can see, by their numbers.
#[must_use]
pub fn render_nodes() -> Vec<RenderNode> {
    nodes_in(&Places::of_this_process())
}

fn nodes_in(places: &Places) -> Vec<RenderNode> {
    let Ok(entries) = fs::read_dir(&places.dev) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let minors = names.filter_map(|name| name.strip_prefix(PREFIX)?.parse().ok());
    let mut nodes: Vec<_> = minors.map(|minor| RenderNode::read(places, minor)).collect();
    nodes.sort_by_key(|node| node.minor);
    nodes
}

impl RenderNode {
    fn read(places: &Places, minor: u32) -> Self {
        let name = format!("{PREFIX}{minor}");
        let device = places.sys.join(&name).join("device");
        let vendor = fs::read_to_string(device.join("vendor")).ok();
        let vendor =
            vendor.and_then(|text| u16::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok());
        let last_part = |path: std::io::Result<PathBuf>| {
            Some(path.ok()?.file_name()?.to_string_lossy().into_owned())
        };
        Self {
            minor,
            path: places.dev.join(&name),
            vendor,
            driver: last_part(fs::read_link(device.join("driver"))),
            address: last_part(fs::canonicalize(&device)),
        }
    }

    /// Its name, such as `renderD128`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{PREFIX}{}", self.minor)
    }

    /// Whether NVIDIA's own kernel driver serves it. NVDEC decodes there; VA-API would need a driver that translates to
    /// NVDEC.
    #[must_use]
    pub fn is_nvidias(&self) -> bool {
        self.driver.as_deref().is_some_and(|driver| driver.starts_with("nvidia"))
    }

    /// Checks that this process may use the node, before a driver fails with fewer words.
    pub(super) fn check_access(&self) -> Result<(), VaapiError> {
        let Err(error) = OpenOptions::new().read(true).write(true).open(&self.path) else {
            return Ok(());
        };
        let node = self.to_string();
        Err(match error.kind() {
            ErrorKind::PermissionDenied => {
                VaapiError::NoPermission { node, path: self.path.clone() }
            }
            _ => VaapiError::Failed { node, cause: error.to_string() },
        })
    }
}

impl fmt::Display for RenderNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vendor = self.vendor.map(|vendor| match vendor {
            0x8086 => "Intel".to_owned(),
            0x1002 => "AMD".to_owned(),
            0x10de => "NVIDIA".to_owned(),
            other => format!("PCI vendor {other:#06x}"),
        });
        let parts = [vendor, self.driver.clone(), self.address.clone()];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        write!(f, "{}", self.name())?;
        if parts.is_empty() { Ok(()) } else { write!(f, " ({})", parts.join(", ")) }
    }
}

/// The number of the render node that a path names; `None` if it names none.
#[must_use]
pub fn render_node_of(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.strip_prefix(PREFIX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn host() -> (tempfile::TempDir, Places) {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { dev: dir.path().join("dri"), sys: dir.path().join("drm") };
        fs::create_dir_all(&places.dev).unwrap();
        (dir, places)
    }

    fn add(places: &Places, minor: u32, vendor: &str, driver: &str, address: &str) {
        let name = format!("renderD{minor}");
        fs::write(places.dev.join(&name), "").unwrap();
        let device = places.sys.join("devices").join(address);
        fs::create_dir_all(&device).unwrap();
        fs::write(device.join("vendor"), format!("{vendor}\n")).unwrap();
        symlink(format!("../../drivers/{driver}"), device.join("driver")).unwrap();
        let node = places.sys.join(name);
        fs::create_dir_all(&node).unwrap();
        symlink(device, node.join("device")).unwrap();
    }

    #[test]
    fn nodes_are_named_in_words_and_sorted_by_number() {
        let (_dir, places) = host();
        add(&places, 129, "0x1002", "amdgpu", "0000:03:00.0");
        add(&places, 128, "0x8086", "i915", "0000:00:02.0");
        add(&places, 130, "0x10de", "nvidia", "0000:04:00.0");
        fs::write(places.dev.join("card0"), "").unwrap();
        // In a container, devices that it has no node of are visible in /sys.
        add(&places, 131, "0x8086", "i915", "0000:05:00.0");
        fs::remove_file(places.dev.join("renderD131")).unwrap();
        let nodes = nodes_in(&places);
        let words: Vec<_> = nodes.iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            [
                "renderD128 (Intel, i915, 0000:00:02.0)",
                "renderD129 (AMD, amdgpu, 0000:03:00.0)",
                "renderD130 (NVIDIA, nvidia, 0000:04:00.0)",
            ]
        );
        assert!(nodes.iter().map(RenderNode::is_nvidias).eq([false, false, true]));
    }

    #[test]
    fn a_node_of_which_the_kernel_says_nothing_has_a_name() {
        let (_dir, places) = host();
        fs::write(places.dev.join("renderD128"), "").unwrap();
        let nodes = nodes_in(&places);
        assert_eq!(nodes[0].to_string(), "renderD128");
        assert_eq!(nodes[0].check_access(), Ok(()));
        fs::remove_file(places.dev.join("renderD128")).unwrap();
        let words = nodes[0].check_access().unwrap_err().to_string();
        assert!(words.starts_with("renderD128: No such file"), "{words}");
    }

    #[test]
    fn a_host_without_nodes_has_none() {
        let (_dir, places) = host();
        assert_eq!(nodes_in(&places), []);
        fs::remove_dir(&places.dev).unwrap();
        assert_eq!(nodes_in(&places), []);
        assert_eq!(render_node_of(Path::new("/dev/dri/renderD129")), Some(129));
        assert_eq!(render_node_of(Path::new("/dev/dri/card0")), None);
    }
}
