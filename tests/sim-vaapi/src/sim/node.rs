//! Render nodes: the files of the directory `SIM_VA_NODES`.

use std::ffi::c_int;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use vas_sim_common::Peak;

use super::config::config;
use super::misuse::remark;
use super::status::{Result, Status};
use super::{lock, wait};

/// One node. Each process has its own view of it: limits and losses do not cross processes.
pub(crate) struct Node {
    /// The file's name, for example `renderD128`.
    pub(crate) name: String,
    /// Bytes of surfaces.
    pub(crate) memory: Peak,
    pub(crate) surfaces: Peak,
    pub(crate) contexts: Peak,
    pub(crate) displays: Peak,
    /// The status of every call, once it is lost.
    lost: Mutex<Option<Status>>,
    /// When it has decoded what it was given.
    busy_until: Mutex<Instant>,
}

/// All nodes, by name.
pub(crate) fn all() -> &'static [Arc<Node>] {
    static NODES: LazyLock<Vec<Arc<Node>>> = LazyLock::new(|| {
        let Some(dir) = &config().nodes else { return Vec::new() };
        let entries = std::fs::read_dir(dir)
            .unwrap_or_else(|error| panic!("SIM_VA_NODES {}: {error}", dir.display()));
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names.into_iter().map(|name| Arc::new(Node::new(name))).collect()
    });
    &NODES
}

/// The node of this name.
pub(crate) fn named(name: &str) -> Option<&'static Arc<Node>> {
    all().iter().find(|node| node.name == name)
}

/// The node that a descriptor has open.
pub(crate) fn opened_as(fd: c_int) -> Option<&'static Arc<Node>> {
    let path = std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    let dir = config().nodes.as_ref()?.canonicalize().ok()?;
    named(path.strip_prefix(dir).ok()?.to_str()?)
}

impl Node {
    fn new(name: String) -> Self {
        Self {
            name,
            memory: Peak::new(),
            surfaces: Peak::new(),
            contexts: Peak::new(),
            displays: Peak::new(),
            lost: Mutex::new(None),
            busy_until: Mutex::new(Instant::now()),
        }
    }

    /// A setting of this node.
    pub(crate) fn setting(&self, name: &str) -> u64 {
        config().number(name, &self.name)
    }

    /// Makes every later call fail, until it comes back.
    pub(crate) fn lose(&self, status: Status) {
        *lock(&self.lost) = Some(status);
        remark(format_args!("node {} is lost", self.name));
    }

    /// Makes calls work again.
    pub(crate) fn come_back(&self) {
        *lock(&self.lost) = None;
        remark(format_args!("node {} is back", self.name));
    }

    /// # Errors
    /// Its status, once it is lost.
    pub(crate) fn health(&self) -> Result {
        lock(&self.lost).map_or(Ok(()), Err)
    }

    /// Queues the decoding of a picture and returns when it will be done.
    pub(crate) fn decode(&self) -> Instant {
        let time = wait::jittered(self.setting("decode_us"), &self.name);
        let mut busy_until = lock(&self.busy_until);
        *busy_until = (*busy_until).max(Instant::now()) + time;
        *busy_until
    }

    /// How long `bytes` take from a surface into an image.
    pub(crate) fn read_time(&self, bytes: u64) -> Duration {
        let us = bytes.saturating_mul(self.setting("read_us_per_mib")) >> 20;
        wait::jittered(us, &self.name)
    }
}
